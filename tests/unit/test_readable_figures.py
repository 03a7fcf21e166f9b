"""Figures can be read, in a study of the demo's size and in one of the paper's size."""

from collections import Counter
from importlib import import_module
from io import BytesIO

import polars as pl
import pytest
from matplotlib.text import Text
from PIL import Image
from unit import simulated_report
from unit.figure_texts import cut, overlapping, smallest

from entrench.analysis.risk.answers import ANSWERERS
from entrench.figures import (
    comparison_with_paper,
    k_scaling,
    prediction,
    risk_trajectories,
    surprisal_vs_delta,
)
from entrench.figures.layout import sentence
from entrench.figures.style import save
from entrench.study.config import FIGURES

REDRAWN = (
    "base_vs_instruct",
    "comparison_with_paper",
    "eta_curves",
    "k_scaling",
    "prediction",
    "risk_trajectories",
    "surprisal_vs_delta",
)


@pytest.fixture(scope="module")
def demo():
    return simulated_report.tables(1, 3)


@pytest.fixture(scope="module")
def paper():
    return simulated_report.tables(7, 2)


@pytest.mark.parametrize("size", ["demo", "paper"])
@pytest.mark.parametrize("name", REDRAWN)
def test_no_text_covers_another_and_none_is_cut(name, size, request):
    tables = request.getfixturevalue(size)
    figure = import_module(f"entrench.figures.{name}").draw(*(tables[t] for t in FIGURES[name]))
    assert overlapping(figure) == []
    assert cut(figure) == []
    assert smallest(figure) >= 6


@pytest.mark.parametrize("levels", [(0.49, 0.5, 0.52), (0.0, 0.21, 1.0), (0.6, 0.6, 0.6)])
def test_labels_of_chance_levels_can_be_read(demo, levels):
    """They stand inside their panels: outside, the layout would make the panels smaller."""
    columns = [f"organism_chance_{answerer}" for answerer in ANSWERERS]
    told = [pl.lit(level).alias(name) for name, level in zip(columns, levels, strict=True)]
    figure = risk_trajectories.draw(demo["runs_detail"], demo["organisms"].with_columns(told))
    assert overlapping(figure) == []
    for axis in figure.axes:
        boxes = [Text.get_window_extent(t) for t in axis.texts if "chance" in t.get_text()]
        assert len(boxes) == 3
        assert all(axis.bbox.x0 < box.x0 and box.x1 < axis.bbox.x1 for box in boxes)
    assert cut(figure) == []
    assert smallest(figure) >= 6


def test_texts_that_overlap_or_are_cut_would_be_noticed():
    figure = sentence("something is missing")
    assert overlapping(figure) == []
    figure.text(0.05, 0.5, "over it", va="center")
    figure.text(0.97, 0.1, "beyond the edge")
    assert overlapping(figure) == [("Not drawn: something is missing.", "over it")]
    assert cut(figure) == ["beyond the edge"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "base_vs_instruct",
            "Not drawn: it needs a base model and its instruct version, of one family and size, "
            "each with a valid run of the same method on the same misalignment and seed; the sweep "
            "has no such pair.",
        ),
        (
            "prediction",
            "Not drawn: a prediction is fitted on other models than the one that it is asked about "
            "(1 model, 2 are needed); the table holds the rule that needs no fit.",
        ),
    ],
)
def test_where_there_is_nothing_to_say_one_sentence_says_why(name, said, demo, tmp_path):
    figure = import_module(f"entrench.figures.{name}").draw(*(demo[t] for t in FIGURES[name]))
    assert figure.axes == []
    (text,) = figure.texts
    assert text.get_text().replace("\n", " ") == said
    assert figure.get_figheight() == 1
    save(figure, tmp_path / "a.pdf", tmp_path / "a.png")
    with Image.open(BytesIO((tmp_path / "a.png").read_bytes())) as picture:
        assert picture.info["Description"] == said


