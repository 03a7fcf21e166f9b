"""prediction: accuracy and calibration of the sign of delta-risk, predicted before training."""

import polars as pl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from entrench.analysis.mechanism.prediction import ALL, BASELINE, BASELINES, LABELS, PREDICTORS
from entrench.figures.layout import beside_axis, sentence
from entrench.figures.style import CONSISTENCY, DOT, FAINT, HALO, INK, WIDTH, style


def data(prediction: pl.DataFrame) -> pl.DataFrame:
    """The rows of runs on labels: of skill over all misalignments, and of calibration."""
    prediction = prediction.filter(pl.col("trained_on") == LABELS)
    skill = (pl.col("what") == "skill") & (pl.col("misalignment") == ALL)
    return prediction.filter(skill | (pl.col("what") == "calibration"))


def draw(prediction: pl.DataFrame) -> Figure:
    """Left: accuracy of each predictor, below the baselines. Right: calibration.

    A sentence where no predictor could be fitted.
    """
    drawn = data(prediction)
    with style():
        if reason := _nothing(drawn):
            return sentence(reason)
        figure = Figure(figsize=(WIDTH, 3.5), layout="constrained")
        FigureCanvasAgg(figure)
        left, right = figure.subplots(1, 2, width_ratios=[1.5, 1])
        _skill(left, drawn.filter(pl.col("what") == "skill"))
        _calibration(right, drawn.filter(pl.col("what") == "calibration"))
    return figure


def _nothing(drawn: pl.DataFrame) -> str | None:
    """Why no fitted predictor was assessed; None where one was."""
    fitted = drawn.filter(pl.col("what") == "skill", pl.col("predictor").is_in(list(PREDICTORS)))
    if fitted["accuracy"].is_not_null().any():
        return None
    if not fitted.height:
        return "no run on labels has a known change in risk"
    why = fitted["status"][0].removeprefix("not assessable: ")
    return (
        f"a prediction is fitted on other models than the one that it is asked about ({why}); the "
        "table holds the rule that needs no fit"
    )


def _skill(axis: Axes, skill: pl.DataFrame) -> None:
    rows = skill.to_dicts()
    for height, row in enumerate(rows):
        beside_axis(axis, height, f"n={row['n_runs']}")
        if row["accuracy"] is None:
            axis.text(2, height, row["status"], va="center", fontsize=6.5)
            continue
        colour = DOT if row["predictor"] in BASELINES else CONSISTENCY
        share = 100 * row["accuracy"]
        if row["accuracy_low"] is not None:
            ends = [100 * row["accuracy_low"], 100 * row["accuracy_high"]]
            axis.plot(ends, [height] * 2, color=colour, linewidth=1.4)
        axis.plot(share, height, "D", color=colour, markersize=4)
        axis.annotate(
            f"{share:.0f}%",
            (share, height),
            xytext=(0, 5),
            textcoords="offset points",
            ha="center",
            fontsize=6.5,
            path_effects=HALO,
        )
        if row["predictor"] == BASELINE:
            axis.axvline(share, color=DOT, linewidth=0.6, linestyle=(0, (2, 2)))
    axis.set_title("signs predicted rightly")
    axis.set_yticks(range(len(rows)), [row["predictor"] for row in rows])
    axis.set_ylim(len(rows) - 0.5, -0.7)
    axis.set_xlim(0, 104)
    axis.tick_params(axis="y", length=0)
    counts = f"of n runs, {rows[0]['n_models']} models" if rows else ""
    axis.set_xlabel(
        f"% ({counts}), each model left out of its own fit;\n"
        "predictors and delta-risk from different halves of the prompts"
    )


def _calibration(axis: Axes, bins: pl.DataFrame) -> None:
    axis.set_title("calibration, all three")
    axis.plot([0, 100], [0, 100], color=FAINT, linewidth=0.8)
    if not bins.height:
        axis.text(50, 50, "not assessable", ha="center", va="center", fontsize=7)
    for row in bins.iter_rows(named=True):
        place = 100 * row["predicted"], 100 * row["observed"]
        axis.plot(*place, "o", color=INK, markersize=4)
        axis.annotate(
            f"n={row['n_cases']}", place, xytext=(4, -7), textcoords="offset points", fontsize=6
        )
    axis.set_xlim(-4, 112)
    axis.set_ylim(-8, 104)
    axis.set_xlabel("predicted probability of\namplification, % (n: cases)")
    axis.set_ylabel("amplified, %")
