"""Intervals of plain means and shares over runs, over organisms or models as clusters.

They take the evaluation prompts as given, and say nothing of other trainings. The summary's own
intervals are of `effect`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from entrench.analysis.statistics.bootstrap import Interval
from entrench.analysis.statistics.clusters import (
    FEWEST_TO_RESAMPLE,
    cluster_interval,
    cluster_totals,
    clustered_share_interval,
)
from entrench.analysis.statistics.significance import ROUNDING
from entrench.seeds import derive_seed


@dataclass(frozen=True)
class Settings:
    """How an interval is computed."""

    bootstrap: int  # replicates
    level: float
    seed: int


@dataclass(frozen=True)
class Measured:
    """One number of a mean, such as a run's delta-risk, with its clusters and its name."""

    value: float  # fraction
    organism: str
    model: str
    name: str
    over_prompts: Interval | None = None  # of a single run


def mean_interval(units: Sequence[Measured], settings: Settings) -> tuple[str | None, Interval]:
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


def suppressed_interval(units: Sequence[Measured], level: float) -> tuple[str | None, Interval]:
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


def models_interval(units: Sequence[Measured], settings: Settings) -> tuple[str | None, Interval]:
    """The kind and interval of `mean_interval`, with models as the clusters; 2 are needed."""
    labels = [unit.model for unit in units]
    if len(set(labels)) == 1:
        return None, Interval(None, None, "1 model, 2 are needed")
    return _cluster_mean(labels, "models", units, settings)


def _cluster_mean(
    labels: Sequence[str], name: str, units: Sequence[Measured], settings: Settings
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