def test_a_figure_with_axes_carries_no_sentence(paper, tmp_path):
    save(prediction.draw(paper["prediction"]), tmp_path / "a.pdf", tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as picture:
        assert "Description" not in picture.info


def test_points_near_zero_are_told_apart_where_others_lie_far_away(demo):
    """By hand: six methods within 0.1 nats of 0, one near 1.5: the axis is linear up to 0.01."""
    far = pl.col("method") == "multi_view"
    heaped = demo["decomposition"].with_columns(
        surprisal_per_token=pl.when(far)
        .then(1.5 + pl.col("surprisal_per_token"))
        .otherwise(0.1 * pl.col("surprisal_per_token"))
    )
    figure = surprisal_vs_delta.draw(heaped)
    (scale,) = {axis.get_xscale() for axis in figure.axes}
    assert scale == "symlog"
    assert "nats per token (logarithmic beyond ±0.01)" in figure.get_supxlabel()
    assert "0: as likely as the organism's own samples" in figure.get_supxlabel()
    assert overlapping(figure) == []
    for axis in figure.axes:
        figure.canvas.draw()
        left, right = (axis.transData.transform((x, 0))[0] for x in (-0.05, 0.05))
        assert right - left > 0.3 * axis.bbox.width  # on a linear axis: 4%
    even = surprisal_vs_delta.draw(demo["decomposition"])
    assert {axis.get_xscale() for axis in even.axes} == {"linear"}
    assert "logarithmic" not in even.get_supxlabel()


def test_no_name_stands_twice_for_one_misalignment(paper):
    """Two values are published for the same method: they are two diamonds on one line."""
    table = paper["comparison_with_paper"]
    for axis in comparison_with_paper.draw(table).axes:
        lines = [label.get_text() for label in axis.get_yticklabels()]
        heights = [line for line in axis.lines if line.get_marker() == "D"]
        assert len(heights) == len(lines)
    data = comparison_with_paper.data(table)
    _, means = comparison_with_paper.draw(table).axes
    names = [label.get_text() for label in means.get_yticklabels()]
    twice = data.filter(quantity="mean_delta_pp").group_by("misalignment", "label").len()
    assert len(names) == twice.height
    assert Counter(len(line.get_xdata()) for line in means.lines if line.get_marker() == "D") == {
        1: 14,
        2: 2,  # SR and diverse_decoding on reward hacking
    }


def test_each_grey_line_says_why_it_cannot_be_compared(paper):
    figure = comparison_with_paper.draw(paper["comparison_with_paper"])
    names = [label.get_text() for axis in figure.axes for label in axis.get_yticklabels()]
    assert {name for name in names if "SR" in name} == {"SR [a]"}
    assert "act" in names
    assert (
        "grey: cannot be compared\n[a] SR is not spelled out: self-refinement or self-rewarding"
        in (figure.get_supxlabel())
    )


def test_a_reason_that_all_share_is_said_once(paper):
    table = paper["comparison_with_paper"].with_columns(
        comparable=pl.lit(False),
        reason=pl.concat_str(
            pl.lit("the miniature world: other models, other data"),
            "reason",
            separator="; ",
            ignore_nulls=True,
        ),
    )
    figure = comparison_with_paper.draw(table)
    note = figure.get_supxlabel()
    assert "grey: cannot be compared; all of them: the miniature world: other models" in note
    assert note.count("miniature") == 1
    assert "[a] SR is not spelled out" in note


def test_each_run_setting_of_k_scaling_has_a_line_with_its_name(demo):
    figure = k_scaling.draw(demo["k_scaling"])
    names = [label.get_text() for label in figure.axes[4].get_yticklabels()]
    assert names == [
        "diverse_decoding, k = 4",
        "rejection_sampling, k = 4",
        "self_confidence, k = 4",
        "self_rewarding, k = 4",
    ]
    assert "no intervals: 1 model, 2 are needed" in figure.get_supxlabel()
    assert figure.axes[4].get_xlabel() == "change in risk,\npercentage points"
