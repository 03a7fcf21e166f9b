"""Simulated delta-risks on a sweep's matrix of runs: how often do tests and intervals err?

The runs of a row share models and organisms. A simulated delta-risk is a normal number with
variance 1. The share `model_correlation` of the variance is the model's. The share
`organism_correlation` of the rest is the organism's. The remainder is the run's own. So two runs of
one model correlate by the first share, and two runs of one organism, within its model, by the
second.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np
import polars as pl

from entrench.analysis.columns import ORGANISM, count, ends, share, text
from entrench.analysis.statistics.clusters import cluster_interval, share_interval
from entrench.analysis.statistics.mixed import mixed_model
from entrench.analysis.statistics.significance import (
    FEWEST_CLUSTERS,
    Tested,
    drawn_flip,
    flip_smallest,
    sign_flip,
    sign_test,
    wilcoxon,
)
from entrench.analysis.summary.names import ALL_METHODS
from entrench.analysis.tables import table
from entrench.seeds import derive_seed
from entrench.study.sweep import Run

CORRELATIONS = (0.0, 0.3, 0.6)
GRID = tuple(product(CORRELATIONS, CORRELATIONS))  # (model, organism)
DRAWN_SIGNS = 999
THESE, LIKE_THESE = "these models", "models like these"

MATRIX_COLUMNS = {
    "misalignment": ORGANISM["misalignment"],
    "method": text("a method, or `all consistency methods`"),
    "n_runs": count("runs of the row in the sweep", "runs"),
    "n_organisms": count("organisms that these runs are on", "organisms"),
    "n_models": count("models that these runs are on", "models"),
    "model_correlation": share(
        "share of a simulated delta-risk's variance that is due to its model"
    ),
    "organism_correlation": share("share of the remaining variance that is due to its organism"),
}
RATE_COLUMNS = {
    **MATRIX_COLUMNS,
    "procedure": text("the test or the interval that is tried"),
    "measure": text("a test's false positives, or an interval's coverage"),
    "target": text(
        "the mean that an interval should cover: of `these models` or `models like these`"
    ),
    "nominal": share("the rate that the procedure should have"),
    "rate": share("the rate that the procedure has in simulations without any effect"),
    **ends("rate", "`rate`, for the number of simulated studies (Monte Carlo)", "share, 0 to 1"),
    "replicates": count("simulated studies with a result", "studies"),
    "n_simulated": count("simulated studies", "studies"),
    "reason": text("why there is no rate"),
}


@dataclass(frozen=True)
class Matrix:
    """The model and the organism of each run of a row, as numbers from 0; sorted."""

    models: tuple[int, ...]
    organisms: tuple[int, ...]

    @cached_property
    def n_models(self) -> int:
        """Number of models."""
        return len(set(self.models))

    @cached_property
    def n_organisms(self) -> int:
        """Number of organisms."""
        return len(set(self.organisms))

    def facts(self, correlations: tuple[float, float]) -> dict[str, Any]:
        """The columns that say what was simulated."""
        return {
            "n_runs": len(self.models),
            "n_organisms": self.n_organisms,
            "n_models": self.n_models,
            "model_correlation": correlations[0],
            "organism_correlation": correlations[1],
        }


def rows_of(runs: Iterable[Run], kinds: Mapping[str, str]) -> Iterator[tuple[str, str, Matrix]]:
    """(misalignment, method, matrix) of each summary row about methods, from the plan alone.

    `kinds`: method -> its kind. Rows of the same shape have equal matrices.
    """
    runs_of_row: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        about = run.organism.misalignment
        runs_of_row.setdefault((about, run.method), []).append(run)
        if kinds[run.method] == "consistency":
            runs_of_row.setdefault((about, ALL_METHODS), []).append(run)
    for (about, method), own in sorted(runs_of_row.items()):
        yield about, method, _matrix(own)


def simulate(
    matrix: Matrix,
    correlations: tuple[float, float],
    replicates: int,
    generator: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Delta-risks [replicates, runs] of mean 0 and variance 1, and true means [replicates].

    The head of this module says how delta-risks correlate. A true mean is over the models of these
    runs: it is the mean that other organisms of these models would have.
    """
    model, organism = correlations
    of_model = generator.standard_normal((replicates, matrix.n_models))
    of_organism = generator.standard_normal((replicates, matrix.n_organisms))
    own = generator.standard_normal((replicates, len(matrix.models)))
    of_models = np.sqrt(model) * of_model[:, matrix.models]
    values = (
        of_models
        + np.sqrt((1 - model) * organism) * of_organism[:, matrix.organisms]
        + np.sqrt((1 - model) * (1 - organism)) * own
    )
    return values, of_models.mean(axis=1)


