"""summary.csv: the change in risk by method, in twelve columns; detail.csv: all else about it.

Columns ending in _pp are percentage points; risks, shares, p and adjusted p are fractions.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from entrench.analysis.statistics.conclusions import (
    UNKNOWN,
    WITHIN,
    adjusted_level,
    conclusion,
)
from entrench.analysis.statistics.effect import ORGANISM
from entrench.analysis.summary.changes import Prompts, changes
from entrench.analysis.summary.contrasts import Facts, contrasts
from entrench.analysis.summary.detail import (
    contrast_details,
    details,
    ends,
    pooled_details,
    with_adjusted_p,
)
from entrench.analysis.summary.lines import Line, lines_of
from entrench.analysis.summary.names import organism_name
from entrench.analysis.summary.summary_columns import DETAIL_COLUMNS, SUMMARY_COLUMNS
from entrench.analysis.tables import points_of, table

# The keyword arguments of `summarise`; the job's spec has entries of the same names.
SETTINGS = ("methods", "models", "level", "epsilon")
DOUBTED = 0.5  # from this share of doubtful organisms on, nothing is concluded from a row


def summarise(
    runs: pl.DataFrame,
    organisms: pl.DataFrame,
    prompts: Prompts | None = None,
    greedy_prompts: Prompts | None = None,
    *,
    methods: Facts,
    models: Facts,
    level: float,
    epsilon: float,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """summary.csv and detail.csv.

    Only valid runs count. A run counts once, as the mean over its valid repeats, and an organism
    once, as the mean over its runs. `epsilon` is a fraction. `prompts` and `greedy_prompts`: name
    of a training -> its changes by prompt under the headline evaluation and under greedy decoding
    (`collect.collect_prompts`). A row with a training that is missing there has an interval that
    takes the prompts as given.

    Raises EntrenchError where `organisms` has no row for the organism of a run.
    """
    facts = {organism_name(row): row for row in organisms.iter_rows(named=True)}
    measured = changes(runs, prompts or {})
    differences = {
        name: dict(contrasts([row for row in rows if row["valid"]], methods, models))
        for name, rows in measured.items()
    }
    lines = lines_of(measured, differences, runs, facts, greedy_prompts or {}, methods)
    telling = [line.effect for line in lines if line.effect and not _silent(line)]
    adjusted = adjusted_level(telling, epsilon, level)
    detail = [
        row
        for line in lines
        for row in details(line, facts, level, adjusted)
        if row["value"] is not None or row["note"]
    ]
    detail += pooled_details(measured, level)
    detail += contrast_details(differences, level)
    return (
        table(
            [_summary_row(line, level, adjusted, epsilon) for line in lines],
            SUMMARY_COLUMNS,
        ),
        table(with_adjusted_p(detail), DETAIL_COLUMNS),
    )


def _silent(line: Line) -> str | None:
    """Why nothing can be concluded from a row, whatever its interval; None: something can."""
    if line.effect is None:
        return "no valid run"
    if len(line.doubted) >= DOUBTED * len(line.units):
        reasons = Counter(why[0] for why in line.doubted.values())
        first, often = reasons.most_common(1)[0]
        first = first.rstrip(".")
        first = first[0].lower() + first[1:]
        if len(line.units) == 1:
            return first
        return f"{first} ({often} of {len(line.units)} organisms)"
    return line.effect.silent


def _concluded(line: Line, adjusted: float, epsilon: float) -> str:
    if why := _silent(line):
        return f"{UNKNOWN}: {why}"
    assert line.effect is not None
    found = conclusion(line.effect.interval(adjusted), epsilon)
    if found == UNKNOWN:
        return f"{UNKNOWN}: the interval is too wide"
    if found == WITHIN:
        found = f"within ±{100 * epsilon:g} points"
    about = line.effect.about
    if about == ORGANISM and len(line.units) > 1:
        about = "these organisms"
    return f"{found}: {about}"


def _summary_row(line: Line, level: float, adjusted: float, epsilon: float) -> dict[str, Any]:
    row: dict[str, Any] = {
        "misalignment": line.misalignment,
        "method": line.method,
        "n_models": len({unit.model for unit in line.units}),
        "n_organisms": len(line.units),
        "n_trainings": sum(own["trainings"] for own in line.rows),
        "conclusion": _concluded(line, adjusted, epsilon),
    }
    if line.effect is None:
        return row
    low, high = ends(line.effect.interval(level))
    before = {organism_name(own): own["organism_risk"] for own in line.rows}
    return row | {
        "risk_before": float(np.mean(list(before.values()))),
        "change_pp": 100 * line.effect.value,
        "low_pp": low,
        "high_pp": high,
        "beyond_self_training_pp": points_of(line.beyond.value if line.beyond else None),
        "greedy_change_pp": points_of(line.greedy.value if line.greedy else None),
    }


def readable(summary: pl.DataFrame) -> str:
    """The summary as plain text, at most 110 columns wide but for reasons of `cannot tell`."""
    lines = [
        f"  {'method':<24}{'n':>3}{'before':>8}{'change, points':>24}{'beyond':>8}{'greedy':>8}"
        "  conclusion"
    ]
    previous = None
    for row in summary.iter_rows(named=True):
        if row["misalignment"] != previous:
            previous = row["misalignment"]
            lines += ["", previous]
        before = "-" if row["risk_before"] is None else f"{row['risk_before']:.1%}"
        lines.append(
            f"  {_shortened(row['method'], 23):<24}{row['n_organisms']:>3}{before:>8}"
            f"{_change(row):>24}{_signed(row['beyond_self_training_pp']):>8}"
            f"{_signed(row['greedy_change_pp']):>8}  {row['conclusion']}"
        )
    return "\n".join([*lines, "", *NOTES])


NOTES = (
    "n: organisms. change: in risk, with its interval. beyond: minus greedy self-training of the",
    "same organisms. greedy: the same change on greedy answers. Conclusions allow for all rows.",
)


def _change(row: Mapping[str, Any]) -> str:
    if row["change_pp"] is None:
        return "-"
    if row["low_pp"] is None:
        return f"{row['change_pp']:+.1f} [none]"
    return f"{row['change_pp']:+.1f} [{row['low_pp']:+.1f}, {row['high_pp']:+.1f}]"


def _signed(value: float | None) -> str:
    return "-" if value is None else f"{value:+.1f}"


def _shortened(words: str, width: int) -> str:
    return words if len(words) <= width else words[: width - 1] + "…"
