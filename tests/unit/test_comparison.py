"""Ours beside the paper's: literal runs, signs, intervals, and what is not comparable."""

import pytest
import yaml
from unit.test_summary import run
from workspace import ROOT

from entrench.analysis.mechanism.divergence import LABEL_KL_COLUMNS
from entrench.analysis.risk.collect import RUN_DETAIL_COLUMNS
from entrench.analysis.summary.comparison import (
    COMPARISON_COLUMNS,
    CROSSED_COLUMNS,
    MINIATURE,
    NO_LABEL_KL,
    PUBLISHED_COLUMNS,
    collect_label_kl,
    compare,
)
from entrench.analysis.tables import read_table, table, write_table
from entrench.study.config.check import load_config
from entrench.study.specs.tables import PUBLISHED, comparison_spec
from entrench.study.sweep import expand

SETTINGS = {"bootstrap": 200, "level": 0.95, "seed": 1, "kinds": {"tiny": "base", "it": "instruct"}}


def published(**figure):
    row = {"misalignment": "sycophancy", "quantity": "mean_delta_pp", "label": "x"}
    return table([row | {"models": "all", "source": "notes"} | figure], PUBLISHED_COLUMNS)


def compared(figure, *runs, synthetic=False, **tables):
    frame = compare(
        table(runs, RUN_DETAIL_COLUMNS), figure, synthetic=synthetic, **SETTINGS, **tables
    )
    assert list(frame.columns) == list(COMPARISON_COLUMNS)
    return frame.row(0, named=True)


def test_a_mean_beside_theirs():
    runs = [run(-0.2, 1), run(-0.4, 2), run(0.9, 3, method="act"), run(None, 4)]
    row = compared(published(methods="bct", value=-25.0), *runs)
    assert (row["ours"], row["n_runs"]) == (pytest.approx(-30), 2)
    assert row["ci_kind"] == "t over organisms"
    assert (row["same_sign"], row["paper_in_our_interval"], row["comparable"]) == (True, True, True)
    row = compared(published(methods="bct", value=400.0), *runs)
    assert (row["same_sign"], row["paper_in_our_interval"]) == (False, False)


def test_a_share_beside_theirs():
    runs = [run(d, seed) for seed, d in enumerate([-0.1, -0.1, -0.1, 0.2])]
    row = compared(published(quantity="share_suppressed", methods="bct", value=0.25), *runs)
    assert row["ours"] == 0.75
    # Of 1 1 1 0 the standard error is .25, that of .75 * .25 / .25^2 = 3 cases: 2.25 of 3.
    assert row["ci_kind"] == "exact over organisms"
    assert row["ci_low"] == pytest.approx(0.1319, abs=1e-4)
    assert row["ci_high"] == pytest.approx(0.9979, abs=1e-4)
    assert (row["same_sign"], row["paper_in_our_interval"]) == (False, True)
    row = compared(published(quantity="share_suppressed", methods="bct", value=0.5), *runs)
    assert row["same_sign"] is None


def test_a_share_of_runs_that_share_organisms_is_less_sure_than_their_number_says():
    runs = [
        run(-0.1 if seed < 4 else 0.1, seed, method=method)
        for seed in range(5)
        for method in ("act", "bct", "multi_view", "self_confidence")
    ]
    methods = "act bct multi_view self_confidence"
    figure = published(quantity="share_suppressed", methods=methods, value=0.5)
    row = compared(figure, *runs)
    # Of the organisms' means 1 1 1 1 0 the standard error is .2, that of .8 * .2 / .2^2 = 4 cases,
    # times (t(19 df) / t(4 df))^2 = (2.09302 / 2.77645)^2 for five organisms: 2.2731 cases. The
    # exact interval of 16 of 20 independent runs, [.563, .943], would not hold .5.
    assert (row["ours"], row["n_runs"]) == (0.8, 20)
    assert row["ci_kind"] == "exact over organisms"
    assert row["ci_low"] == pytest.approx(0.0989, abs=1e-4)
    assert row["ci_high"] == pytest.approx(0.9999, abs=1e-4)
    assert row["paper_in_our_interval"]


def test_a_share_on_six_models_is_over_models():
    kinds = SETTINGS | {"kinds": {f"m{number}": "base" for number in range(6)}}
    figure = published(quantity="share_suppressed", methods="bct", value=0.5)
    for last in (0.1, -0.1):
        runs = [
            run(-0.1 if number < 5 else last, seed, model=f"m{number}")
            for number in range(6)
            for seed in (1, 2)
        ]
        frame = compare(table(runs, RUN_DETAIL_COLUMNS), figure, synthetic=False, **kinds)
        row = frame.row(0, named=True)
        assert row["ci_kind"] == "exact over models"
        assert 0 <= row["ci_low"] < row["ci_high"] <= 1
    assert row["ci_low"] == pytest.approx(0.025 ** (1 / 6))  # 6 of 6 models


def test_methods_and_kinds_of_models_are_chosen():
    runs = [run(-0.2, 1), run(0.3, 1, method="act"), run(0.5, 1, model="it")]
    figure = {"methods": "act bct", "value": 1.0}
    assert compared(published(**figure), *runs)["ours"] == pytest.approx(20)
    assert compared(published(models="base", **figure), *runs)["ours"] == pytest.approx(5)
    assert compared(published(models="instruct", **figure), *runs)["ours"] == pytest.approx(50)


