"""comparison_with_paper.csv: our figures beside the published ones."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import polars as pl

from entrench.analysis.columns import (
    KIND,
    LEVEL,
    ORGANISM,
    count,
    ends,
    number,
    text,
    yes_no,
)
from entrench.analysis.mechanism.divergence import LABEL_KL_COLUMNS
from entrench.analysis.risk.repeats import mean_over_repeats
from entrench.analysis.statistics.inference import Settings, mean_interval, suppressed_interval
from entrench.analysis.statistics.significance import ROUNDING
from entrench.analysis.summary.changes import measured_runs
from entrench.analysis.tables import read_table, scalar, table
from entrench.seeds import derive_seed

SHARE, MEAN = "share_suppressed", "mean_delta_pp"
LABEL_KL = "label_kl_ratio"
MINIATURE = "the miniature world: other models, other data"
NO_RUN = "the sweep has no valid run of it"
NO_LABEL_KL = (
    "needs label_kl.csv of organisms of both misalignments, a target of its own (docs/mechanism.md)"
)

_FIGURE = {
    "misalignment": ORGANISM["misalignment"],
    "quantity": text("the quantity that was published"),
    "label": text("the method or the claim that the quantity is about"),
}
_MODELS = {
    "models": text("the kind of models that the quantity is about: `base`, `instruct`, or `all`")
}
_PROVENANCE = {
    "note": text("a remark on the figure"),
    "source": text("where the figure was published"),
}
_UNIT = "unit of `quantity`: share, or percentage points where it ends in _pp"
PUBLISHED_COLUMNS = {
    **_FIGURE,
    "methods": text("names of our methods that the figure is about, separated by spaces"),
    **_MODELS,
    "value": number("the published value", _UNIT),
    "sign": count("1 or -1 where a sign is published without a value"),
    "n": count("published number of runs", "runs"),
    "p": text("published p"),
    "reason": text("why the figure is not comparable with ours; empty where it is"),
    **_PROVENANCE,
}
COMPARISON_COLUMNS = {
    **_FIGURE,
    **_MODELS,
    "paper": number("the published value", _UNIT),
    "paper_n": count("published number of runs", "runs"),
    "paper_p": text("published p"),
    "ours": number("the same figure of this study", _UNIT),
    **ends("ci", "`ours`", _UNIT),
    **LEVEL,
    **KIND,
    "n_runs": count("our valid runs behind `ours`", "runs"),
    "same_sign": yes_no(
        "whether both figures lie on the same side of 0; shares: on the same side of one half"
    ),
    "paper_in_our_interval": yes_no("whether our interval holds the published value"),
    "comparable": yes_no("whether the two figures may be compared"),
    "reason": text(
        "why the two may not be compared: a method that the paper does not spell out, a measure "
        "that is not taken here, or the miniature world"
    ),
    **_PROVENANCE,
}
# Rows of all label_kl.csv of the study: with the model of the samples, and the one scoring them.
CROSSED_COLUMNS = {
    "model": ORGANISM["model"],
    "other": text("the model whose organism scored the samples"),
    "misalignment": ORGANISM["misalignment"],
    "seed": ORGANISM["seed"],
    **LABEL_KL_COLUMNS,
}


def collect_label_kl(results: str, folders: Iterable[str]) -> pl.DataFrame:
    """The rows of each folder's label_kl.csv, as one table with the columns `CROSSED_COLUMNS`.

    A folder is organisms/MODEL/MISALIGNMENT/seedSEED/scored_by/OTHER, below `results`.
    """
    rows = []
    for folder in folders:
        _, model, misalignment, seed, _, other = folder.split("/")
        names: dict[str, Any] = {"model": model, "other": other, "misalignment": misalignment}
        names["seed"] = int(seed.removeprefix("seed"))
        read = read_table(f"{results}/{folder}/label_kl.csv", LABEL_KL_COLUMNS)
        rows += [names | row for row in read.to_dicts()]
    return table(rows, CROSSED_COLUMNS)


def compare(
    runs: pl.DataFrame,
    published: pl.DataFrame,
    label_kl: pl.DataFrame | None = None,
    *,
    kinds: Mapping[str, str],
    synthetic: bool,
    bootstrap: int,
    level: float,
    seed: int,
) -> pl.DataFrame:
    """One row per published figure, in the order of `published`; columns `COMPARISON_COLUMNS`.

    Our figure is over the valid runs of the methods and the kind of models that the published one
    is about (`kinds`: model -> base or instruct), each once: as the mean over its repeats. A mean
    is in percentage points, with its interval over organisms. A share of runs is in [0, 1], with
    its interval over organisms, or over models where there are six. same_sign compares the sides of
    0, for shares the sides of one half. The reason says why figures are not comparable. Figures of
    `synthetic` runs never are, but ours is shown.

    The ratio of label KL comes from `label_kl` (`CROSSED_COLUMNS`), without an interval; where it
    was not measured the reason says so. A published figure that does not name what it is about has
    a reason and none of ours beside it, such as the range of eta: the largest of our ranges would
    be larger the more scores and sets a config has, and the noisier they are.
    """
    rows_of_runs = mean_over_repeats(runs).filter("valid")
    valid = rows_of_runs.sort("model", "misalignment", "seed", "method").to_dicts()
    rows = []
    for place, figure in enumerate(published.iter_rows(named=True)):
        settings = Settings(bootstrap, level, derive_seed(seed, place))
        wanted = (figure["methods"] or "").split()
        own = [
            run
            for run in valid
            if run["misalignment"] == figure["misalignment"]
            and run["method"] in wanted
            and figure["models"] in ("all", kinds[run["model"]])
        ]
        lacking: str | None
        if figure["quantity"] == LABEL_KL:
            lacking = NO_LABEL_KL
            ours = {"ours": _ratio(label_kl)}
        else:
            ours = {"n_runs": len(own)} | (_ours(own, figure["quantity"], settings) if own else {})
            lacking = NO_RUN if wanted or figure["reason"] is None else None
        unmeasured = ours.get("ours") is None
        reasons = [figure["reason"], lacking if unmeasured else MINIATURE if synthetic else None]
        reason = "; ".join(filter(None, reasons)) or None
        rows.append(
            {
                **{name: figure[name] for name in ("misalignment", "quantity", "label", "models")},
                "paper": figure["value"],
                "paper_n": figure["n"],
                "paper_p": figure["p"],
                "ci_level": level,
                **ours,
                **_agreement(figure, ours),
                "comparable": reason is None,
                "reason": reason,
                "note": figure["note"],
                "source": figure["source"],
            }
        )
    return table(rows, COMPARISON_COLUMNS)


def _ratio(label_kl: pl.DataFrame | None) -> float | None:
    """Mean label KL per token of reward hacking, divided by the mean of sycophancy.

    Both means are over the pairs of models, seeds and sample sets that were measured on both.
    """
    if label_kl is None:
        return None
    known = label_kl.filter(pl.col("kl_per_token").is_not_null())
    both = known.filter(misalignment="reward_hacking").join(
        known.filter(misalignment="sycophancy"), on=["model", "other", "seed", "set"]
    )
    if not both.height:
        return None
    hacking, sycophancy = both["kl_per_token"].mean(), both["kl_per_token_right"].mean()
    return scalar(hacking) / scalar(sycophancy) if scalar(sycophancy) > 0 else None


def _ours(runs: Sequence[Mapping[str, Any]], quantity: str, settings: Settings) -> dict[str, Any]:
    deltas = [run["delta_risk"] for run in runs]
    if quantity == SHARE:
        suppressed = sum(delta < -ROUNDING for delta in deltas)
        kind, interval = suppressed_interval(measured_runs(runs), settings.level)
        bounds = {"ci_low": interval.low, "ci_high": interval.high}
        return {"ours": suppressed / len(deltas), **bounds, "ci_kind": kind}
    kind, interval = mean_interval(measured_runs(runs), settings)
    bounds = {"ci_low": interval.low, "ci_high": interval.high}
    return {
        "ours": 100 * sum(deltas) / len(deltas),
        **{name: None if bound is None else 100 * bound for name, bound in bounds.items()},
        "ci_kind": kind,
    }


def _agreement(figure: Mapping[str, Any], ours: Mapping[str, Any]) -> dict[str, bool | None]:
    paper, own = figure["value"], ours.get("ours")
    beside: dict[str, bool | None] = {"same_sign": None, "paper_in_our_interval": None}
    if own is None or figure["quantity"] not in (SHARE, MEAN):
        return beside
    middle = 0.5 if figure["quantity"] == SHARE else 0.0
    if paper is None:
        if figure["sign"] is not None and own != middle:
            beside["same_sign"] = (figure["sign"] > 0) == (own > middle)
        return beside
    if paper != middle and own != middle:
        beside["same_sign"] = (paper > middle) == (own > middle)
    if ours["ci_low"] is not None:
        beside["paper_in_our_interval"] = ours["ci_low"] <= paper <= ours["ci_high"]
    return beside
