"""power.csv: the smallest delta-risk the sweep can detect, from its matrix alone."""

from collections.abc import Iterable, Mapping
from functools import cache
from itertools import product
from typing import Any

import numpy as np
import polars as pl

from entrench.analysis.columns import count, points, share, text, yes_no
from entrench.analysis.statistics.significance import FEWEST_CLUSTERS, flip_smallest, random_signs
from entrench.analysis.summary.simulation import (
    DRAWN_SIGNS,
    GRID,
    MATRIX_COLUMNS,
    Matrix,
    cluster_sums,
    rows_of,
    simulate,
)
from entrench.analysis.tables import table
from entrench.seeds import derive_seed
from entrench.study.sweep import Run

POWER = 0.8
LARGEST = 20.0  # standard deviations: the largest shift that is tried
ENUMERATED = 10  # clusters up to which every pattern of signs is tried

POWER_COLUMNS = {
    **MATRIX_COLUMNS,
    "test": text("the randomisation test: `flip_organisms` or `flip_models`"),
    "holds_level": yes_no("false where the test errs too often to be used"),
    "detectable_pp": points(
        "the smallest mean delta-risk that the test finds with the chance `power`, where runs vary "
        "by `assumed_sd_pp`"
    ),
    "assumed_sd_pp": points(
        "standard deviation between runs, `statistics.assumed_sd` of the config"
    ),
    "power": share("chance that the test finds a mean delta-risk of `detectable_pp`"),
    "level": share("level of the test: it finds an effect where p is at most 1 - level"),
    "replicates": count("simulated studies behind the row", "studies"),
    "reason": text("why nothing is detectable"),
}


def power_table(
    runs: Iterable[Run],
    kinds: Mapping[str, str],
    *,
    assumed_sd: float,
    level: float,
    replicates: int,
    seed: int,
) -> pl.DataFrame:
    """A row per summary row about methods, pair of correlations in `GRID`, and randomisation test.

    detectable_pp is the mean delta-risk at which the test reaches p <= 1 - `level` with the chance
    `POWER`, where runs vary with the standard deviation `assumed_sd` (a fraction). holds_level is
    false where the test errs too often to be used: the test over organisms, where models differ.
    """

    @cache
    def detected(matrix: Matrix, correlations: tuple[float, float], over: str) -> Any:
        generator = np.random.default_rng(derive_seed(seed, over, *map(str, correlations)))
        values, _ = simulate(matrix, correlations, replicates, generator)
        clusters = matrix.organisms if over == "organisms" else matrix.models
        return detectable(*cluster_sums(values, clusters), level, generator)

    rows = []
    for (about, method, matrix), correlations in product(list(rows_of(runs, kinds)), GRID):
        for over in ("organisms", "models"):
            effect, reason = detected(matrix, correlations, over)
            rows.append(
                {
                    "misalignment": about,
                    "method": method,
                    **matrix.facts(correlations),
                    "test": f"flip_{over}",
                    "holds_level": over == "models" or correlations[0] == 0,
                    "detectable_pp": None if effect is None else 100 * effect * assumed_sd,
                    "assumed_sd_pp": 100 * assumed_sd,
                    "power": POWER,
                    "level": level,
                    "replicates": replicates,
                    "reason": reason,
                }
            )
    return table(rows, POWER_COLUMNS)


def detectable(
    sums: np.ndarray, sizes: np.ndarray, level: float, generator: np.random.Generator
) -> tuple[float | None, str | None]:
    """The shift of every run at which `sign_flip` has the power `POWER`; or None and the reason.

    `sums` [replicates, C] are sums of clusters without a shift, `sizes` [C] their numbers of runs.
    The shift has the unit of `sums`. A shift d adds d * size to each sum, so all patterns of signs
    move linearly in d, and bisection needs no new draws.
    """
    clusters = len(sizes)
    if clusters < FEWEST_CLUSTERS:
        smallest = flip_smallest(clusters)
        return None, f"{clusters} clusters, {FEWEST_CLUSTERS} are needed: smallest p {smallest:.3f}"
    if clusters <= ENUMERATED:
        signs = np.array([(1, *rest) for rest in product((1.0, -1.0), repeat=clusters - 1)])
        added = 0
    else:
        signs, added = random_signs(DRAWN_SIGNS, clusters, generator), 1
    still, moving = sums @ signs.T, signs @ sizes
    totals, runs = sums.sum(axis=1), sizes.sum()

    def power(shift: float) -> float:
        bars = np.abs(totals + shift * runs) * (1 - 1e-12)
        reached = (np.abs(still + shift * moving) >= bars[:, None]).sum(axis=1)
        return float(((added + reached) / (added + len(signs)) <= 1 - level + 1e-12).mean())

    low, high = 0.0, LARGEST
    if power(high) < POWER:
        return (
            None,
            f"no shift reaches a power of {POWER:.0%}: smallest p {flip_smallest(clusters):.3f}",
        )
    for _ in range(14):
        middle = (low + high) / 2
        low, high = (low, middle) if power(middle) >= POWER else (middle, high)
    return high, None
