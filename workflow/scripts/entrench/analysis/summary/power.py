"""power.csv: the smallest change that the sweep can detect, from its matrix of runs alone.

An interval is a mean plus or minus Student's t times a standard error with few degrees of freedom.
So the chance that it lies beyond the margin follows a noncentral t distribution. It is computed
here from the variances that `simulation` assumes, without noise of items, which adds to them. Where
the config names a pilot, it is also computed from the pilot's own variances (`pilot`).

Power says how often a change is found. It does not say what a found change is worth. So the table
has two more numbers of the changes that are found (Gelman & Carlin 2014, Perspectives on
Psychological Science 9:641): how many have the wrong sign (type S), and how many times too large
they are (type M).
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np
import polars as pl
from scipy.optimize import brentq
from scipy.special import ndtr, stdtrit
from scipy.stats import chi2

from entrench.analysis.columns import (
    ORGANISM,
    Column,
    count,
    number,
    points,
    share,
    text,
)
from entrench.analysis.statistics import effect
from entrench.analysis.statistics.moderation import inverse_trigamma
from entrench.analysis.summary.names import ALL_METHODS
from entrench.analysis.summary.pilot import Pilot, pilots
from entrench.analysis.summary.simulation import (
    CORRELATION_COLUMNS,
    GRID,
    METHOD_SPREAD,
    method_rows,
    variances,
)
from entrench.analysis.tables import table
from entrench.study.sweep import Organism, Run

POWER = 0.8
ASSUMED, MEASURED = "assumed", "pilot"
# Degrees of freedom by which a row's variance is drawn to the common one, if the logarithms of the
# methods' variances differ by 2 `METHOD_SPREAD` (Smyth 2004, sec. 6.2).
PRIOR_FREE = 2 * inverse_trigamma((2 * METHOD_SPREAD) ** 2)
QUANTILES = (np.arange(2000) + 0.5) / 2000  # of the estimated variance
SINGLE = (
    "nothing can be concluded from a single training: add `seeds`, or `repeats` to a block of "
    "`sweep`"
)


def _error_columns(end: str, change: str) -> dict[str, Column]:
    """Power, type S and type M where the true change is `change`; each name has this `end`."""
    true = f"where the true change is {change}"
    return {
        f"power{end}": share(f"chance of the conclusion `rises` or `falls`, {true}"),
        f"type_s{end}": share(
            f"type S error: share of these conclusions with the wrong sign, {true}"
        ),
        f"type_m{end}": number(
            f"type M error: mean size of such a change, divided by the true size, {true}",
            "ratio",
        ),
    }


POWER_COLUMNS = {
    "misalignment": ORGANISM["misalignment"],
    "method": text(f"a method, or `{ALL_METHODS}`"),
    "n_runs": count("runs of the row in the sweep, each once", "runs"),
    "n_trainings": count("trainings of these runs, repeats among them", "trainings"),
    "n_organisms": count("organisms that these runs are on", "organisms"),
    "n_models": count("models that these runs are on", "models"),
    "variances": text(
        f"`{ASSUMED}`: by `statistics.assumed_sd` and the two correlations; `{MEASURED}`: by the "
        "variance.csv that `statistics.pilot` names"
    ),
    **CORRELATION_COLUMNS,
    "about": text("what the row's interval will be about, in the words of summary.csv"),
    "free": number("degrees of freedom that the interval will have, about"),
    "detectable_pp": points(
        "the smallest true change that ends in `rises` or `falls` with a chance of "
        f"{POWER:.0%}, where runs vary by `assumed_sd_pp`"
    ),
    **_error_columns("", "`detectable_pp`"),
    **_error_columns("_half", "half of `detectable_pp`"),
    "assumed_sd_pp": points(
        "standard deviation between runs: `statistics.assumed_sd` of the config, or the pilot's"
    ),
    "epsilon_pp": points("the margin of conclusions, `statistics.epsilon` of the config"),
    "level": share("level of the interval, not yet adjusted for the number of rows"),
    "reason": text("why nothing is detectable"),
}


Pooled = Mapping[Organism, Mapping[str, int]]  # organism -> method -> trainings


@dataclass(frozen=True)
class Spread:
    """How uncertain a coming mean is: its variance, in that of a run, and degrees of freedom."""

    about: str
    variance: float | None = None  # None where there is nothing to conclude from
    free: float | None = None


@dataclass(frozen=True)
class Plan:
    """The coming rows of one misalignment. Method -> organism -> trainings."""

    rows: Mapping[str, Mapping[Organism, int]]

    @cached_property
    def organisms_free(self) -> list[int]:
        """Degrees of freedom between organisms of each method's row that has some."""
        return [free for row in self.rows.values() if (free := _between(row))]

    @cached_property
    def trainings_free(self) -> list[int]:
        """Degrees of freedom between trainings of each method's row that has some."""
        return [free for row in self.rows.values() if (free := _repeats(row))]


