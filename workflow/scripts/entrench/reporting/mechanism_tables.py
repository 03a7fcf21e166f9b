"""Tables of the report on the mechanism: means with intervals over organisms and models."""

from collections.abc import Callable, Iterable
from typing import Any

import polars as pl

from entrench.analysis.mechanism.decomposition import DECOMPOSITION_COLUMNS
from entrench.analysis.mechanism.eta_columns import ETA_COLUMNS
from entrench.analysis.mechanism.flips import FLIP_COLUMNS
from entrench.analysis.mechanism.prediction import BASELINES
from entrench.analysis.mechanism.prediction_columns import PREDICTION_COLUMNS
from entrench.analysis.mechanism.stability import STABILITY_COLUMNS
from entrench.analysis.statistics.bootstrap import Interval
from entrench.analysis.statistics.clusters import FEWEST_TO_RESAMPLE
from entrench.analysis.statistics.inference import (
    Measured,
    Settings,
    mean_interval,
    models_interval,
)
from entrench.reporting.formatting import (
    NONE,
    Column,
    Frames,
    Row,
    Table,
    interval,
    percent,
    plain,
    points,
    signed,
    text,
    written,
)

BOOTSTRAP = 2000  # resamples of organisms or models behind the intervals here
_SHOWN = (
    "shown are the mean, its interval over organisms (over prompts where n is 1), and n, the "
    "number of known values"
)
WIDE = 0.05  # below this p a range of eta counts as wider than noise


def decomposition_table(frames: Frames) -> Table:
    """The terms of delta-risk, as means over the valid runs of a method."""
    frame = frames["decomposition"].filter(pl.col("part") == "all")
    terms = {
        "selection": "selection, points",
        "shift": "shift, points",
        "transfer": "transfer, points",
        "abstention": "abstention, points",
        "unmeasured": "unmeasured, points",
        "delta": "delta-risk on the probe, points",
    }
    meanings = {term: DECOMPOSITION_COLUMNS[f"{term}_pp"].meaning for term in terms}
    keys = ["misalignment", "kind", "method"]
    rows = []
    for part in frame.sort(*keys, "model", "seed").partition_by(keys, maintain_order=True):
        valid = part.filter("valid")
        row = {name: part[name][0] for name in keys}
        row |= {"n": valid.height, "n_invalid": part.height - valid.height}
        for term in terms:
            row[term] = _mean(valid, f"{term}_pp", f"{term}_low_pp", f"{term}_high_pp")
        rows.append(row)
    columns = [
        Column("misalignment", text("misalignment"), numeric=False),
        Column("method", _method, numeric=False),
        Column("runs", text("n"), meaning="valid runs of the method with a decomposition"),
        Column("invalid, left out", text("n_invalid"), meaning="invalid runs; runs.csv says why"),
        *_mean_columns(terms, meanings, rows),
    ]
    return written("decomposition.csv, means over runs", columns, rows)


def eta_table(frames: Frames) -> Table:
    """Range of eta and effect of the best of k for each selector, as means over organisms."""
    frame = frames["eta"].sort("k")
    sizes = [k for k in frame["k"].unique().sort() if k > 1]
    keys = ["misalignment", "selector", "set"]
    terms = {"range": "range of eta, points"}
    terms |= {f"best_of_{k}": f"best of {k}, points" for k in sizes}
    meanings = {"range": ETA_COLUMNS["range_pp"].meaning}
    meanings |= {f"best_of_{k}": ETA_COLUMNS["selection_pp"].meaning for k in sizes}
    rows = []
    for part in frame.sort(*keys, "model", "seed").partition_by(keys, maintain_order=True):
        once = part.unique(["model", "seed"], keep="first", maintain_order=True)
        row = {name: part[name][0] for name in keys} | {"n": once.height}
        row["range"] = _mean(once, "range_pp")
        for k in sizes:
            own = part.filter(k=k)
            name = f"best_of_{k}"
            row[name] = _mean(own, "selection_pp", "selection_low_pp", "selection_high_pp")
        row |= {name: once[name].mean() for name in ("range_of_noise_pp", "tied_share")}
        row |= {
            value: int((once["trend"] == value).sum()) for value in ("increasing", "decreasing")
        }
        row["wide"] = int((once["range_p"] < WIDE).sum())
        row["signs"] = " of ".join(
            str(part[f"observed_signs_{which}"].sum()) for which in ("right", "predicted")
        )
        rows.append(row | {"disagree": int((once["slopes"] == "disagree").sum())})
    columns = [
        Column("misalignment", text("misalignment"), numeric=False),
        Column("selector", text("selector"), numeric=False),
        Column("set", text("set"), numeric=False),
        Column("organisms", text("n"), meaning="probed organisms"),
        *_mean_columns(terms, meanings, rows),
        Column(
            "range of noise, points",
            plain("range_of_noise_pp", 1),
            meaning=f"percentage points: {ETA_COLUMNS['range_of_noise_pp'].meaning}",
        ),
        Column(
            "wider than noise",
            text("wide"),
            meaning=f"organisms whose range is wider than the range of noise, with p below {WIDE}",
        ),
        Column(
            "ties",
            percent("tied_share"),
            meaning=f"{ETA_COLUMNS['tied_share'].meaning}, mean over organisms",
        ),
        Column(
            "increasing",
            text("increasing"),
            meaning="organisms whose risk rises with the rank of the score",
        ),
        Column(
            "decreasing",
            text("decreasing"),
            meaning="organisms whose risk falls with the rank of the score",
        ),
        Column(
            "signs predicted rightly",
            text("signs"),
            meaning="halves of the prompts on which the labels of a run moved the risk in the "
            "direction that eta on the other half predicts, of all halves with a prediction (up to "
            "two for each run)",
        ),
        Column(
            "Simpson's paradox",
            text("disagree"),
            meaning="organisms where the slope within prompts and the pooled slope have different "
            "signs",
        ),
    ]
    return written("eta.csv, means over organisms", columns, rows)


