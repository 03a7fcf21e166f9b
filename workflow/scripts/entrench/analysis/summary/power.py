"""power.csv: the smallest delta-risk the sweep can detect, from its matrix alone.

Power says how often an effect is found. It does not say what a found effect is worth. So the table
holds two more rates of the estimates that are significant (Gelman & Carlin 2014, Perspectives on
Psychological Science 9:641): how many have the wrong sign (type S), and how many times too large
they are (type M). Both are simulated, from the studies that power is simulated from, and stand for
the detectable effect and for smaller true effects (`FRACTIONS` of it).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Any

import numpy as np
import polars as pl

from entrench.analysis.columns import Column, count, number, points, share, text, yes_no
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
# Smaller true effects, as parts of the detectable one: name in the columns -> part.
FRACTIONS = {"half": 0.5, "quarter": 0.25}


def _error_columns(end: str, effect: str) -> dict[str, Column]:
    """Type S and type M where the true mean is `effect`; each name has this `end`."""
    true = f"where the true mean delta-risk is {effect}"
    return {
        f"type_s{end}": share(
            f"type S error {true}: share of significant estimates with the wrong sign"
        ),
        f"type_m{end}": number(
            f"type M error {true}: mean size of a significant estimate, divided by the true size",
            "ratio",
        ),
    }


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
    **_error_columns("", "`detectable_pp`"),
    **{
        name: column
        for part in FRACTIONS
        for name, column in (
            (f"power_{part}", share(f"chance that the test finds a {part} of `detectable_pp`")),
            *_error_columns(f"_{part}", f"a {part} of `detectable_pp`").items(),
        )
    },
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
    type_s and type_m are those of `errors`.
    """

    @cache
    def detected(matrix: Matrix, correlations: tuple[float, float], over: str) -> Any:
        generator = np.random.default_rng(derive_seed(seed, over, *map(str, correlations)))
        values, _ = simulate(matrix, correlations, replicates, generator)
        clusters = matrix.organisms if over == "organisms" else matrix.models
        flips = Flips.of(*cluster_sums(values, clusters), level, generator)
        effect, reason = detectable(flips)
        if effect is None:
            return None, reason, {}
        found = {"": errors(flips, effect)}
        found |= {f"_{name}": errors(flips, part * effect) for name, part in FRACTIONS.items()}
        rates = {f"{rate}{end}": v for end, own in found.items() for rate, v in own.items()}
        return effect, reason, rates | {"power": POWER}

    rows = []
    for (about, method, matrix), correlations in product(list(rows_of(runs, kinds)), GRID):
        for over in ("organisms", "models"):
            effect, reason, rates = detected(matrix, correlations, over)
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
                    **rates,
                    "level": level,
                    "replicates": replicates,
                    "reason": reason,
                }
            )
    return table(rows, POWER_COLUMNS)


@dataclass(frozen=True)
class Flips:
    """The sign-flip test on R simulated studies, whose runs can be shifted without new draws.

    A shift d adds d * size to each cluster's sum. So the sum under a pattern of signs moves
    linearly in d: `still` [R, patterns] plus d times `moving` [patterns]. `totals` [R] are the sums
    of all runs without a shift, `runs` their number, `added` the patterns to count as observed.
    """

    clusters: int
    level: float
    still: np.ndarray
    moving: np.ndarray
    totals: np.ndarray
    runs: float
    added: int

    @classmethod
    def of(
        cls, sums: np.ndarray, sizes: np.ndarray, level: float, generator: np.random.Generator
    ) -> "Flips":
        """From sums of clusters [R, C] without a shift, and their numbers of runs [C]."""
        clusters = len(sizes)
        if clusters <= ENUMERATED:
            signs = np.array([(1, *rest) for rest in product((1.0, -1.0), repeat=clusters - 1)])
            added = 0
        else:
            signs, added = random_signs(DRAWN_SIGNS, clusters, generator), 1
        totals, runs = sums.sum(axis=1), sizes.sum()
        return cls(clusters, level, sums @ signs.T, signs @ sizes, totals, float(runs), added)

    def found(self, shift: float) -> np.ndarray:
        """Whether each study, its runs moved by `shift`, is significant: [R]."""
        bars = np.abs(self.totals + shift * self.runs) * (1 - 1e-12)
        reached = (np.abs(self.still + shift * self.moving) >= bars[:, None]).sum(axis=1)
        p = (self.added + reached) / (self.added + len(self.moving))
        return p <= 1 - self.level + 1e-12

    def means(self, shift: float) -> np.ndarray:
        """Each study's mean over runs, moved by `shift`: [R], in the unit of the sums."""
        return self.totals / self.runs + shift


def detectable(flips: Flips) -> tuple[float | None, str | None]:
    """The shift of every run at which `sign_flip` has the power `POWER`; or None and the reason.

    The shift has the unit of the simulated sums. It is found by bisection.
    """
    if flips.clusters < FEWEST_CLUSTERS:
        smallest = flip_smallest(flips.clusters)
        return (
            None,
            f"{flips.clusters} clusters, {FEWEST_CLUSTERS} are needed: smallest p {smallest:.3f}",
        )
    low, high = 0.0, LARGEST
    if flips.found(high).mean() < POWER:
        smallest = flip_smallest(flips.clusters)
        return None, f"no shift reaches a power of {POWER:.0%}: smallest p {smallest:.3f}"
    for _ in range(14):
        middle = (low + high) / 2
        low, high = (low, middle) if flips.found(middle).mean() >= POWER else (middle, high)
    return high, None


def errors(flips: Flips, effect: float) -> dict[str, float | None]:
    """Power, type S and type M errors where the true mean is `effect` (above 0), simulated.

    type_s  share of the significant estimates with the wrong sign
    type_m  mean of |estimate| / effect among the significant estimates

    Noise is as likely as its mirror image, so each study counts twice: with the effect upwards and
    downwards. None where no estimate is significant.
    """
    found = np.concatenate([flips.found(effect), flips.found(-effect)])
    along = np.concatenate([flips.means(effect), -flips.means(-effect)])[found]
    known = len(along) > 0
    return {
        "power": float(found.mean()),
        "type_s": float((along < 0).mean()) if known else None,
        "type_m": float(np.abs(along).mean() / effect) if known else None,
    }
