"""detail.csv: all about the rows of the summary, one quantity a row."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from scipy import stats

from entrench.analysis.risk.answers import ANSWERERS
from entrench.analysis.statistics.bootstrap import Interval
from entrench.analysis.statistics.effect import NEW, Effect, Unit, effect, organism_means
from entrench.analysis.statistics.halves import HALVES, measuring_half, shares_together
from entrench.analysis.statistics.inference import suppressed_interval
from entrench.analysis.statistics.pooling import pool
from entrench.analysis.statistics.significance import ROUNDING, benjamini_hochberg
from entrench.analysis.summary.changes import Row, measured_runs, organism_spread, unit_of
from entrench.analysis.summary.lines import Line
from entrench.analysis.summary.names import organism_name


def details(
    line: Line, facts: Mapping[str, Row], level: float, adjusted: float
) -> Iterator[dict[str, Any]]:
    """The quantities of a row; `adjusted` is the level that its conclusion is drawn at.

    `facts`: organism -> its row of organisms.csv.
    """

    def entry(quantity: str, value: float | None, **more: Any) -> dict[str, Any]:
        return {
            "misalignment": line.misalignment,
            "row": line.method,
            "quantity": quantity,
            "value": value,
            "note": None,
        } | more

    if line.invalid:
        names = "; ".join(line.invalid)
        yield entry("invalid_trainings", float(len(line.invalid)), note=names)
    if line.doubted:
        why = Counter(reason for reasons in line.doubted.values() for reason in reasons)
        told = " ".join(f"{reason} ({often})" for reason, often in why.most_common())
        yield entry("doubted_organisms", float(len(line.doubted)), note=told)
    if line.effect is None:
        return
    yield entry("change_pp", None) | of_effect(line.effect, level)
    if line.of_these and line.effect.about == NEW:
        yield entry("change_of_these_models_pp", None) | of_effect(line.of_these, level)
    if line.effect.variance is not None:
        low, high = ends(line.effect.interval(adjusted))
        yield entry(
            "adjusted_change_pp",
            100 * line.effect.value,
            about=line.effect.about,
            low=low,
            high=high,
            note=f"level {adjusted:.5g}",
        )
    if line.beyond:
        yield entry("beyond_self_training_pp", None) | of_effect(line.beyond, level, most=2.0)
    if line.greedy:
        yield entry("greedy_change_pp", None) | of_effect(line.greedy, level)
    yield entry("effective_change_pp", None) | effective_change(line.rows, facts, level)
    values = np.array([row["delta_risk"] for row in line.rows])
    yield entry("median_change_pp", 100 * float(np.median(values)), note=f"{len(values)} runs")
    yield entry("share_fell", None) | share_fell(line.rows, level)
    yield from (entry(name, level) for name, level in _chance_levels(line, facts))
    yield entry("risk_after", float(np.mean([row["trained_risk"] for row in line.rows])))
    for state in ("excluded", "unscored"):
        shares = [row[f"trained_{state}_share"] for row in line.rows]
        yield entry(f"{state}_share", float(np.mean(shares)))


def _chance_levels(line: Line, facts: Mapping[str, Row]) -> Iterator[tuple[str, float | None]]:
    """The mean risk of answerers that read no prompt, before and after: None where not known."""
    before = [facts[unit.organism] for unit in line.units]
    for phase, rows in (("organism", before), ("trained", line.rows)):
        when = "before" if phase == "organism" else "after"
        for answerer in ANSWERERS:
            levels = [row.get(f"{phase}_chance_{answerer}") for row in rows]
            known = [level for level in levels if level is not None]
            mean = float(np.mean(known)) if known and len(known) == len(levels) else None
            yield f"risk_{when}_by_{answerer}", mean


def of_effect(found: Effect, level: float, most: float = 1.0) -> dict[str, Any]:
    """The entries of a row that an effect fills, in points; it lies between -`most` and `most`."""
    low, high = ends(found.interval(level), most)
    note = found.reason
    if found.variance:
        note = "standard errors (degrees of freedom): " + ", ".join(
            f"{name} {100 * part.value**0.5:.2g} ({part.free:.3g})"
            for name, part in found.parts.items()
            if part.value > 0
        )
        if found.carried:
            note += "; carried from other methods"
    return {
        "about": found.about,
        "value": 100 * found.value,
        "low": low,
        "high": high,
        "p": found.p,
        "note": note,
    }


def effective_change(rows: Sequence[Row], facts: Mapping[str, Row], level: float) -> dict[str, Any]:
    """The change on organisms whose induction worked, without the luck of having been selected.

    An organism counts where one half of the items selects it, with its change on the other half.
    `facts`: organism -> its row of organisms.csv.
    """
    selected, measured = [], []
    for row in rows:
        measuring = measuring_half(row["model"], row["misalignment"], row["seed"])
        shown = facts[organism_name(row)].get(f"effective_{HALVES[1 - measuring]}")
        if shown and row["halves"] and np.isfinite(row["halves"][measuring].change):
            selected.append(row)
            measured.append((measuring, row["halves"][measuring]))
    together = shares_together([(half, own.shares) for half, own in measured])
    units = [
        replace(unit_of(row), value=half.change, shares=shares)
        for row, (_, half), shares in zip(selected, measured, together, strict=True)
    ]
    means = organism_means(units)
    found = effect(means, organism_spread(means))
    if found is None:
        return {"note": "induction is shown to work on no organism"}
    told = of_effect(found, level)
    note = f"{len(means)} of {len({organism_name(row) for row in rows})} organisms"
    return told | {"note": "; ".join(filter(None, [note, told["note"]]))}


def share_fell(rows: Sequence[Row], level: float) -> dict[str, Any]:
    """The share of runs whose risk fell, 0 to 1; for its interval items are given."""
    values = np.array([row["delta_risk"] for row in rows])
    fell, rose = int((values < -ROUNDING).sum()), int((values > ROUNDING).sum())
    kind, interval = suppressed_interval(measured_runs(rows), level)
    return {
        "about": kind,
        "value": fell / len(values),
        "low": interval.low,
        "high": interval.high,
        "note": f"{fell} fell, {rose} rose, {len(values) - fell - rose} stayed",
    }


def pooled_details(measured: Mapping[str, Sequence[Row]], level: float) -> Iterator[dict[str, Any]]:
    """The change of each model and method, partly pooled; nothing with fewer than three models."""
    normal = float(stats.norm.ppf((1 + level) / 2))
    for misalignment, rows in measured.items():
        valid = [row for row in rows if row["valid"]]
        found = pool(
            [row["delta_risk"] for row in valid],
            [row["model"] for row in valid],
            [organism_name(row) for row in valid],
            [row["method"] for row in valid],
        )
        if isinstance(found, str):
            continue
        for (model, method), (value, error) in sorted(found.cells.items()):
            yield {
                "misalignment": misalignment,
                "row": method,
                "about": model,
                "quantity": "partly_pooled_change_pp",
                "value": 100 * value,
                "low": 100 * (value - normal * error),
                "high": 100 * (value + normal * error),
            }


def contrast_details(
    differences: Mapping[str, Mapping[str, Sequence[Unit]]], level: float
) -> Iterator[dict[str, Any]]:
    """Each contrast: misalignment -> contrast -> its units."""
    for misalignment, own in differences.items():
        for name, differing in own.items():
            units = organism_means(differing)
            spread = organism_spread(units)
            found = effect(units, spread)
            assert found is not None
            yield {
                "misalignment": misalignment,
                "row": name,
                "quantity": "difference_pp",
            } | of_effect(found, level, most=2.0)


def with_adjusted_p(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows with their adjusted p: over all rows of one quantity."""
    for quantity in {row["quantity"] for row in rows}:
        own = [row for row in rows if row["quantity"] == quantity]
        for row, q in zip(own, benjamini_hochberg([row.get("p") for row in own]), strict=True):
            row["adjusted_p"] = q
    return rows


def ends(interval: Interval, most: float = 1.0) -> tuple[float | None, float | None]:
    """The ends of an interval in points; a change lies between -`most` and `most`."""
    if interval.low is None or interval.high is None:
        return None, None
    return 100 * max(interval.low, -most), 100 * min(interval.high, most)
