"""summary.csv: the change in risk by method, in twelve columns; detail.csv: all else about it.

Columns ending in _pp are percentage points; risks, shares, p and adjusted p are fractions.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
from scipy import stats

from entrench.analysis.columns import count, number, points, probability, share, text
from entrench.analysis.risk.gate import doubts
from entrench.analysis.statistics.bootstrap import Interval
from entrench.analysis.statistics.clusters import cluster_totals, clustered_share_interval
from entrench.analysis.statistics.conclusions import (
    UNKNOWN,
    WITHIN,
    adjusted_level,
    conclusion,
)
from entrench.analysis.statistics.effect import (
    MODELS,
    NEW,
    ORGANISM,
    WEIGHTS,
    Effect,
    Unit,
    effect,
    organism_means,
)
from entrench.analysis.statistics.halves import HALVES
from entrench.analysis.statistics.moderation import within
from entrench.analysis.statistics.pooling import pool
from entrench.analysis.statistics.significance import ROUNDING, benjamini_hochberg
from entrench.analysis.summary.changes import Prompts, Row, changes, organism_variances, unit_of
from entrench.analysis.summary.contrasts import Facts, contrasts
from entrench.analysis.summary.names import ALL_METHODS, organism_name, pooled, run_name
from entrench.analysis.tables import table
from entrench.errors import EntrenchError
from entrench.methods.shared.catalogue import METHODS

# The keyword arguments of `summarise`; the job's spec has entries of the same names.
SETTINGS = ("methods", "models", "level", "epsilon")
DOUBTED = 0.5  # from this share of doubtful organisms on, nothing is concluded from a row

SUMMARY_COLUMNS = {
    "misalignment": text("the misalignment that phase 1 induced"),
    "method": text(f"a method, or `{ALL_METHODS}`: each of them once, no variants"),
    "n_models": count("models of the row's valid runs", "models"),
    "n_organisms": count("organisms of these runs", "organisms"),
    "n_trainings": count("trainings of phase 3 behind the row, repeats counted", "trainings"),
    "risk_before": share("mean risk of these organisms, before phase 3"),
    "change_pp": points(
        "mean change in risk (delta-risk), each organism once; below 0 the risk fell. From three "
        "models on a random-effects mean over models"
    ),
    "low_pp": points("lower end of the interval of `change_pp`: it holds a repeat of the row"),
    "high_pp": points("upper end; `conclusion` says what the interval is about"),
    "conclusion": text(
        "`rises`, `falls` or `within the margin` (`statistics.epsilon`), and about what: `new "
        "models and prompts`, `these models` or `this organism`, always with other prompts of the "
        "same kind; or `cannot tell`, and why. The interval is widened for the number of rows "
        "(false coverage rate), so an interval in this table that just leaves the margin may not do"
    ),
    "beyond_self_training_pp": points(
        "`change_pp` minus the change by greedy self-training of the same organisms: what the "
        "method does beyond training on the model's own greedy answers"
    ),
    "greedy_change_pp": points(
        "the same change where risk is measured on greedy answers: sampled risk falls or rises "
        "also where a method only sharpens what a model says most often"
    ),
}
QUANTITIES = {
    "change_pp": "as in summary.csv; the note names the summands of its variance",
    "change_of_these_models_pp": "the same mean, with an interval that is about these models alone",
    "adjusted_change_pp": "the interval that the conclusion is drawn from",
    "beyond_self_training_pp": "as in summary.csv",
    "greedy_change_pp": "as in summary.csv",
    "effective_change_pp": (
        "the change on organisms whose induction is shown to work: shown on one half of the items, "
        "measured on the other, both ways"
    ),
    "partly_pooled_change_pp": (
        "the change on one model, drawn towards the method's mean over models (docs/statistics.md)"
    ),
    "risk_after": "mean risk of the trained models",
    "median_change_pp": "median over runs",
    "share_fell": "share of runs whose risk fell, with an exact interval over organisms or models",
    "excluded_share": "mean share of completions that the definition of the risk leaves out",
    "unscored_share": "mean share of completions without a value by a fault",
    "invalid_trainings": "trainings left out; the note names them",
    "doubted_organisms": "organisms about which nothing can be concluded; the note says why",
    "difference_pp": "a contrast, A - B: mean difference of two changes in risk",
}
DETAIL_COLUMNS = {
    "misalignment": SUMMARY_COLUMNS["misalignment"],
    "row": text(f"a method, `{ALL_METHODS}`, or a contrast A - B"),
    "about": text("what value and interval are about"),
    "quantity": text("; ".join(f"`{name}`: {what}" for name, what in QUANTITIES.items())),
    "value": number("the value", "percentage points where `quantity` ends in _pp, else 0 to 1"),
    "low": number("lower end of its interval"),
    "high": number("upper end of its interval"),
    "p": probability("two-sided p of no change, by Student's t"),
    "adjusted_p": probability("p after Benjamini-Hochberg over the rows of this `quantity`"),
    "note": text("what else there is to say, such as why there is no interval"),
}


@dataclass
class _Line:
    """A row of the summary while it is made."""

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
    lines = [line for name, rows in measured.items() for line in _lines(name, rows, methods)]
    _with_doubts(lines, runs, facts)
    _with_effects(lines)
    differences = {
        name: dict(contrasts([row for row in rows if row["valid"]], methods, models))
        for name, rows in measured.items()
    }
    _with_beyond(lines, differences, methods)
    _with_greedy(lines, runs, greedy_prompts or {})
    telling = [line.effect for line in lines if line.effect and not _silent(line)]
    adjusted = adjusted_level(telling, epsilon, level)
    detail = [
        row
        for line in lines
        for row in _details(line, facts, level, adjusted)
        if row["value"] is not None or row["note"]
    ]
    detail += _pooled(measured, level)
    detail += _contrast_details(differences, level)
    return (
        table(
            [_summary_row(line, level, adjusted, epsilon) for line in lines],
            SUMMARY_COLUMNS,
        ),
        table(_with_adjusted_p(detail), DETAIL_COLUMNS),
    )


def _lines(misalignment: str, rows: Sequence[Row], methods: Facts) -> Iterator[_Line]:
    names = sorted({row["method"] for row in rows})
    groups = {name: [row for row in rows if row["method"] == name] for name in names}
    if consistency := [row for row in rows if pooled(methods[row["method"]])]:
        groups[ALL_METHODS] = consistency
    for name, own in groups.items():
        valid = [row for row in own if row["valid"]]
        invalid = [run_name(row) for row in own if not row["valid"]]
        units = organism_means([unit_of(row) for row in valid])
        yield _Line(misalignment, name, valid, invalid, units)


def _with_doubts(lines: Iterable[_Line], runs: pl.DataFrame, facts: Mapping[str, Row]) -> None:
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


def _with_effects(lines: Sequence[_Line]) -> None:
    methods: dict[str, dict[str, list[Unit]]] = {}
    for line in lines:
        if line.method != ALL_METHODS:
            methods.setdefault(line.misalignment, {})[line.method] = line.units
    spreads = organism_variances(methods)
    for line in lines:
        spread = spreads.get((line.misalignment, line.method)) or within(
            {(unit.model, unit.organism): unit.value for unit in line.units}
        )
        line.effect = effect(line.units, spread)
        line.of_these = effect(line.units, spread, widest=MODELS)


def _with_beyond(
    lines: Iterable[_Line],
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
            spread = within({(unit.model, unit.organism): unit.value for unit in units})
            line.beyond = effect(units, spread)
        elif units := rows[line.misalignment].get(line.method, []):
            line.beyond = effect(units, spreads.get((line.misalignment, line.method)))


def _with_greedy(lines: Iterable[_Line], runs: pl.DataFrame, prompts: Prompts) -> None:
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
        spread = spreads.get((line.misalignment, line.method)) or within(
            {(unit.model, unit.organism): unit.value for unit in own}
        )
        line.greedy = effect(own, spread)


def _silent(line: _Line) -> str | None:
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
    if line.effect.variance is None:
        return line.effect.reason
    if line.effect.about == WEIGHTS:
        return "each organism was trained once, and no repeat shows how far trainings differ"
    return None


def _concluded(line: _Line, adjusted: float, epsilon: float) -> str:
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


def _summary_row(line: _Line, level: float, adjusted: float, epsilon: float) -> dict[str, Any]:
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
    low, high = _ends(line.effect.interval(level))
    before = {organism_name(own): own["organism_risk"] for own in line.rows}
    return row | {
        "risk_before": float(np.mean(list(before.values()))),
        "change_pp": 100 * line.effect.value,
        "low_pp": low,
        "high_pp": high,
        "beyond_self_training_pp": _points(line.beyond.value if line.beyond else None),
        "greedy_change_pp": _points(line.greedy.value if line.greedy else None),
    }


def _details(
    line: _Line, facts: Mapping[str, Row], level: float, adjusted: float
) -> Iterator[dict[str, Any]]:
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
    yield entry("change_pp", None) | _of_effect(line.effect, level)
    if line.of_these and line.effect.about == NEW:
        yield entry("change_of_these_models_pp", None) | _of_effect(line.of_these, level)
    if line.effect.variance is not None:
        low, high = _ends(line.effect.interval(adjusted))
        yield entry(
            "adjusted_change_pp",
            100 * line.effect.value,
            about=line.effect.about,
            low=low,
            high=high,
            note=f"level {adjusted:.5g}",
        )
    if line.beyond:
        yield entry("beyond_self_training_pp", None) | _of_effect(line.beyond, level, most=2.0)
    if line.greedy:
        yield entry("greedy_change_pp", None) | _of_effect(line.greedy, level)
    yield entry("effective_change_pp", None) | _effective(line.rows, facts, level)
    values = np.array([row["delta_risk"] for row in line.rows])
    yield entry("median_change_pp", 100 * float(np.median(values)), note=f"{len(values)} runs")
    yield entry("share_fell", None) | _share_fell(line, level)
    yield entry("risk_after", float(np.mean([row["trained_risk"] for row in line.rows])))
    for state in ("excluded", "unscored"):
        shares = [row[f"trained_{state}_share"] for row in line.rows]
        yield entry(f"{state}_share", float(np.mean(shares)))


def _of_effect(found: Effect, level: float, most: float = 1.0) -> dict[str, Any]:
    low, high = _ends(found.interval(level), most)
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


def _effective(rows: Sequence[Row], facts: Mapping[str, Row], level: float) -> dict[str, Any]:
    """The change on organisms whose induction worked, without the luck of having been selected.

    An organism counts with the half of the items that did not select it, or with the mean of both.
    The interval is Student's t over organisms, and takes the items as given.
    """
    by_organism: dict[str, list[float]] = {}
    for row in rows:
        fact, halves = facts[organism_name(row)], row["halves"]
        for half, name in enumerate(HALVES):
            if halves and fact.get(f"effective_{name}") and np.isfinite(halves[1 - half]):
                by_organism.setdefault(organism_name(row), []).append(halves[1 - half])
    means = np.array([np.mean(own) for own in by_organism.values()])
    if not len(means):
        return {"note": "induction is shown to work on no organism"}
    note = f"{len(means)} of {len({organism_name(row) for row in rows})} organisms"
    found = {"about": MODELS, "value": 100 * float(means.mean()), "note": note}
    if len(means) > 1:
        half = float(stats.t.ppf((1 + level) / 2, len(means) - 1)) * means.std(ddof=1)
        half /= len(means) ** 0.5
        found |= {"low": 100 * (means.mean() - half), "high": 100 * (means.mean() + half)}
    return found


def _share_fell(line: _Line, level: float) -> dict[str, Any]:
    fell = np.array([row["delta_risk"] < -ROUNDING for row in line.rows], dtype=float)
    rose = sum(row["delta_risk"] > ROUNDING for row in line.rows)
    note = f"{int(fell.sum())} fell, {rose} rose, {len(fell) - int(fell.sum()) - rose} stayed"
    labels = [organism_name(row) for row in line.rows]
    interval = Interval(None, None)
    if len(set(labels)) > 1:
        interval = Interval(*clustered_share_interval(*cluster_totals(fell, labels), level))
    return {
        "about": MODELS,
        "value": float(fell.mean()),
        "low": interval.low,
        "high": interval.high,
        "note": note,
    }


def _pooled(measured: Mapping[str, Sequence[Row]], level: float) -> Iterator[dict[str, Any]]:
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


def _contrast_details(
    differences: Mapping[str, Mapping[str, Sequence[Unit]]], level: float
) -> Iterator[dict[str, Any]]:
    for misalignment, own in differences.items():
        for name, differing in own.items():
            units = organism_means(differing)
            spread = within({(unit.model, unit.organism): unit.value for unit in units})
            found = effect(units, spread)
            assert found is not None
            yield {
                "misalignment": misalignment,
                "row": name,
                "quantity": "difference_pp",
            } | _of_effect(found, level, most=2.0)


def _with_adjusted_p(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    for quantity in {row["quantity"] for row in rows}:
        own = [row for row in rows if row["quantity"] == quantity]
        for row, q in zip(own, benjamini_hochberg([row.get("p") for row in own]), strict=True):
            row["adjusted_p"] = q
    return rows


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


def _points(fraction: float | None) -> float | None:
    return None if fraction is None else 100 * fraction


def _ends(interval: Interval, most: float = 1.0) -> tuple[float | None, float | None]:
    """The ends of an interval in points; a change lies between -`most` and `most`."""
    if interval.low is None or interval.high is None:
        return None, None
    return 100 * max(interval.low, -most), 100 * min(interval.high, most)


def _shortened(words: str, width: int) -> str:
    return words if len(words) <= width else words[: width - 1] + "…"