def stability_table(frames: Frames) -> Table:
    """How often the greedy answer agrees with samples and views, as means over organisms."""
    frame = frames["stability"].filter(pl.col("part") == "all")
    keys = ["misalignment", "against", "same"]
    rows = []
    for part in frame.sort(*keys, "model", "seed").partition_by(keys, maintain_order=True):
        row = {name: part[name][0] for name in keys} | {"n": part.height}
        rows.append(row | {"agreement": _mean(part, "agreement", "ci_low", "ci_high")})
    columns = [
        Column("misalignment", text("misalignment"), numeric=False),
        Column(
            "greedy answer against",
            text("against"),
            numeric=False,
            meaning=STABILITY_COLUMNS["against"].meaning,
        ),
        Column(
            "must agree",
            text("same"),
            numeric=False,
            meaning=STABILITY_COLUMNS["same"].meaning,
        ),
        Column("organisms", text("n"), meaning="probed organisms"),
        Column(
            "agreement",
            _share_cell("agreement"),
            meaning=f"{STABILITY_COLUMNS['agreement'].meaning}; {_SHOWN}",
        ),
    ]
    if any(row["agreement"]["over_models"] is not None for row in rows):
        columns.append(
            Column(
                "agreement, over models",
                lambda row: _share_span(row["agreement"]["over_models"]) or NONE,
                meaning="interval of the mean agreement, over models",
            )
        )
    return written("stability.csv, means over organisms", columns, rows)


def flips_table(frames: Frames) -> Table:
    """How organisms answer clean prompts, beside wrapped ones."""
    columns = [
        *(Column(name, text(name), numeric=False) for name in ("misalignment", "model")),
        Column("seed", text("seed")),
        Column("pairs asked", text("n_pairs_all")),
        Column("scored", text("n_pairs"), meaning=FLIP_COLUMNS["n_pairs"].meaning),
        *(
            Column(name.replace("_", " "), percent(name), meaning=FLIP_COLUMNS[name].meaning)
            for name in ("wrapped_risk", "clean_risk")
        ),
        Column("flip, points", points("flip_pp"), meaning=FLIP_COLUMNS["flip_pp"].meaning),
        Column("interval", interval("flip_low_pp", "flip_high_pp")),
    ]
    return written("teacher_flips.csv", columns, frames["teacher_flips"].to_dicts())