def power_table(
    runs: Iterable[Run],
    kinds: Mapping[str, str],
    *,
    level: float,
    epsilon: float,
    assumed_sd: float,
    pilot: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """A row for each summary row about methods and pair of correlations in `GRID`.

    `kinds`: method -> its kind; `epsilon` and `assumed_sd` are fractions. With a `pilot`, a
    variance.csv, each summary row has one more row here, the last.
    """
    rows = []
    measured = None if pilot is None else pilots(pilot)
    for about, own in method_rows(runs).items():
        plan = Plan(own)
        for method, trained in _rows(own, kinds):
            facts = {
                "misalignment": about,
                "method": method,
                "n_runs": sum(map(len, trained.values())),
                "n_trainings": sum(sum(times.values()) for times in trained.values()),
                "n_organisms": len(trained),
                "n_models": len({organism.model for organism in trained}),
                "epsilon_pp": 100 * epsilon,
                "level": level,
            }
            for pair in GRID:
                spread = coming_spread(plan, trained, variances(pair))
                rows.append(
                    facts
                    | {"variances": ASSUMED, "assumed_sd_pp": 100 * assumed_sd}
                    | dict(zip(CORRELATION_COLUMNS, pair, strict=True))
                    | _errors(spread, _deviation(spread, assumed_sd), epsilon, level)
                )
            if measured is not None:
                rows.append(
                    facts
                    | {"variances": MEASURED}
                    | _of_pilot(measured.get(about), plan, trained, epsilon, level)
                )
    return table(rows, POWER_COLUMNS)


def coming_spread(plan: Plan, row: Pooled, parts: Mapping[str, float]) -> Spread:
    """What `effect` will say of a row of one method, or of all; a variance of 1 is a run's.

    `parts`: what the variance of a run is made of, as `simulation.variances` has it.
    """
    models = sorted({organism.model for organism in row})
    of_model = {model: [one for one in row if one.model == model] for model in models}
    within, training, between = {}, {}, {}
    for organism, own in row.items():
        many, trainings = len(own), own.values()
        within[organism] = (
            parts["organism"]
            + parts["organism x method"] / many
            + parts["training"] * sum(1 / times for times in trainings) / many**2
        )
        # As `organism_means`: trainings by several methods are taken to err together.
        together = sum(times**-0.5 for times in trainings) / many
        training[organism] = parts["training"] * together**2
        between[organism.model] = parts["model"] + parts["model x method"] / many
    if len(models) >= effect.FEWEST_MODELS:
        means = np.array(
            [
                between[model] + sum(within[one] for one in some) / len(some) ** 2
                for model, some in of_model.items()
            ]
        )
        weights = 1 / means if plan.organisms_free else np.ones(len(means))
        variance = float((weights**2 * means).sum() / weights.sum() ** 2)
        return Spread(effect.NEW, variance, len(models) - 1)
    methods = {method for own in row.values() for method in own}
    if plan.organisms_free and len(row) > len(models):
        free: float = _between(row)
        if len(methods) == 1:  # a row over methods has no others to be drawn to
            free = _moderated(_between(row), plan.organisms_free, _alike(parts) ** 2)
        return Spread(effect.MODELS, sum(within.values()) / len(row) ** 2, free)
    if plan.trainings_free and sum(sum(own.values()) for own in row.values()) > 1:
        repeats = min(_repeats(plan.rows[method]) for method in methods)
        variance = sum(training.values()) / len(row) ** 2
        return Spread(effect.ORGANISM, variance, _moderated(repeats, plan.trainings_free, 0.0))
    return Spread(effect.WEIGHTS)


def found_errors(
    change: float, deviation: float, free: float, *, epsilon: float, level: float
) -> tuple[float, float, float]:
    """Chance of being found, type S and type M error where the true change is `change`, above 0.

    The estimate is normal with the standard `deviation`; its variance is estimated with `free`
    degrees of freedom. All but the level and `free` have the unit of `change`.
    """
    ends = epsilon + stdtrit(free, (1 + level) / 2) * deviation * _estimated(free)
    above, below = (ends - change) / deviation, (ends + change) / deviation
    rises, falls = ndtr(-above), ndtr(-below)
    size = change * (rises - falls) + deviation * (_density(above) + _density(below))
    found = float((rises + falls).mean())
    return found, float(falls.mean()) / found, float(size.mean()) / found / change


def detectable(deviation: float, free: float, *, epsilon: float, level: float) -> float:
    """The true change that is found with the chance `POWER`, in the unit of `deviation`."""

    def lacking(distance: float) -> float:
        change = epsilon + distance * deviation
        return found_errors(change, deviation, free, epsilon=epsilon, level=level)[0] - POWER

    return epsilon + deviation * float(brentq(lacking, 1e-3, 1e4))


def _of_pilot(
    pilot: Pilot | None, plan: Plan, row: Pooled, epsilon: float, level: float
) -> dict[str, Any]:
    """The columns of a row with the variances of a pilot."""
    spread = coming_spread(plan, row, pilot.parts if pilot else variances((0.0, 0.0)))
    found = {"about": spread.about, "free": spread.free}
    if pilot is None:
        return found | {"reason": "the pilot has no such misalignment"}
    found["assumed_sd_pp"] = 100 * pilot.sd
    if lacking := pilot.lacks(spread.about):
        return found | {"reason": lacking}
    return found | _errors(spread, _deviation(spread, pilot.sd, pilot.items), epsilon, level)


def _deviation(spread: Spread, sd: float, items: float = 0.0) -> float | None:
    """The standard error of a coming mean; `items` is the variance that items add to it."""
    return None if spread.variance is None else (sd**2 * spread.variance + items) ** 0.5


def _alike(parts: Mapping[str, float]) -> float:
    """The correlation of two methods on one organism, inside a model."""
    inside = sum(part for name, part in parts.items() if not name.startswith("model"))
    return parts["organism"] / inside if inside else 0.0


@cache
def _errors(
    spread: Spread, deviation: float | None, epsilon: float, level: float
) -> dict[str, Any]:
    row: dict[str, Any] = {"about": spread.about, "free": spread.free}
    if deviation is None or spread.free is None:
        return row | {"reason": SINGLE}
    if deviation == 0:
        return row | {"reason": "no variance is left: runs of the pilot did not differ"}
    change = detectable(deviation, spread.free, epsilon=epsilon, level=level)
    if change > 1:
        return row | {"reason": "no change of up to 100 points would be found"}
    row["detectable_pp"] = 100 * change
    for end, true in (("", change), ("_half", change / 2)):
        found = found_errors(true, deviation, spread.free, epsilon=epsilon, level=level)
        row |= dict(zip((f"power{end}", f"type_s{end}", f"type_m{end}"), found, strict=True))
    return row


def _rows(
    own: Mapping[str, Mapping[Organism, int]], kinds: Mapping[str, str]
) -> Iterator[tuple[str, Pooled]]:
    """Each method, then all consistency methods."""
    for method, row in own.items():
        yield method, {organism: {method: trainings} for organism, trainings in row.items()}
    pooled: dict[Organism, dict[str, int]] = {}
    for method, row in own.items():
        if kinds[method] == "consistency":
            for organism, trainings in row.items():
                pooled.setdefault(organism, {})[method] = trainings
    if pooled:
        yield ALL_METHODS, pooled


def _between(row: Iterable[Organism]) -> int:
    organisms = set(row)
    return len(organisms) - len({organism.model for organism in organisms})


def _repeats(row: Mapping[Organism, int]) -> int:
    return sum(row.values()) - len(row)


def _moderated(own: int, all_rows: list[int], alike: float) -> float:
    """Degrees of freedom as `Common.moderated` gives them, where variances differ as assumed."""
    most = sum(all_rows) / (1 + (len(all_rows) - 1) * alike)
    return min(most, own + PRIOR_FREE if len(all_rows) > 1 else most)


@cache
def _estimated(free: float) -> np.ndarray:
    """Estimated over true standard deviation, at the `QUANTILES` of its distribution."""
    return np.asarray(np.sqrt(chi2.ppf(QUANTILES, free) / free))


def _density(score: np.ndarray) -> np.ndarray:
    return np.asarray(np.exp(-(score**2) / 2) / np.sqrt(2 * np.pi))
