"""The mechanism's figures: what is drawn is the data."""

from importlib import import_module

import numpy as np
import polars as pl
import pytest
from unit.simulated_mechanism import study

from entrench.figures import (
    eta_curves,
    k_scaling,
    prediction,
    realised_kl,
    selection_vs_shift,
    surprisal_vs_delta,
)
from entrench.figures.style import save
from entrench.study.config import MECHANISM_FIGURES


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


def assert_alike(drawn, expected):
    """Rows of numbers, in any order."""
    assert np.array(sorted(map(tuple, drawn))) == pytest.approx(np.array(sorted(expected)))


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
    axis = eta_panel(eta_curves.draw(few["eta"], few["eta_bins"]), "sycophancy", "self_rewarding")
    assert [y for _, y in drawn_points(axis, "s")] == pytest.approx(expected)


def eta_panel(figure, misalignment, selector):
    """The axes of a misalignment (named at the first of a row) and a selector (above the first)."""
    selectors = [axis.get_title(loc="left") for axis in figure.axes]
    columns = selectors[: selectors.index("")]
    assert columns == ["self_confidence", "self_rewarding", "rejection_sampling"]
    rows = [axis.get_ylabel().split("\n")[0] for axis in figure.axes[:: len(columns)]]
    place = rows.index(misalignment) * len(columns) + columns.index(selector)
    return figure.axes[place]


def test_eta_curves_has_one_selector_a_panel_with_its_organisms_and_its_range(few):
    figure = eta_curves.draw(few["eta"], few["eta_bins"])
    assert len(figure.axes) == 4 * 3
    axis = eta_panel(figure, "sycophancy", "self_confidence")
    assert axis.get_ylabel().startswith("sycophancy\n6 organisms")
    own = few["eta_bins"].filter(
        misalignment="sycophancy", selector="self_confidence", ranked="within"
    )
    drawn = sorted(tuple(line.get_ydata()) for line in axis.lines if line.get_linewidth() == 0.5)
    curves = own.sort("bin").partition_by("model", "seed")
    assert_alike(drawn, [tuple(100 * curve["eta"]) for curve in curves])
    ranges = few["eta"].filter(misalignment="sycophancy", selector="self_confidence", k=1)
    shown = [text.get_text() for text in axis.texts]
    assert shown == [f"samples: range {ranges['range_pp'].mean():.0f}, by noise 6"]
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == [
        "mean over organisms (samples)",
        "the same, ranked over all prompts",
        "one organism",
    ]


def test_eta_curves_has_an_interval_over_organisms(few):
    who = {"misalignment": "sycophancy", "selector": "self_rewarding", "ranked": "within"}
    three = few["eta_bins"].filter(seed=0)  # organisms: Student's t on 2 degrees of freedom
    values = 100 * three.filter(**who, bin=1)["eta"]
    data = eta_curves.data(few["eta"], three)
    mean = data.filter(**who, what="mean", bin=1).row(0, named=True)
    half = 4.302653 * values.std() / 3**0.5
    assert mean["ci_kind"] == "t over organisms"
    assert mean["ci_low_percent"] == pytest.approx(max(0, values.mean() - half))
    assert mean["ci_high_percent"] == pytest.approx(min(100, values.mean() + half))
    figure = eta_curves.draw(few["eta"], few["eta_bins"])
    assert "95% interval of the mean (bootstrap over organisms)" in figure.get_supxlabel()
    axis = eta_panel(figure, "sycophancy", "self_rewarding")
    drawn = [list(path.vertices[:, 1]) for c in axis.collections for path in c.get_paths()]
    means = eta_curves.data(few["eta"], few["eta_bins"]).filter(
        what="mean", ranked="within", misalignment="sycophancy", selector="self_rewarding"
    )
    expected = means.select("ci_low_percent", "ci_high_percent").rows()
    assert_alike(drawn, expected)


def test_eta_curves_of_one_organism_has_its_own_interval(demo):
    data = eta_curves.data(demo["eta"], demo["eta_bins"]).filter(what="mean")
    assert set(data["ci_kind"]) == {"prompts of one organism"}
    keys = ["misalignment", "selector", "set", "ranked", "bin"]
    own = demo["eta_bins"].sort(keys)
    assert (data.sort(keys)["ci_low_percent"] / 100).to_list() == pytest.approx(own["ci_low"])
    caption = eta_curves.draw(demo["eta"], demo["eta_bins"]).get_supxlabel()
    assert "95% interval of the mean (prompts of one organism)" in caption


def panels(figure, data):
    """Each misalignment's axes and what of the data belongs there."""
    assert len(figure.axes) == 4
    for axis in figure.axes:
        yield axis, data.filter(misalignment=axis.get_title(loc="left"))


