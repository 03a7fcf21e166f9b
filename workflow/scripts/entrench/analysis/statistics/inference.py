"""The statistics of one row of the summary: mean of its runs, intervals, tests, verdicts."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from entrench.analysis.statistics.bootstrap import Interval
from entrench.analysis.statistics.clusters import (
    FEWEST_TO_RESAMPLE,
    cluster_interval,
    cluster_totals,
    clustered_share_interval,
    share_interval,
)
from entrench.analysis.statistics.inference_columns import TESTS
from entrench.analysis.statistics.mixed import mixed_model
from entrench.analysis.statistics.shared_prompts import Shares, two_way_interval
from entrench.analysis.statistics.significance import (
    ROUNDING,
    Tested,
    sign_flip,
    sign_test,
    wilcoxon,
)
from entrench.seeds import derive_seed


@dataclass(frozen=True)
class Settings:
    """How the statistics of a row are computed; `epsilon` is a fraction."""

    bootstrap: int  # replicates
    level: float  # of intervals
    epsilon: float  # a mean inside [-epsilon, epsilon] counts as neutral
    seed: int


@dataclass(frozen=True)
class Unit:
    """One number of a row: a run's delta-risk, or a difference of two (a contrast)."""

    value: float  # fraction
    organism: str  # cluster: an organism, or a pair of them
    model: str  # cluster: a model, or a pair of them
    name: str
    ineffective: tuple[str, ...] = ()  # organisms behind it whose induction was not effective
    over_prompts: Interval | None = None  # of a single run
    shares: Shares | None = field(default=None, compare=False)  # how each prompt moves the value


def infer(units: Sequence[Unit], settings: Settings) -> dict[str, Any]:
    """The columns `INFERENCE_COLUMNS` of these units, except q, which needs the whole table.

    docs/columns.md explains each column. Without units only the reasons are there.
    """
    shared: dict[str, Any] = {
        "ci_level": settings.level,
        "epsilon_pp": 100 * settings.epsilon,
    }
    if not units:
        names = ["ci_reason", "models_ci_reason", "prompts_ci_reason"]
        names += [*(f"{test}_reason" for test in TESTS)]
        return shared | dict.fromkeys(names, "no valid run")
    values = np.array([unit.value for unit in units])
    suppressed, amplified = int((values < -ROUNDING).sum()), int((values > ROUNDING).sum())
    low, high = share_interval(suppressed, len(values), settings.level)
    kind, interval = mean_interval(units, settings)
    models_kind, over_models = models_interval(units, settings)
    over_prompts = prompts_interval(units, settings)
    return {
        **shared,
        "n_suppressed": suppressed,
        "n_amplified": amplified,
        "n_tied": len(values) - suppressed - amplified,
        "share_suppressed": suppressed / len(values),
        "share_ci_low": low,
        "share_ci_high": high,
        "mean_delta_pp": 100 * float(values.mean()),
        "median_delta_pp": 100 * float(np.median(values)),
        "ci_low_pp": _points(interval.low),
        "ci_high_pp": _points(interval.high),
        "ci_kind": kind,
        "ci_reason": interval.reason,
        "models_ci_low_pp": _points(over_models.low),
        "models_ci_high_pp": _points(over_models.high),
        "models_ci_kind": models_kind,
        "models_ci_reason": over_models.reason,
        "prompts_ci_low_pp": _points(over_prompts.low),
        "prompts_ci_high_pp": _points(over_prompts.high),
        "prompts_ci_reason": over_prompts.reason,
        "verdict": verdict(interval, settings.epsilon),
        "models_verdict": verdict(over_models, settings.epsilon),
        "prompts_verdict": verdict(over_prompts, settings.epsilon),
        **_tests(values, units, settings.seed),
    }


def mean_interval(units: Sequence[Unit], settings: Settings) -> tuple[str | None, Interval]:
    """The kind of the interval (how it was made, over which units), and the mean's interval.

    The bounds are fractions. Organisms are the clusters. With one organism its runs are, and the
    interval says nothing about other organisms. One run has its own interval over prompts, which
    says nothing about other runs.
    """
    if len(units) == 1:
        if units[0].over_prompts is None:
            return None, Interval(None, None, "one difference: no spread to resample")
        return "prompts of one run", units[0].over_prompts
    labels, name = [unit.organism for unit in units], "organisms"
    if len(set(labels)) == 1:
        labels, name = [unit.name for unit in units], "runs of one organism"
    return _cluster_mean(labels, name, units, settings)