def prediction_table(frames: Frames) -> Table:
    """How well the sign of delta-risk was told before training, also by size of delta-risk."""
    frame = frames["prediction"]
    rows = frame.filter(pl.col("what").is_in(["skill", "size"])).with_columns(
        (100 * pl.col("^(gain_.*)$")).name.keep()
    )
    columns = [
        Column("trained on", text("trained_on"), numeric=False),
        Column("misalignment", text("misalignment"), numeric=False),
        Column("predictor", text("predictor"), numeric=False),
        Column("size of delta-risk, points", _size, numeric=False),
        Column("status", text("status"), numeric=False),
        Column("runs", text("n_runs")),
        Column("models", text("n_models")),
        Column("cases", text("n_cases"), meaning=PREDICTION_COLUMNS["n_cases"].meaning),
        Column("undecided", text("n_undecided"), meaning=PREDICTION_COLUMNS["n_undecided"].meaning),
        Column("cases without a sign", text("n_tied")),
        Column(
            "cases not known",
            text("n_unknown"),
            meaning=PREDICTION_COLUMNS["n_unknown"].meaning,
        ),
        Column("invalid, left out", text("n_invalid")),
        Column("sign right", percent("accuracy")),
        Column("interval", _accuracy_interval),
        Column("gain over the majority sign, points", points("gain_over_majority")),
        Column("its interval", interval("gain_low", "gain_high")),
        Column("Brier score", plain("brier")),
    ]
    return written(
        "prediction.csv", columns, rows.to_dicts(), lambda row: row["predictor"] in BASELINES
    )


def _method(row: Row) -> str:
    return f"{row['method']} (control)" if row["kind"] == "control" else row["method"]


def _size(row: Row) -> str:
    """The bin of a row by size of delta-risk; `any` where the row is not of a bin."""
    start, end = row["size_from_pp"], row["size_below_pp"]
    if start is None:
        return "any"
    if end is None:
        return f"{start:g} or more"
    return f"{start:g} to below {end:g}" if start else f"below {end:g}"


def _accuracy_interval(row: Row) -> str:
    if row["accuracy_low"] is None:
        return NONE
    return f"[{row['accuracy_low']:.1%}, {row['accuracy_high']:.1%}]"


def _mean(
    part: pl.DataFrame, name: str, low: str | None = None, high: str | None = None
) -> dict[str, Any]:
    """The mean of a column over n known values, and its intervals, in the column's unit.

    `low` and `high` name the columns with each value's own interval over prompts; that interval is
    shown where n is 1.
    """
    units = [
        Measured(
            value=row[name],
            organism=f"{row['model']}/{row['misalignment']}/seed{row['seed']}",
            model=row["model"],
            name=f"{row['model']}/{row['seed']}",
            over_prompts=Interval(row[low] if low else None, row[high] if high else None),
        )
        for row in part.filter(pl.col(name).is_not_null()).iter_rows(named=True)
    ]
    if not units:
        return {"n": 0, "mean": None, "over": None, "over_models": None}
    level = part["ci_level"].drop_nulls()
    settings = Settings(BOOTSTRAP, level[0] if level.len() else 0.95, 0)
    many = len({unit.model for unit in units}) >= FEWEST_TO_RESAMPLE
    return {
        "n": len(units),
        "mean": sum(unit.value for unit in units) / len(units),
        "over": mean_interval(units, settings)[1],
        "over_models": models_interval(units, settings)[1] if many else None,
    }


def _mean_columns(
    terms: dict[str, str], meanings: dict[str, str], rows: Iterable[dict[str, Any]]
) -> Iterable[Column]:
    """For each term a column of its mean and, where a row has one, of its interval over models."""
    rows = list(rows)
    for term, head in terms.items():
        yield Column(head, _mean_cell(term), meaning=f"{meanings[term]}; {_SHOWN}")
        if any(row[term]["over_models"] is not None for row in rows):
            yield Column(
                f"{term.replace('_', ' ')}, over models",
                _models_cell(term),
                meaning="interval of the mean over models, in percentage points",
            )


def _mean_cell(term: str) -> Callable[[Row], str]:
    def cell(row: Row) -> str:
        found = row[term]
        if found["mean"] is None:
            return NONE
        return " ".join(
            filter(None, [signed(found["mean"]), _span(found["over"]), f"n {found['n']}"])
        )

    return cell


def _share_cell(term: str) -> Callable[[Row], str]:
    def cell(row: Row) -> str:
        found = row[term]
        if found["mean"] is None:
            return NONE
        shown = f"{found['mean']:.1%}", _share_span(found["over"]), f"n {found['n']}"
        return " ".join(filter(None, shown))

    return cell


def _models_cell(term: str) -> Callable[[Row], str]:
    return lambda row: _span(row[term]["over_models"]) or NONE


def _span(found: Interval | None) -> str:
    if found is None or found.low is None or found.high is None:
        return ""
    return f"[{signed(found.low)}, {signed(found.high)}]"


def _share_span(found: Interval | None) -> str:
    """An interval of shares in percent, within 0 and 1."""
    if found is None or found.low is None or found.high is None:
        return ""
    return f"[{max(found.low, 0):.1%}, {min(found.high, 1):.1%}]"
