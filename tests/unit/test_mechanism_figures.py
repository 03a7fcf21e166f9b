"""The mechanism's figures: what is drawn is the data."""

from importlib import import_module

import polars as pl
import pytest
from unit.simulated_mechanism import study

from entrench.config import MECHANISM_FIGURES
from entrench.figures import eta_curves, k_scaling, prediction, selection_vs_shift
from entrench.figures.style import save


@pytest.fixture(scope="module")
def demo():
    return study(1, 1)


@pytest.fixture(scope="module")
def few():
    return study(3, 2)


@pytest.mark.parametrize("figure", MECHANISM_FIGURES)
def test_an_empty_study_draws_an_empty_figure(figure, demo, tmp_path):
    tables = [demo[name].clear() for name in MECHANISM_FIGURES[figure]]
    module = import_module(f"entrench.figures.{figure}")
    assert module.data(*tables).height == 0
    save(module.draw(*tables), tmp_path / "empty.pdf", tmp_path / "empty.png")
    assert (tmp_path / "empty.png").stat().st_size > 0


def drawn_points(axis, marker):
    return [
        tuple(point)
        for line in axis.lines
        if line.get_marker() == marker
        for point in zip(line.get_xdata(), line.get_ydata(), strict=True)
    ]


def test_eta_curves_draws_the_mean_over_organisms(few):
    data = eta_curves.data(few["eta"], few["eta_bins"])
    means = data.filter(
        what="mean", misalignment="sycophancy", selector="self_rewarding", ranked="within"
    )
    source = few["eta_bins"].filter(
        misalignment="sycophancy", selector="self_rewarding", ranked="within"
    )
    expected = [100 * source.filter(pl.col("bin") == b)["eta"].mean() for b in (1, 2, 3, 4)]
    assert means["eta_percent"].to_list() == pytest.approx(expected)
    assert set(means["n_organisms"]) == {6}
    figure = eta_curves.draw(few["eta"], few["eta_bins"])
    axis = next(a for a in figure.axes if a.get_title(loc="left") == "sycophancy")
    assert [y for _, y in drawn_points(axis, "s")] == pytest.approx(expected)


def test_selection_vs_shift_draws_means_and_says_n(few):
    data = selection_vs_shift.data(few["decomposition"])
    figure = selection_vs_shift.draw(few["decomposition"])
    for axis in figure.axes:
        means = data.filter(
            pl.col("misalignment") == axis.get_title(loc="left"), pl.col("what") == "mean"
        )
        for term, (marker, _) in selection_vs_shift.TERMS.items():
            drawn = sorted(x for x, _ in drawn_points(axis, marker))
            expected = means.filter(pl.col("term") == term)["points"].sort().to_list()
            assert drawn == pytest.approx(expected)
        assert "n=6" in {text.get_text() for text in axis.texts}


def test_prediction_says_what_cannot_be_assessed(demo, few):
    alone = prediction.draw(demo["prediction"])
    texts = [text.get_text() for axis in alone.axes for text in axis.texts]
    assert texts.count("not assessable: 1 model, 2 are needed") == 5
    skill = prediction.data(few["prediction"]).filter(pl.col("what") == "skill").to_dicts()
    drawn = prediction.draw(few["prediction"])
    texts = sorted(text.get_text() for text in drawn.axes[0].texts)
    shares = [f"{100 * row['accuracy']:.0f}%" for row in skill]
    assert texts == sorted(shares + [f"n={row['n_runs']}" for row in skill])


def test_k_scaling_draws_runs_where_there_are_some(few):
    figure = k_scaling.draw(few["k_scaling"])
    data = k_scaling.data(few["k_scaling"])
    above, below = figure.axes[: len(figure.axes) // 2], figure.axes[len(figure.axes) // 2 :]
    for top, bottom in zip(above, below, strict=True):
        mine = data.filter(pl.col("misalignment") == top.get_title(loc="left"))
        runs = mine.filter(
            pl.col("operator") == "self_confidence", pl.col("delta_pp").is_not_null()
        )
        ticks = [int(label.get_text()) for label in bottom.get_xticklabels()]
        assert [(ticks[round(x)], y) for x, y in drawn_points(bottom, "o")] == [
            (row["k"], pytest.approx(row["delta_pp"])) for row in runs.to_dicts()
        ]
        confidence = mine.filter(pl.col("operator") == "self_confidence")
        assert [y for _, y in drawn_points(top, "o")] == pytest.approx(
            confidence["label_risk_percent"].to_list()
        )