def suppressed_interval(units: Sequence[Unit], level: float) -> tuple[str | None, Interval]:
    """The kind of the interval, and the interval of the share of units whose risk fell, in [0, 1].

    Models are the clusters where there are `FEWEST_TO_RESAMPLE` or more. Otherwise organisms are,
    and with one organism its runs.
    """
    if len(units) == 1:
        return None, Interval(None, None, "one run: a share of one")
    choices = {
        "models": [unit.model for unit in units],
        "organisms": [unit.organism for unit in units],
        "runs of one organism": [unit.name for unit in units],
    }
    fewest = {"models": FEWEST_TO_RESAMPLE}
    name, labels = next(
        (name, labels)
        for name, labels in choices.items()
        if len(set(labels)) >= fewest.get(name, 2)
    )
    fell = np.array([unit.value < -ROUNDING for unit in units], dtype=float)
    low, high = clustered_share_interval(*cluster_totals(fell, labels), level)
    return f"exact over {name}", Interval(low, high)


def verdict(interval: Interval, epsilon: float) -> str:
    """The verdict at the margin `epsilon`, in the interval's unit.

    "amplifies" (above the margin), "suppresses" (below minus the margin), "neutral" (inside), else
    "undetermined".
    """
    if interval.low is None or interval.high is None:
        return "undetermined"
    if interval.low > epsilon:
        return "amplifies"
    if interval.high < -epsilon:
        return "suppresses"
    if -epsilon < interval.low and interval.high < epsilon:
        return "neutral"
    return "undetermined"


def models_interval(units: Sequence[Unit], settings: Settings) -> tuple[str | None, Interval]:
    """The kind and interval of `mean_interval`, with models as the clusters; 2 are needed."""
    labels = [unit.model for unit in units]
    if len(set(labels)) == 1:
        return None, Interval(None, None, "1 model, 2 are needed")
    return _cluster_mean(labels, "models", units, settings)


def prompts_interval(units: Sequence[Unit], settings: Settings) -> Interval:
    """Interval of the mean (a fraction) over organisms and evaluation prompts at once."""
    shares = [unit.shares for unit in units if unit.shares is not None]
    if len(shares) < len(units):
        return Interval(None, None, "the deltas of each prompt are not known")
    labels, place = np.unique([unit.organism for unit in units], return_inverse=True)
    of_organisms = np.zeros((len(labels), len(shares[0].values)))
    for number, own in zip(place, shares, strict=True):
        of_organisms[number] += own.values
    sums, sizes = cluster_totals(
        np.array([unit.value for unit in units]), [unit.organism for unit in units]
    )
    return two_way_interval(sums, sizes, of_organisms, shares[0].strata, settings.level)


def _cluster_mean(
    labels: Sequence[str], name: str, units: Sequence[Unit], settings: Settings
) -> tuple[str, Interval]:
    sums, sizes = cluster_totals(np.array([unit.value for unit in units]), labels)
    how, interval = cluster_interval(
        sums,
        sizes,
        bootstrap=settings.bootstrap,
        level=settings.level,
        seed=derive_seed(settings.seed, name, *(unit.name for unit in units)),
    )
    return f"{how} over {name}", interval


def _tests(values: np.ndarray, units: Sequence[Unit], seed: int) -> dict[str, Any]:
    organisms = [unit.organism for unit in units]
    models = [unit.model for unit in units]
    tests: dict[str, Tested] = {"sign_test": sign_test(values), "wilcoxon": wilcoxon(values)}
    for name, labels in (("organisms", organisms), ("models", models)):
        sums, _ = cluster_totals(values, labels)
        tests[f"flip_{name}"] = sign_flip(sums, name, derive_seed(seed, "flip", name))
    mixed = mixed_model(values, models, organisms)
    row: dict[str, Any] = {}
    for name, test in tests.items():
        row |= {f"{name}_p": test.p, f"{name}_smallest_p": test.smallest}
        row[f"{name}_reason"] = test.reason
    return row | {
        "mixed_p": mixed.p,
        "mixed_reason": mixed.reason,
        "mixed_formula": mixed.formula,
        "mixed_mean_pp": _points(mixed.mean),
        "mixed_se_pp": _points(mixed.error),
        "mixed_sd_model_pp": _points(mixed.sd_model),
        "mixed_sd_organism_pp": _points(mixed.sd_organism),
        "mixed_sd_residual_pp": _points(mixed.sd_residual),
    }


def _points(fraction: float | None) -> float | None:
    return None if fraction is None else 100 * fraction
