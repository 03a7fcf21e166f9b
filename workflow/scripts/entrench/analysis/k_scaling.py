"""delta-risk and label risk against k, with the random control of the same sample set."""

from collections.abc import Mapping
from typing import Any

import polars as pl

from entrench.analysis.tables import COUNT, NUMBER, TEXT, table

K_COLUMNS = {
    "misalignment": TEXT,
    "operator": TEXT,
    "set": TEXT,
    "k": COUNT,
    "n_organisms": COUNT,
    "label_risk": NUMBER,
    "selection_pp": NUMBER,
    "set_risk": NUMBER,
    "n_runs": COUNT,
    "delta_pp": NUMBER,
    "n_control_runs": COUNT,
    "control_delta_pp": NUMBER,
}


def k_scaling(
    eta: pl.DataFrame, runs: pl.DataFrame, methods: Mapping[str, Mapping[str, Any]]
) -> pl.DataFrame:
    """Columns `K_COLUMNS`, a row per misalignment, selector, sample set and k.

    The label risk needs no training: set_risk, which the random control has, plus the selection
    effect of the best of k, both means over organisms. delta_pp and control_delta_pp are means over
    the valid runs that train with these settings, null where the sweep has none. `methods` gives
    each method's operator, set and k.
    """
    of_setting: dict[tuple[Any, ...], list[str]] = {}
    for name, facts in methods.items():
        place = facts["operator"], facts.get("set"), facts.get("k")
        of_setting.setdefault(place, []).append(name)
    rows = []
    places = ["misalignment", "selector", "set", "k"]
    for part in eta.partition_by(places, maintain_order=True):
        misalignment, selector, name, k = part.select(places).row(0)
        trained = _deltas(runs, misalignment, of_setting.get((selector, name, k), []))
        control = _deltas(runs, misalignment, of_setting.get(("random", name, None), []))
        label_risk = (part["set_risk"] + part["selection_pp"] / 100).mean()
        rows.append(
            {
                "misalignment": misalignment,
                "operator": selector,
                "set": name,
                "k": k,
                "n_organisms": part.height,
                "label_risk": label_risk,
                "selection_pp": part["selection_pp"].mean(),
                "set_risk": part["set_risk"].mean(),
                "n_runs": trained.len(),
                "delta_pp": _points(trained),
                "n_control_runs": control.len(),
                "control_delta_pp": _points(control),
            }
        )
    return table(rows, K_COLUMNS).sort("misalignment", "operator", "set", "k")


def _deltas(runs: pl.DataFrame, misalignment: str, methods: list[str]) -> pl.Series:
    mine = runs.filter("valid", pl.col("misalignment") == misalignment)
    return mine.filter(pl.col("method").is_in(methods))["delta_risk"]


def _points(deltas: pl.Series) -> float | None:
    return 100 * deltas.mean() if deltas.len() else None
