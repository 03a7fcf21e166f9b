"""error_rates.csv: how often do the intervals and conclusions of a sweep's summary err?

Whole tables are simulated on the sweep's matrix of runs (`simulation`), and read as the summary
reads a real one.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import polars as pl

from entrench.analysis.columns import count, ends, points, share, text, with_ends
from entrench.analysis.statistics.conclusions import (
    FALLS,
    RISES,
    UNKNOWN,
    WITHIN,
    adjusted_level,
    conclusion,
)
from entrench.analysis.statistics.effect import (
    FEWEST_MODELS,
    MODELS,
    NEW,
    ORGANISM,
    WEIGHTS,
)
from entrench.analysis.summary.contrasts import Facts
from entrench.analysis.summary.coverage import COVERAGE, ROUNDING, Coverage, Printed, rate
from entrench.analysis.summary.names import pooled
from entrench.analysis.summary.simulated_details import (
    ONE_MODEL,
    OVER_MODELS,
    OVER_ORGANISMS,
    POOLED,
    printed_details,
    printed_pooled,
)
from entrench.analysis.summary.simulation import (
    CORRELATION_COLUMNS,
    GRID,
    ITEM_SD,
    Found,
    effects,
    method_rows,
    simulate,
)
from entrench.analysis.tables import table
from entrench.seeds import derive_seed
from entrench.study.sweep import Run

CHANGE = "change_pp"
FALSE_ROWS, FALSE_TABLES = "false conclusions", "tables with a false conclusion"
ABOUTS = (NEW, MODELS, ORGANISM, WEIGHTS, OVER_MODELS, OVER_ORGANISMS, ONE_MODEL)

RATE_COLUMNS = {
    **CORRELATION_COLUMNS,
    "item_sd_pp": points(
        "how far each item moves the changes of all runs alike, and that of each run alone "
        "(standard deviation); 0 without noise of items"
    ),
    "measure": text(
        f"`{COVERAGE}`: share of intervals that hold the truth that they are about; "
        f"`{FALSE_ROWS}`: share of rows with one; `{FALSE_TABLES}`: share of tables with at least "
        "one"
    ),
    "quantity": text(
        f"the rows counted: their quantity in detail.csv; conclusions are drawn from `{CHANGE}`"
    ),
    "about": text(
        "the rows counted: what their interval is about, in the words of detail.csv, or "
        f"`{ONE_MODEL}` (`{POOLED}`)"
    ),
    "epsilon_pp": points(
        "the margin of conclusions; the true mean change of every method lies on it"
    ),
    "n_rows": count("rows counted in a simulated table, median over tables", "rows"),
    "nominal": share("the rate that the measure should have; for false conclusions, at most"),
    "rate": share("the rate that it has in simulated tables"),
    **ends("rate", "`rate`, for the number of simulated tables (Monte Carlo)", "share, 0 to 1"),
    **with_ends(
        "half_width_pp",
        points(
            "half the width of these intervals, median of a table, median over tables; its "
            "interval is for the number of simulated tables"
        ),
    ),
    **with_ends(
        "bias_pp",
        points(
            "how far these values lie above the truth, mean of a table, mean over tables; its "
            "interval is for the number of simulated tables"
        ),
    ),
    "replicates": count("simulated tables with such rows", "tables"),
}


def is_false(said: str, true: float, epsilon: float) -> bool:
    """Whether a conclusion is wrong where the true mean change is `true`; one on the margin is."""
    return {
        RISES: true <= epsilon + ROUNDING,
        FALLS: true >= -epsilon - ROUNDING,
        WITHIN: abs(true) >= epsilon - ROUNDING,
        UNKNOWN: False,
    }[said]


def error_rates(
    runs: Iterable[Run],
    methods: Facts,
    models: Facts,
    *,
    level: float,
    epsilon: float,
    assumed_sd: float,
    replicates: int,
    further: int,
    fits: int,
    seed: int,
) -> pl.DataFrame:
    """Coverage of intervals at `level`, and false conclusions, in `replicates` simulated tables.

    For each pair of correlations in `GRID`, without and with noise of items; where no row speaks of
    new models, models do not correlate, since their effects are in what is true. Conclusions are
    drawn as in the summary, at the margin 0 and at `epsilon`. The true mean change of every method
    is this margin: there an error is likeliest. `methods` and `models` as for `contrasts`;
    `epsilon` and `assumed_sd` are fractions.

    The first `further` tables have the other intervals of detail.csv as well, and the first `fits`
    the partly pooled changes. They leave the draws of changes as they are.
    """
    planned = method_rows(runs)
    of_all = {name for name, facts in methods.items() if pooled(facts)}
    rows: list[dict[str, Any]] = []
    several = any(
        len({organism.model for organism in row}) >= FEWEST_MODELS
        for own in planned.values()
        for row in own.values()
    )
    pairs = [pair for pair in GRID if several or not pair[0]]
    for correlations, item_sd in product(pairs, (0.0, ITEM_SD)):
        own_seed = derive_seed(seed, *map(str, correlations), str(item_sd))
        generator = np.random.default_rng(own_seed)
        of_luck = np.random.default_rng(derive_seed(own_seed, "luck"))
        found, details = _Cell(level, (0.0, epsilon)), Coverage()
        for number in range(replicates):
            study = simulate(
                planned, correlations, sd=assumed_sd, item_sd=item_sd, generator=generator
            )
            found.add(*effects(study, of_all))
            printed: list[Printed] = []
            if number < further:
                printed += printed_details(
                    study, methods, models, item_sd=item_sd, level=level, generator=of_luck
                )
            if number < fits:
                printed += printed_pooled(study, level)
            details.add(printed)
        cell = dict(zip(CORRELATION_COLUMNS, correlations, strict=True))
        cell["item_sd_pp"] = 100 * item_sd
        rows += [cell | row for row in (*found.rows(), *details.rows(level, ABOUTS))]
    return table(rows, RATE_COLUMNS)


class _Cell:
    """What simulated tables of one pair of correlations showed, table by table."""

    def __init__(self, level: float, margins: tuple[float, ...]) -> None:
        self.level, self.margins = level, sorted(set(margins))
        self.coverage = Coverage()
        self.false: dict[tuple[str, float], list[list[bool]]] = defaultdict(list)
        self.tables: dict[float, list[bool]] = defaultdict(list)

    def add(self, effects: list[Found], of_models: list[Found]) -> None:
        """One more table, in the two lists of `effects`; the second concludes nothing."""
        self.coverage.add(_printed(effects + of_models, self.level))
        for margin in self.margins:
            moved = [
                (replace(own, value=own.value + margin), true)
                for own, true in effects
                if not own.silent
            ]
            if not moved:
                continue
            level = adjusted_level([own for own, _ in moved], margin, self.level)
            false = defaultdict(list)
            for own, true in moved:
                said = conclusion(own.interval(level), margin)
                false[own.about].append(is_false(said, true + margin, margin))
            for about in false:
                self.false[about, margin].append(false[about])
            self.tables[margin].append(any(any(rows) for rows in false.values()))

    def rows(self) -> Iterator[dict[str, Any]]:
        """The rows of error_rates.csv."""
        yield from self.coverage.rows(self.level, ABOUTS)
        for margin in self.tables:
            for about in [name for name, own in self.false if own == margin]:
                yield {
                    "measure": FALSE_ROWS,
                    "quantity": CHANGE,
                    "about": about,
                    "epsilon_pp": 100 * margin,
                    **rate(self.false[about, margin]),
                }
            yield {
                "measure": FALSE_TABLES,
                "quantity": CHANGE,
                "epsilon_pp": 100 * margin,
                "nominal": 1 - self.level,
                **rate([[own] for own in self.tables[margin]]),
                "n_rows": sum(len(own[0]) for (_, at), own in self.false.items() if at == margin),
            }


def _printed(found: Iterable[Found], level: float) -> Iterator[Printed]:
    for own, true in found:
        interval = own.interval(level)
        if interval.low is not None and interval.high is not None:
            yield Printed(CHANGE, own.about, own.value, interval.low, interval.high, true)
