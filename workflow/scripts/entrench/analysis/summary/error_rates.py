"""error_rates.csv: how often do the intervals and conclusions of a sweep's summary err?

Whole tables are simulated on the sweep's matrix of runs (`simulation`), and read as the summary
reads a real one.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import polars as pl
from scipy import stats

from entrench.analysis.columns import count, ends, points, share, text, with_ends
from entrench.analysis.statistics.clusters import clustered_share_interval, share_interval
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

MONTE_CARLO = 0.95  # level of the intervals of simulated rates
ROUNDING = 1e-12

COVERAGE, FALSE_ROWS, FALSE_TABLES = (
    "coverage",
    "false conclusions",
    "tables with a false conclusion",
)
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
    "about": text("the rows counted: what their interval is about, in the words of summary.csv"),
    "epsilon_pp": points(
        "the margin of conclusions; the true mean change of every method lies on it"
    ),
    "n_rows": count("rows counted in each simulated table", "rows"),
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
    "replicates": count("simulated tables", "tables"),
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
    kinds: Mapping[str, str],
    *,
    level: float,
    epsilon: float,
    assumed_sd: float,
    replicates: int,
    seed: int,
) -> pl.DataFrame:
    """Coverage of intervals at `level`, and false conclusions, in `replicates` simulated tables.

    For each pair of correlations in `GRID`, without and with noise of items; where no row speaks of
    new models, models do not correlate, since their effects are in what is true. Conclusions are
    drawn as in the summary, at the margin 0 and at `epsilon`. The true mean change of every method
    is this margin: there an error is likeliest. `kinds`: method -> its kind; `epsilon` and
    `assumed_sd` are fractions.
    """
    planned = method_rows(runs)
    pooled = {name for name, kind in kinds.items() if kind == "consistency"}
    rows: list[dict[str, Any]] = []
    several = any(
        len({organism.model for organism in row}) >= FEWEST_MODELS
        for own in planned.values()
        for row in own.values()
    )
    pairs = [pair for pair in GRID if several or not pair[0]]
    for correlations, item_sd in product(pairs, (0.0, ITEM_SD)):
        generator = np.random.default_rng(derive_seed(seed, *map(str, correlations), str(item_sd)))
        found = _Cell(level, (0.0, epsilon))
        for _ in range(replicates):
            study = simulate(
                planned, correlations, sd=assumed_sd, item_sd=item_sd, generator=generator
            )
            found.add(*effects(study, pooled))
        cell = dict(zip(CORRELATION_COLUMNS, correlations, strict=True))
        rows += [cell | {"item_sd_pp": 100 * item_sd} | row for row in found.rows()]
    return table(rows, RATE_COLUMNS)


class _Cell:
    """What simulated tables of one pair of correlations showed, table by table."""

    def __init__(self, level: float, margins: tuple[float, ...]) -> None:
        self.level, self.margins = level, sorted(set(margins))
        self.covered: dict[str, list[list[bool]]] = defaultdict(list)  # about -> tables -> rows
        self.widths: dict[str, list[float]] = defaultdict(list)
        self.false: dict[tuple[str, float], list[list[bool]]] = defaultdict(list)
        self.tables: dict[float, list[bool]] = defaultdict(list)

    def add(self, effects: list[Found], of_models: list[Found]) -> None:
        """One more table, in the two lists of `effects`; the second concludes nothing."""
        covered, widths = defaultdict(list), defaultdict(list)
        for own, true in effects + of_models:
            interval = own.interval(self.level)
            low, high = interval.low, interval.high
            if low is not None and high is not None:
                covered[own.about].append(low - ROUNDING <= true <= high + ROUNDING)
                widths[own.about].append((high - low) / 2)
        for about in covered:
            self.covered[about].append(covered[about])
            self.widths[about].append(float(np.median(widths[about])))
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
        for about in [name for name in (NEW, MODELS, ORGANISM, WEIGHTS) if name in self.covered]:
            widths = 100 * np.sort(self.widths[about])
            low, high = _median_interval(widths)
            yield {
                "measure": COVERAGE,
                "about": about,
                "nominal": self.level,
                **_share(self.covered[about]),
                "half_width_pp": float(np.median(widths)),
                "half_width_low_pp": low,
                "half_width_high_pp": high,
            }
        for margin in self.tables:
            for about in [name for name, own in self.false if own == margin]:
                yield {
                    "measure": FALSE_ROWS,
                    "about": about,
                    "epsilon_pp": 100 * margin,
                    **_share(self.false[about, margin]),
                }
            yield {
                "measure": FALSE_TABLES,
                "epsilon_pp": 100 * margin,
                "nominal": 1 - self.level,
                **_share([[own] for own in self.tables[margin]]),
                "n_rows": sum(len(own[0]) for (_, at), own in self.false.items() if at == margin),
            }


def _share(tables: list[list[bool]]) -> dict[str, Any]:
    """The share of true entries; its interval takes tables as independent, and not their rows."""
    hits, sizes = (np.array([kind(own) for own in tables], dtype=float) for kind in (sum, len))
    if len(tables) > 1:
        low, high = clustered_share_interval(hits, sizes, MONTE_CARLO)
    else:
        low, high = share_interval(int(hits[0] > 0), 1, MONTE_CARLO)
    return {
        "n_rows": int(sizes[0]),
        "rate": float(hits.sum() / sizes.sum()),
        "rate_low": low,
        "rate_high": high,
        "replicates": len(tables),
    }


def _median_interval(ordered: np.ndarray) -> tuple[float, float]:
    """Exact interval of the median of which `ordered` [n] is a sorted sample, by its ranks."""
    below = int(stats.binom.ppf((1 - MONTE_CARLO) / 2, len(ordered), 0.5))
    rank = max(below - 1, 0)
    return float(ordered[rank]), float(ordered[-1 - rank])
