"""Tables of the report on power and judges: how far can the study be trusted?"""

from collections.abc import Callable

import polars as pl

from entrench.analysis.summary.names import ALL_METHODS
from entrench.analysis.summary.power import ASSUMED, MEASURED
from entrench.reporting.formatting import (
    NONE,
    Column,
    Frames,
    Row,
    Table,
    percent,
    plain,
    text,
    written,
)


def power_table(frames: Frames) -> Table:
    """The smallest change that the sweep could detect, and type M error at half of it."""
    whole = frames["power"].filter(method=ALL_METHODS)
    frame = whole.filter(variances=ASSUMED)
    pilot = {row["misalignment"]: row for row in whole.filter(variances=MEASURED).to_dicts()}
    pairs = frame.select("model_correlation", "organism_correlation").unique().sort(pl.all()).rows()
    sizes = ["misalignment", "n_runs", "n_organisms", "n_models", "about"]
    rows = []
    for key, own in frame.group_by(sizes, maintain_order=True):
        by_correlation = {
            (row["model_correlation"], row["organism_correlation"]): row
            for row in own.iter_rows(named=True)
        }
        why = "; ".join(own["reason"].drop_nulls().unique(maintain_order=True)) or None
        row = dict(zip(sizes, key, strict=True)) | {"by_correlation": by_correlation, "why": why}
        rows.append(row | {"pilot": pilot.get(row["misalignment"])})
    columns = [
        Column("misalignment", text("misalignment"), numeric=False),
        Column("runs", text("n_runs")),
        Column("organisms", text("n_organisms")),
        Column("models", text("n_models")),
        Column("about", text("about"), numeric=False),
        *(
            Column(f"{model:g} models, {organism:g} organisms", _detectable((model, organism)))
            for model, organism in pairs
        ),
        *([Column("by the pilot's variances", _of_pilot)] if pilot else []),
        Column(
            "times too large at half of it",
            _exaggeration,
            meaning="type M error: how many times too large a change is on average where rises or "
            "falls was concluded, if the true change is half of the detectable one; the range over "
            "correlations",
        ),
        Column("why there is none", text("why"), numeric=False),
    ]
    return written(f"power.csv, {ALL_METHODS}; points by correlation", columns, rows)


def _of_pilot(row: Row) -> str:
    found = row["pilot"]
    return plain("detectable_pp", 1)(found) if found["reason"] is None else found["reason"]


def _detectable(pair: tuple[float, float]) -> Callable[[Row], str]:
    def cell(row: Row) -> str:
        found = row["by_correlation"].get(pair)
        return NONE if found is None else plain("detectable_pp", 1)(found)

    return cell


def _exaggeration(row: Row) -> str:
    found = [own["type_m_half"] for own in row["by_correlation"].values()]
    known = [one for one in found if one is not None]
    return f"{min(known):.1f} to {max(known):.1f}" if known else NONE


def judge_health_table(frames: Frames) -> Table:
    """Shares of completions without a score and of answers that could be read; judge agreement."""
    frame = frames["judge_health"]

    def cell(name: str) -> Callable[[Row], str]:
        return lambda row: (plain if row["measure"] == "kappa" else percent)(name)(row)

    def interval(row: Row) -> str:
        if row["ci_low"] is None:
            return NONE
        return f"[{cell('ci_low')(row)}, {cell('ci_high')(row)}]"

    columns = [
        Column("misalignment", text("misalignment"), numeric=False),
        Column("measure", text("measure"), numeric=False),
        Column("of", text("about"), numeric=False),
        Column("n", text("n")),
        Column("mean", cell("mean")),
        Column("worst", cell("worst")),
        Column("interval of the mean", interval),
        Column("note", text("note"), numeric=False),
    ]
    return written("judge_health.csv", columns, frame.to_dicts())