def test_realised_kl_draws_its_data(few):
    data = realised_kl.data(few["divergence"])
    figure = realised_kl.draw(few["divergence"])
    for axis, mine in panels(figure, data):
        assert sorted(x for x, _ in drawn_points(axis, "|")) == pytest.approx(
            mine.filter(what="run")["kl"].sort().to_list()
        )
        for direction, (marker, _) in realised_kl.DIRECTIONS.items():
            means = mine.filter(what="mean", direction=direction)
            assert sorted(x for x, _ in drawn_points(axis, marker)) == pytest.approx(
                means["kl"].sort().to_list()
            )
        bars = [
            tuple(line.get_xdata())
            for line in axis.lines
            if line.get_marker() == "None" and line.get_linewidth() == 1
        ]
        ends = mine.filter(what="mean").select("low", "high").rows()
        assert_alike(bars, ends)
        assert "n=6" in {text.get_text() for text in axis.texts}
    caption = figure.get_supxlabel()
    shares = few["divergence"]["cut_share"]
    assert f"cut at max_new_tokens, and counted up to the cut: {shares.mean():.0%}" in caption
    assert f"at most {shares.max():.0%}" in caption
    assert "not drawn" not in caption


def test_bars_of_realised_kl_stay_above_zero_and_what_is_not_is_counted(demo):
    """By hand: 2 nats, of standard error 4, lie between 2 / e^4 and 2 e^4."""
    column, se = "kl_trained_from_organism", "kl_trained_from_organism_se"
    wide = demo["divergence"].with_columns(pl.lit(2.0).alias(column), pl.lit(4.0).alias(se))
    mean = realised_kl.data(wide).filter(what="mean", direction=column)
    assert mean["low"].to_list() == pytest.approx([2 / np.exp(4)] * mean.height)
    assert mean["high"].to_list() == pytest.approx([2 * np.exp(4)] * mean.height)
    first = (pl.col("misalignment") == "sycophancy") & (pl.col("method") == "multi_view")
    none = demo["divergence"].with_columns(pl.when(first).then(0.0).otherwise(column).alias(column))
    assert "KL of a run at 0 or below, not drawn: 1" in realised_kl.draw(none).get_supxlabel()


def test_surprisal_vs_delta_draws_its_data(few):
    data = surprisal_vs_delta.data(few["decomposition"])
    figure = surprisal_vs_delta.draw(few["decomposition"])
    for axis, mine in panels(figure, data):
        for what, marker in (("run", "o"), ("method", "D")):
            expected = mine.filter(what=what).select("surprisal_per_token", "delta_pp").rows()
            drawn = drawn_points(axis, marker)
            assert_alike(drawn, expected)
        texts = [text.get_text().strip() for text in axis.texts]
        assert {*mine["method"]} <= {*texts}
        runs = mine.filter(what="run")
        ranks = runs.select(pl.col("surprisal_per_token", "delta_pp").rank())
        rho = np.corrcoef(ranks["surprisal_per_token"], ranks["delta_pp"])[0, 1]
        assert f"n = {runs.height} runs   ρ = {rho:+.2f}" in texts


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
    assert alone.axes == []
    assert "(1 model, 2 are needed)" in alone.get_label()
    skill = prediction.data(few["prediction"]).filter(pl.col("what") == "skill").to_dicts()
    drawn = prediction.draw(few["prediction"])
    texts = sorted(text.get_text() for text in drawn.axes[0].texts)
    shares = [f"{100 * row['accuracy']:.0f}%" for row in skill]
    assert texts == sorted(shares + [f"n={row['n_runs']}" for row in skill])


def test_k_scaling_draws_labels_above_and_runs_below(few):
    """The control is set by hand, since the simulated sweep has none."""
    table = few["k_scaling"].with_columns(
        control_delta_pp=pl.when(pl.col("delta_pp").is_not_null()).then(pl.lit(-1.5))
    )
    figure = k_scaling.draw(table)
    data = k_scaling.data(table)
    above, below = figure.axes[:4], figure.axes[4:]
    names = [label.get_text() for label in below[0].get_yticklabels()]
    for top, bottom in zip(above, below, strict=True):
        mine = data.filter(pl.col("misalignment") == top.get_title(loc="left"))
        row = mine.filter(pl.col("delta_pp").is_not_null(), operator="self_confidence").row(
            0, named=True
        )
        height = names.index(f"self_confidence, k = {row['k']}")
        assert drawn_points(bottom, "o") == [(pytest.approx(row["delta_pp"]), height)]
        assert drawn_points(bottom, "x") == [(-1.5, place) for place in range(len(names))]
        bars = [tuple(line.get_xdata()) for line in bottom.lines if line.get_linewidth() == 1.1]
        assert (row["delta_low_pp"], row["delta_high_pp"]) in bars
        assert [text.get_text() for text in bottom.texts] == ["n = 6 organisms"]
        confidence = mine.filter(pl.col("operator") == "self_confidence")
        assert [y for _, y in drawn_points(top, "o")] == pytest.approx(
            confidence["label_risk_percent"].to_list()
        )
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert "runs of the random control, on the same organisms" in legend
    assert "bars: 95% interval over models" in figure.get_supxlabel()


def test_k_scaling_without_runs_has_no_lower_row(few):
    none = few["k_scaling"].with_columns(delta_pp=pl.lit(None, pl.Float64))
    figure = k_scaling.draw(none)
    assert len(figure.axes) == 4
    assert "no run of a method with a k was trained" in figure.get_supxlabel()
