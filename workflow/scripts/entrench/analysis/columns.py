"""The columns of every table that a figure or the report reads, by the stem of its file."""

from pathlib import Path
from typing import Any

from entrench.analysis.mechanism.tables import STUDY_COLUMNS
from entrench.analysis.risk.collect import ORGANISM_COLUMNS, RUN_COLUMNS
from entrench.analysis.summary.comparison import COMPARISON_COLUMNS
from entrench.analysis.summary.contrasts import CONTRAST_COLUMNS
from entrench.analysis.summary.judge_health import JUDGE_HEALTH_COLUMNS
from entrench.analysis.summary.partial import MARKS, MISSING_COLUMNS
from entrench.analysis.summary.power import POWER_COLUMNS
from entrench.analysis.summary.simulation import RATE_COLUMNS
from entrench.analysis.summary.summary import SUMMARY_COLUMNS
from entrench.analysis.tables import Columns

TABLES: dict[str, dict[str, Any]] = {
    "comparison_with_paper": COMPARISON_COLUMNS,
    "contrasts": CONTRAST_COLUMNS,
    "error_rates": RATE_COLUMNS,
    "judge_health": JUDGE_HEALTH_COLUMNS,
    "missing": MISSING_COLUMNS,
    "organisms": ORGANISM_COLUMNS,
    "power": POWER_COLUMNS,
    "runs": RUN_COLUMNS,
    "summary": SUMMARY_COLUMNS,
    **STUDY_COLUMNS,
}


def columns_of(path: Path) -> Columns:
    """The columns of this table; the summary of an unfinished sweep has marks besides."""
    marks = MARKS if (path.parent.name, path.stem) == ("partial", "summary") else {}
    return TABLES[path.stem] | marks
