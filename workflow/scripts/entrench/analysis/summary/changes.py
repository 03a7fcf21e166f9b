"""Changes in risk, ready for the summary: one row a run, with its training variance and its items.

A row is one of runs_detail.csv, the mean over the valid repeats of its run, with more entries:
`trainings` (their number), `training` (the variance of the mean that training causes; None where
nothing shows it), `shares` (how each item moves it; None where not known) and `halves` (the change
on each half of the items; None where items are not known).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from entrench.analysis.risk.repeats import mean_over_repeats
from entrench.analysis.statistics.bootstrap import Interval
from entrench.analysis.statistics.effect import Unit
from entrench.analysis.statistics.halves import Half, half_changes, mean_half
from entrench.analysis.statistics.inference import Measured
from entrench.analysis.statistics.moderation import Common, Values, Variance, commons, within
from entrench.analysis.statistics.shared_prompts import mean_shares, run_shares
from entrench.analysis.summary.names import organism_name, run_name

Row = dict[str, Any]
Prompts = Mapping[str, pl.DataFrame]  # name of a training -> rows of its delta_prompts.csv


def changes(runs: pl.DataFrame, prompts: Prompts) -> dict[str, list[Row]]:
    """Misalignment -> its rows, invalid trainings last. `delta_risk` is the change, a fraction."""
    spreads = training_variances(runs)
    found = {}
    ordered = runs.sort("model", "misalignment", "seed", "method", "repeat")
    for (misalignment,), own in ordered.group_by("misalignment", maintain_order=True):
        behind: dict[str, list[str]] = {}  # run -> its valid trainings
        for row in own.filter("valid").iter_rows(named=True):
            behind.setdefault(run_name(row | {"repeat": 1}), []).append(run_name(row))
        names = [name for all_of_it in behind.values() for name in all_of_it if name in prompts]
        known = {name: prompts[name] for name in names}
        shares, halves = run_shares(known), half_changes(known)
        rows = []
        for row in mean_over_repeats(own).iter_rows(named=True):
            trainings = behind.get(run_name(row), []) if row["valid"] else []
            spread = spreads.get((str(misalignment), row["method"]))
            rows.append(
                row
                | {
                    "trainings": len(trainings),
                    "training": of_mean(spread, len(trainings)),
                    "shares": mean_shares([shares.get(name) for name in trainings]),
                    "halves": _halves([halves.get(name) for name in trainings]),
                }
            )
        found[str(misalignment)] = rows
    return found


def training_variances(runs: pl.DataFrame) -> dict[tuple[str, str], Variance]:
    """(misalignment, method) -> the variance between trainings of one organism, moderated.

    A method without repeats has the variance that the other methods of its misalignment show.
    Without any repeat on a misalignment its methods have none.
    """
    rows = _trainings(runs)
    return {
        (misalignment, method): known.moderated(within(values))
        for misalignment, known in _commons(rows).items()
        for method, values in rows[misalignment].items()
    }


def organism_variances(
    rows: Mapping[str, Mapping[str, Sequence[Unit]]],
) -> dict[tuple[str, str], Variance]:
    """(misalignment, row) -> the variance between organisms of one model, moderated over rows.

    `rows`: misalignment -> row -> its units, one an organism.
    """
    values = {
        misalignment: {name: _by_model(units) for name, units in own.items()}
        for misalignment, own in rows.items()
    }
    return {
        (misalignment, name): known.moderated(within(row))
        for misalignment, known in _commons(values).items()
        for name, row in values[misalignment].items()
    }


def common_training_variance(runs: pl.DataFrame) -> dict[str, float]:
    """Misalignment -> the variance between trainings that its methods have in common."""
    return {name: one.value for name, one in _commons(_trainings(runs)).items()}


def common_organism_variance(rows: Sequence[Sequence[Unit]]) -> float | None:
    """The variance between organisms of one model that rows have in common; None without any."""
    found = commons({"": [_by_model(units) for units in rows]})
    return found[""].value if found else None


def organism_spread(units: Sequence[Unit]) -> Variance:
    """The variance between organisms of one model that these units alone show."""
    return within(_by_model(units))


def measured_runs(runs: Sequence[Mapping[str, Any]]) -> list[Measured]:
    """Rows of runs_detail.csv for intervals of plain means and shares over runs."""
    return [
        Measured(
            value=run["delta_risk"],
            organism=organism_name(run),
            model=run["model"],
            name=run_name(run),
            over_prompts=Interval(run["ci_low"], run["ci_high"], run["ci_reason"]),
        )
        for run in runs
    ]


def unit_of(row: Row) -> Unit:
    """The unit of a row of `changes`."""
    return Unit(
        value=row["delta_risk"],
        organism=organism_name(row),
        model=row["model"],
        trainings=row["trainings"],
        training=row["training"],
        shares=row["shares"],
    )


def _by_model(units: Sequence[Unit]) -> Values:
    return {(unit.model, unit.organism): unit.value for unit in units}


def _trainings(runs: pl.DataFrame) -> dict[str, dict[str, dict[tuple[str, str], float]]]:
    """Misalignment -> method -> (organism, repeat) -> the change in risk."""
    rows: dict[str, dict[str, dict[tuple[str, str], float]]] = {}
    for run in runs.filter("valid").iter_rows(named=True):
        own = rows.setdefault(run["misalignment"], {}).setdefault(run["method"], {})
        own[organism_name(run), str(run["repeat"])] = run["delta_risk"]
    return rows


def _commons(rows: Mapping[str, Mapping[str, Values]]) -> dict[str, Common]:
    return commons({name: list(own.values()) for name, own in rows.items()})


def of_mean(spread: Variance | None, trainings: int) -> Variance | None:
    """The variance of a mean of so many trainings, from that of one."""
    if spread is None or not trainings:
        return None
    return Variance(spread.value / trainings, spread.free, spread.carried)


def _halves(trainings: Sequence[tuple[Half, Half] | None]) -> tuple[Half, Half] | None:
    known = [halves for halves in trainings if halves is not None]
    if not known or len(known) < len(trainings):
        return None
    first, second = (mean_half(of_half) for of_half in zip(*known, strict=True))
    return first, second
