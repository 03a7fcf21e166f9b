"""comparison_with_paper.csv: our figures beside the published ones."""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from entrench.analysis.inference import Settings, mean_interval, suppressed_interval
from entrench.analysis.significance import ROUNDING
from entrench.analysis.summary import units_of
from entrench.analysis.tables import COUNT, NUMBER, TEXT, YES_NO, table
from entrench.seeds import derive_seed

SHARE, MEAN = "share_suppressed", "mean_delta_pp"
MINIATURE = "the miniature world: other models, other data"

# resources/paper/published.csv; `methods` names ours, by spaces, whose runs a figure is about.
PUBLISHED_COLUMNS = {
    "misalignment": TEXT,
    "quantity": TEXT,
    "label": TEXT,
    "methods": TEXT,
    "models": TEXT,
    "value": NUMBER,
    "n": COUNT,
    "p": TEXT,
    "reason": TEXT,
    "note": TEXT,
    "source": TEXT,
}
COMPARISON_COLUMNS = {
    "misalignment": TEXT,
    "quantity": TEXT,
    "label": TEXT,
    "models": TEXT,
    "paper": NUMBER,
    "paper_n": COUNT,
    "paper_p": TEXT,
    "ours": NUMBER,
    "ci_low": NUMBER,
    "ci_high": NUMBER,
    "ci_level": NUMBER,
    "ci_kind": TEXT,
    "n_runs": COUNT,
    "same_sign": YES_NO,
    "paper_in_our_interval": YES_NO,
    "comparable": YES_NO,
    "reason": TEXT,
    "note": TEXT,
    "source": TEXT,
}


def compare(
    runs: pl.DataFrame,
    published: pl.DataFrame,
    *,
    kinds: Mapping[str, str],
    synthetic: bool,
    bootstrap: int,
    level: float,
    seed: int,
) -> pl.DataFrame:
    """One row per published figure, in its order; columns `COMPARISON_COLUMNS`.

    Ours is over the valid runs of the methods, and models of the kind (`kinds`: base or instruct),
    that the figure is about: a mean in percentage points with its interval over organisms, a share
    of all runs with its interval over organisms, or over models where there are six of them, in
    [0, 1]. same_sign compares the side of 0, of a share that of one half. What is not comparable
    says why; `synthetic` runs never are, but ours is shown.
    """
    valid = runs.filter("valid").sort("model", "misalignment", "seed", "method").to_dicts()
    rows = []
    for number, figure in enumerate(published.iter_rows(named=True)):
        settings = Settings(bootstrap, level, 0.0, derive_seed(seed, number))
        wanted = (figure["methods"] or "").split()
        own = [
            run
            for run in valid
            if run["misalignment"] == figure["misalignment"]
            and run["method"] in wanted
            and figure["models"] in ("all", kinds[run["model"]])
        ]
        reason = figure["reason"]
        if reason is None and not own:
            reason = "the sweep has no valid run of it"
        elif reason is None and synthetic:
            reason = MINIATURE
        ours = _ours(own, figure["quantity"], settings) if own else {}
        rows.append(
            {
                **{name: figure[name] for name in ("misalignment", "quantity", "label", "models")},
                "paper": figure["value"],
                "paper_n": figure["n"],
                "paper_p": figure["p"],
                "ci_level": level,
                "n_runs": len(own),
                **ours,
                **_beside(figure, ours),
                "comparable": reason is None,
                "reason": reason,
                "note": figure["note"],
                "source": figure["source"],
            }
        )
    return table(rows, COMPARISON_COLUMNS)


def _ours(runs: Sequence[Mapping[str, Any]], quantity: str, settings: Settings) -> dict[str, Any]:
    deltas = [run["delta_risk"] for run in runs]
    if quantity == SHARE:
        count = sum(delta < -ROUNDING for delta in deltas)
        kind, interval = suppressed_interval(units_of(runs), settings.level)
        bounds = {"ci_low": interval.low, "ci_high": interval.high}
        return {"ours": count / len(deltas), **bounds, "ci_kind": kind}
    kind, interval = mean_interval(units_of(runs), settings)
    bounds = {"ci_low": interval.low, "ci_high": interval.high}
    return {
        "ours": 100 * sum(deltas) / len(deltas),
        **{name: None if bound is None else 100 * bound for name, bound in bounds.items()},
        "ci_kind": kind,
    }


def _beside(figure: Mapping[str, Any], ours: Mapping[str, Any]) -> dict[str, bool | None]:
    paper, own = figure["value"], ours.get("ours")
    if paper is None or own is None:
        return {"same_sign": None, "paper_in_our_interval": None}
    middle = 0.5 if figure["quantity"] == SHARE else 0.0
    signed = paper != middle and own != middle
    inside = ours["ci_low"] is not None and ours["ci_low"] <= paper <= ours["ci_high"]
    return {
        "same_sign": (paper > middle) == (own > middle) if signed else None,
        "paper_in_our_interval": None if ours["ci_low"] is None else inside,
    }
