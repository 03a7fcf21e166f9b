"""The rows of the summary while they are made: which runs, and what effect they show."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from entrench.analysis.risk.gate import doubts
from entrench.analysis.statistics.effect import MODELS, Effect, Unit, effect, organism_means
from entrench.analysis.summary.changes import (
    Prompts,
    Row,
    changes,
    organism_spread,
    organism_variances,
    unit_of,
)
from entrench.analysis.summary.contrasts import Facts
from entrench.analysis.summary.names import ALL_METHODS, organism_name, pooled, run_name
from entrench.errors import EntrenchError
from entrench.methods.shared.catalogue import METHODS


@dataclass
class Line:
    """A row of the summary: its runs, its units (one an organism), and its effects.

    `doubted`: organism -> why nothing can be concluded from it. `of_these` is `effect` about these
    models alone, `beyond` minus greedy self-training, `greedy` on greedy answers. Each is None
    where there is nothing to measure it on.
    """

    misalignment: str
    method: str
    rows: list[Row]  # valid runs
    invalid: list[str]  # names of trainings
    units: list[Unit]  # one an organism
    doubted: dict[str, list[str]] = field(default_factory=dict)  # organism -> why
    effect: Effect | None = None
    of_these: Effect | None = None
    beyond: Effect | None = None
    greedy: Effect | None = None


def lines_of(
    measured: Mapping[str, Sequence[Row]],
    differences: Mapping[str, Mapping[str, Sequence[Unit]]],
    runs: pl.DataFrame,
    facts: Mapping[str, Row],
    greedy_prompts: Prompts,
    methods: Facts,
) -> list[Line]:
    """The rows of the summary, by misalignment and method; the row over methods comes last.

    `measured`: misalignment -> its `changes`; `differences`: misalignment -> contrast -> its units;
    `facts`: organism -> its row of organisms.csv; `greedy_prompts`: name of a training -> its
    changes by prompt under greedy decoding. Raises EntrenchError where `facts` lacks an organism.
    """
    lines = [line for name, rows in measured.items() for line in method_lines(name, rows, methods)]
    _with_doubts(lines, runs, facts)
    _with_effects(lines)
    with_beyond(lines, differences, methods)
    _with_greedy(lines, runs, greedy_prompts)
    return lines


def method_lines(misalignment: str, rows: Sequence[Row], methods: Facts) -> Iterator[Line]:
    """The rows of one misalignment before their effects: each method, then all of consistency."""
    names = sorted({row["method"] for row in rows})
    groups = {name: [row for row in rows if row["method"] == name] for name in names}
    if consistency := [row for row in rows if pooled(methods[row["method"]])]:
        groups[ALL_METHODS] = consistency
    for name, own in groups.items():
        valid = [row for row in own if row["valid"]]
        invalid = [run_name(row) for row in own if not row["valid"]]
        units = organism_means([unit_of(row) for row in valid])
        yield Line(misalignment, name, valid, invalid, units)


def _with_doubts(lines: Iterable[Line], runs: pl.DataFrame, facts: Mapping[str, Row]) -> None:
    """Why nothing can be concluded from an organism: where this holds of all its trainings."""
    against: dict[tuple[str, str], list[list[str]]] = {}
    for run in runs.iter_rows(named=True):
        name = organism_name(run)
        if name not in facts:
            raise EntrenchError(
                f"{name} has a run but no row in the table of organisms: delete both tables and "
                "run the same command again"
            )
        if run["valid"]:
            against.setdefault((name, run["method"]), []).append(doubts(run, facts[name]))
    for line in lines:
        of_organism: dict[str, list[list[str]]] = {}
        for row in line.rows:
            name = organism_name(row)
            of_organism.setdefault(name, []).extend(against[name, row["method"]])
        line.doubted = {name: found[0] for name, found in of_organism.items() if all(found)}


def _with_effects(lines: Sequence[Line]) -> None:
    methods: dict[str, dict[str, list[Unit]]] = {}
    for line in lines:
        if line.method != ALL_METHODS:
            methods.setdefault(line.misalignment, {})[line.method] = line.units
    spreads = organism_variances(methods)
    for line in lines:
        spread = spreads.get((line.misalignment, line.method)) or organism_spread(line.units)
        line.effect = effect(line.units, spread)
        line.of_these = effect(line.units, spread, widest=MODELS)


def with_beyond(
    lines: Iterable[Line],
    differences: Mapping[str, Mapping[str, Sequence[Unit]]],
    methods: Facts,
) -> None:
    """The effect minus greedy self-training of the same organism, for each method."""
    controls = [
        name
        for name, own in methods.items()
        if METHODS[own["operator"]].control_of == "all" and own.get("variant_of") is None
    ]
    control = controls[0] if controls else None
    rows = {
        name: {
            row.removesuffix(f" - {control}"): organism_means(units)
            for row, units in own.items()
            if row.endswith(f" - {control}")
        }
        for name, own in differences.items()
    }
    spreads = organism_variances(rows)
    for line in lines:
        if line.method == ALL_METHODS:
            units = organism_means(
                [
                    unit
                    for name, own in rows[line.misalignment].items()
                    if name in methods and pooled(methods[name])
                    for unit in own
                ]
            )
            spread = organism_spread(units)
            line.beyond = effect(units, spread)
        elif units := rows[line.misalignment].get(line.method, []):
            line.beyond = effect(units, spreads.get((line.misalignment, line.method)))


def _with_greedy(lines: Iterable[Line], runs: pl.DataFrame, prompts: Prompts) -> None:
    """The effect where risk is measured on greedy answers."""
    greedy = runs.with_columns(
        pl.col("greedy_delta_risk").alias("delta_risk"),
        (pl.col("valid") & pl.col("greedy_delta_risk").is_not_null()).alias("valid"),
    )
    measured = changes(greedy, prompts)
    units = {
        (line.misalignment, line.method): organism_means(
            [
                unit_of(row)
                for row in measured[line.misalignment]
                if row["valid"] and row["method"] in {own["method"] for own in line.rows}
            ]
        )
        for line in lines
    }
    rows: dict[str, dict[str, list[Unit]]] = {}
    for (misalignment, method), own in units.items():
        if method != ALL_METHODS:
            rows.setdefault(misalignment, {})[method] = own
    spreads = organism_variances(rows)
    for line in lines:
        own = units[line.misalignment, line.method]
        spread = spreads.get((line.misalignment, line.method)) or organism_spread(own)
        line.greedy = effect(own, spread)