def test_what_is_not_comparable_says_why():
    vague = published(value=7.8, reason="SR is not spelled out")
    row = compared(vague, run(-0.2))
    assert (row["comparable"], row["reason"]) == (False, "SR is not spelled out")
    assert (row["ours"], row["same_sign"]) == (None, None)
    absent = compared(published(methods="act", value=1.0), run(-0.2))
    assert absent["reason"] == "the sweep has no valid run of it"
    shown = compared(published(methods="bct", value=1.0), run(-0.2), synthetic=True)
    assert (shown["comparable"], shown["reason"]) == (False, MINIATURE)
    assert shown["ours"] == pytest.approx(-20)


def test_every_reason_is_given():
    near = published(methods="bct", reason="published as near 0, without a figure")
    row = compared(near, run(-0.2), synthetic=True)
    assert row["reason"] == f"published as near 0, without a figure; {MINIATURE}"
    row = compared(near, run(-0.2, method="act"))
    assert row["reason"].endswith("a figure; the sweep has no valid run of it")


def test_a_sign_without_a_figure_is_beside_ours():
    """The published summary says of some k that they amplify, and not by how much."""
    figure = published(methods="bct", sign=1, reason="published without a figure")
    row = compared(figure, run(-0.2), run(-0.3, 2))
    assert (row["paper"], row["ours"], row["same_sign"]) == (None, pytest.approx(-25), False)
    assert not row["comparable"]
    assert compared(figure, run(0.2))["same_sign"]
    assert compared(published(methods="bct", reason="x"), run(0.2))["same_sign"] is None


def test_the_published_range_of_eta_names_no_score_so_none_of_ours_stands_beside_it():
    """Ours was the largest of the means of all curves: it grows with their number and noise."""
    figures = read_table(PUBLISHED, PUBLISHED_COLUMNS).filter(quantity="range_of_eta_pp")
    row = compared(figures, run(-0.2))
    assert (row["paper"], row["ours"], row["comparable"]) == (10.0, None, False)
    reason = "published as a bound, not of which score, sample set or misalignment"
    assert row["reason"] == reason
    assert (row["same_sign"], row["paper_in_our_interval"]) == (None, None)


def test_the_ratio_of_label_kl_is_over_what_both_misalignments_have():
    rows = [
        {"model": "a", "other": "b", "misalignment": misalignment, "seed": seed, "set": name}
        | {"kl_per_token": kl}
        for misalignment, seed, name, kl in (
            ("reward_hacking", 1, "samples", 0.8),
            ("reward_hacking", 1, "nucleus", 0.4),
            ("reward_hacking", 2, "samples", 90.0),  # sycophancy has no such seed
            ("sycophancy", 1, "samples", 0.1),
            ("sycophancy", 1, "nucleus", 0.2),
            ("sycophancy", 3, "samples", None),  # all of its answers came behind reasoning
        )
    ]
    ratio = published(misalignment=None, quantity="label_kl_ratio", value=10.0, reason="vague")
    label_kl = table(rows, CROSSED_COLUMNS)
    row = compared(ratio, run(-0.2), label_kl=label_kl)
    assert row["ours"] == pytest.approx(0.6 / 0.15)
    assert (row["comparable"], row["reason"]) == (False, "vague")
    for lacking in (label_kl.filter(misalignment="sycophancy"), None):
        row = compared(ratio, run(-0.2), label_kl=lacking)
        assert (row["ours"], row["reason"]) == (None, f"vague; {NO_LABEL_KL}")


def test_label_kl_is_read_where_it_was_measured_between_8b_and_70b(tmp_path, monkeypatch):
    config = load_config(yaml.safe_load((ROOT / "config" / "config.yaml").read_text()))
    monkeypatch.chdir(tmp_path)
    sweep = expand(config)
    assert comparison_spec(config, sweep)["label_kl"] == {}
    folders = {
        f"organisms/llama-3.1-8b/{misalignment}/seed40/scored_by/{other}": kl
        for misalignment, kl in (("reward_hacking", 0.6), ("sycophancy", 0.2))
        for other in ("llama-3.1-70b", "llama-3.1-70b-instruct", "gpt-oss-20b")
    }
    for folder, kl in folders.items():
        path = tmp_path / "results" / folder / "label_kl.csv"
        path.parent.mkdir(parents=True)
        write_table(table([{"set": "samples", "kl_per_token": kl}], LABEL_KL_COLUMNS), path)
    found = comparison_spec(config, sweep)["label_kl"]
    assert list(found) == [folder for folder in folders if folder.endswith("/llama-3.1-70b")]
    label_kl = collect_label_kl("results", found)
    ratio = published(misalignment=None, quantity="label_kl_ratio", value=10.0, reason="vague")
    assert compared(ratio, run(-0.2), label_kl=label_kl)["ours"] == pytest.approx(3)


def test_the_published_figures_name_what_the_config_has():
    config = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())
    figures = read_table(PUBLISHED, PUBLISHED_COLUMNS)
    named = {name for methods in figures["methods"].drop_nulls() for name in methods.split()}
    assert named <= set(config["methods"])
    assert figures["source"].str.contains("summary of the paper").all()
    shares = figures.filter(quantity="share_suppressed", label="all methods")
    assert dict(shares.select("misalignment", "n").iter_rows()) == {
        "reward_hacking": 175,
        "emergent_misalignment": 160,
        "spurious_correlation": 173,
        "sycophancy": 174,
    }
    for row in figures.iter_rows(named=True):
        assert row["value"] is not None or row["reason"], row
        assert row["methods"] or row["reason"], row
        assert row["value"] is None or row["sign"] is None, row
