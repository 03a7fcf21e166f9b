"""runs.csv: for people, what a training did, by the names and units of the summary.

Columns ending in _pp are percentage points; risks and shares are fractions.
"""

from typing import Any

import polars as pl

from entrench.analysis.columns import ORGANISM, REPEAT, RUN, over_prompts, points, text
from entrench.analysis.risk.delta import DELTA_COLUMNS
from entrench.analysis.risk.machinery import MACHINERY
from entrench.analysis.risk.training_facts import TRAINING
from entrench.analysis.summary.summary_columns import SUMMARY_COLUMNS
from entrench.analysis.tables import points_of, table

_ENDS = over_prompts("`change_pp`", "percentage points")
RUN_COLUMNS = {
    **ORGANISM,
    "method": RUN["method"],
    **REPEAT,
    "risk_before": DELTA_COLUMNS["organism_risk"],
    "risk_after": DELTA_COLUMNS["trained_risk"],
    "change_pp": points(
        "change in risk (delta-risk), after phase 3 minus before, on prompts scored both times; "
        "below 0 the risk fell"
    ),
    "low_pp": _ENDS["ci_low"],
    "high_pp": _ENDS["ci_high"],
    "greedy_change_pp": SUMMARY_COLUMNS["greedy_change_pp"],
    "labels_share": MACHINERY["labels_share"],
    "adapter_change": TRAINING["adapter_change"],
    "note": text(
        "`not valid`, and why: such a row has no risk here, runs_detail.csv has what was measured; "
        "or `no interval`, and why"
    ),
}
_AS_THEY_ARE = (*ORGANISM, "method", *REPEAT, "labels_share", "adapter_change")


def readable_runs(detail: pl.DataFrame) -> pl.DataFrame:
    """runs.csv, from the frame of runs_detail.csv: a row a training, columns `RUN_COLUMNS`."""
    return table(map(_row, detail.iter_rows(named=True)), RUN_COLUMNS)


def _row(run: dict[str, Any]) -> dict[str, Any]:
    row = {name: run[name] for name in _AS_THEY_ARE}
    if not run["valid"]:
        return row | {"note": f"not valid: {run['reason']}"}
    return row | {
        "risk_before": run["organism_risk"],
        "risk_after": run["trained_risk"],
        "change_pp": points_of(run["delta_risk"]),
        "low_pp": points_of(run["ci_low"]),
        "high_pp": points_of(run["ci_high"]),
        "greedy_change_pp": points_of(run["greedy_delta_risk"]),
        "note": run["ci_reason"] and f"no interval: {run['ci_reason']}",
    }