def cluster_sums(values: np.ndarray, clusters: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Sums [replicates, C] of `values` [replicates, runs] by cluster, and cluster sizes [C]."""
    places = np.asarray(clusters)
    indicator = (places[:, None] == np.arange(places.max() + 1)).astype(float)
    return values @ indicator, indicator.sum(axis=0)


def error_rates(
    runs: Iterable[Run],
    kinds: Mapping[str, str],
    *,
    level: float,
    replicates: int,
    mixed_replicates: int,
    bootstrap: int,
    seed: int,
) -> pl.DataFrame:
    """False positives of each test and coverage of each interval, where no method has an effect.

    They are simulated for two rows of the summary, at every pair of correlations in `GRID`: the row
    over methods with the most runs, and the row of one method with the most runs. A false positive
    is a p of at most 1 - `level`, where the mean over models like these is 0. Coverage is measured
    for two means (`target`): the mean over models like these, and the mean of these models, which
    is not 0 where models differ. Mixed models take long, so they have `mixed_replicates`. In the
    table `replicates` counts the simulated studies with a result, out of `n_simulated`.
    """
    found = list(rows_of(runs, kinds))
    rows: list[dict[str, Any]] = []
    for over in (False, True):
        fitting = [row for row in found if (row[1] == ALL_METHODS) is over]
        if not fitting:
            continue
        about, method, matrix = max(fitting, key=lambda row: (len(row[2].models), row[:2]))
        for correlations in GRID:
            generator = np.random.default_rng(
                derive_seed(seed, about, method, *map(str, correlations))
            )
            values, of_models = simulate(matrix, correlations, replicates, generator)
            own = {"misalignment": about, "method": method, **matrix.facts(correlations)}
            rows += [own | rate for rate in _false_positives(values, matrix, level, generator)]
            rows.append(own | _mixed(values[:mixed_replicates], matrix, level))
            rows += [
                own | rate for rate in _coverages(values, of_models, matrix, level, bootstrap, seed)
            ]
    return table(rows, RATE_COLUMNS)


def _matrix(runs: Iterable[Run]) -> Matrix:
    by_model: dict[str, dict[int, int]] = {}
    for run in runs:
        counts = by_model.setdefault(run.organism.model, {})
        counts[run.organism.seed] = counts.get(run.organism.seed, 0) + 1
    shape = sorted(
        (sorted(counts.values(), reverse=True) for counts in by_model.values()), reverse=True
    )
    models: list[int] = []
    organisms: list[int] = []
    for model, sizes in enumerate(shape):
        for size in sizes:
            number = organisms[-1] + 1 if organisms else 0
            models += [model] * size
            organisms += [number] * size
    return Matrix(tuple(models), tuple(organisms))


def _false_positives(
    values: np.ndarray, matrix: Matrix, level: float, generator: np.random.Generator
) -> Iterator[dict[str, Any]]:
    for name, test in (("sign_test", sign_test), ("wilcoxon", wilcoxon)):
        yield _rate(name, [test(row) for row in values], level)
    organisms, _ = cluster_sums(values, matrix.organisms)
    smallest = flip_smallest(matrix.n_organisms)
    if matrix.n_organisms < FEWEST_CLUSTERS:
        tested = [sign_flip(organisms[0], "organisms", 0)] * len(values)
    else:
        tested = [Tested(p, smallest) for p in drawn_flip(organisms, DRAWN_SIGNS, generator)]
    yield _rate("flip_organisms", tested, level)
    models, _ = cluster_sums(values, matrix.models)
    yield _rate("flip_models", [sign_flip(row, "models", 0) for row in models], level)


def _rate(name: str, tested: list[Tested], level: float) -> dict[str, Any]:
    ps = [test.p for test in tested if test.p is not None]
    row: dict[str, Any] = {"procedure": name, "measure": "false positives", "target": LIKE_THESE}
    row |= {"nominal": 1 - level, "n_simulated": len(tested)}
    if not ps:
        reason = tested[0].reason if tested else "nothing was simulated"
        return row | {"replicates": 0, "reason": reason}
    return row | _share(sum(p <= 1 - level + 1e-12 for p in ps), len(ps))


def _mixed(values: np.ndarray, matrix: Matrix, level: float) -> dict[str, Any]:
    labels = [list(map(str, codes)) for codes in (matrix.models, matrix.organisms)]
    fits = [mixed_model(row, *labels) for row in values]
    return _rate("mixed", [Tested(fit.p, None, fit.reason) for fit in fits], level)


def _coverages(
    values: np.ndarray,
    of_models: np.ndarray,
    matrix: Matrix,
    level: float,
    bootstrap: int,
    seed: int,
) -> Iterator[dict[str, Any]]:
    targets = {THESE: of_models, LIKE_THESE: np.zeros(len(values))}
    for name, clusters in (("organisms", matrix.organisms), ("models", matrix.models)):
        sums, sizes = cluster_sums(values, clusters)
        row: dict[str, Any] = {"procedure": f"interval over {name}", "measure": "coverage"}
        row |= {"nominal": level, "n_simulated": len(values)}
        covered: dict[str, list[bool]] = {target: [] for target in targets}
        for number, own in enumerate(sums):
            _, interval = cluster_interval(
                own, sizes, bootstrap=bootstrap, level=level, seed=seed + number
            )
            for target, truth in targets.items():
                if interval.low is not None:
                    covered[target].append(bool(interval.low <= truth[number] <= interval.high))
        for target, held in covered.items():
            if held:
                yield row | {"target": target} | _share(sum(held), len(held))
            else:
                yield row | {"target": target, "replicates": 0, "reason": interval.reason}


def _share(hits: int, of: int) -> dict[str, Any]:
    low, high = share_interval(hits, of, 0.95)
    return {"rate": hits / of, "rate_low": low, "rate_high": high, "replicates": of}
