"""The figures: files, embedded fonts, repeatable bytes, and that what is drawn is the data."""

import json
import os
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from matplotlib.figure import Figure
from unit import simulated_mechanism, simulated_report
from unit.simulated import study

from entrench.analysis.summary.names import ALL_METHODS
from entrench.analysis.tables import write_table
from entrench.figures import (
    base_vs_instruct,
    comparison_with_paper,
    delta_by_method,
    false_positive_rates,
    risk_trajectories,
    suppressed_share,
)
from entrench.figures.layout import name_methods
from entrench.figures.style import method_order, save, spread, with_group
from entrench.records import write_text
from entrench.study.config import FIGURES, STUDY_FIGURES

SCRIPTS = Path(__file__).parents[2] / "workflow" / "scripts"


@pytest.fixture(scope="module")
def demo():
    return study(1, 1)


@pytest.fixture(scope="module")
def tables():
    """Every table a figure may be drawn from, of a simulated study of two models.

    The mechanism's are of one model, whose prediction cannot be assessed: they have empty cells.
    """
    return simulated_report.tables(2, 1) | simulated_mechanism.study(1, 1)


@pytest.fixture(scope="module")
def few():
    return study(2, 1)


# The script treats all figures alike: one from several tables tells of all of them.
BY_SCRIPT = ("delta_by_method",)


@pytest.mark.parametrize(
    "figure",
    [
        name if name in BY_SCRIPT else pytest.param(name, marks=pytest.mark.release)
        for name in FIGURES
    ],
)
def test_the_script_writes_what_this_process_draws_to_the_byte(figure, tables, tmp_path):
    read = [tables[name] for name in FIGURES[figure]]
    for name, frame in zip(FIGURES[figure], read, strict=True):
        write_table(frame, tmp_path / f"{name}.csv")
    pdf, png, data = (tmp_path / f"figure.{end}" for end in ("pdf", "png", "csv"))
    command = [sys.executable, SCRIPTS / "figures_draw.py", "--figure", figure]
    command += ["--tables", *(tmp_path / f"{name}.csv" for name in FIGURES[figure])]
    command += ["--pdf", pdf, "--png", png, "--data", data]
    subprocess.run(command, check=True, env=os.environ | {"PYTHONHASHSEED": "1"})
    module = import_module(f"entrench.figures.{figure}")
    save(module.draw(*read), tmp_path / "again.pdf", tmp_path / "again.png")
    assert pdf.read_bytes() == (tmp_path / "again.pdf").read_bytes()
    assert png.read_bytes() == (tmp_path / "again.png").read_bytes()
    assert data.read_text() == module.data(*read).write_csv()
    assert b"/FontFile2" in pdf.read_bytes()  # TrueType, embedded
    assert b"/Type3" not in pdf.read_bytes()
    assert b"CreationDate" not in pdf.read_bytes()
    assert png.read_bytes().startswith(b"\x89PNG")


def test_delta_by_method_draws_its_data(few):
    runs, organisms, summary, _ = few
    silent = pl.col("method").is_in(["act", "bct"])
    said = pl.when(silent).then(pl.lit("cannot tell: x")).otherwise(pl.lit("falls: these models"))
    summary = summary.with_columns(conclusion=said)
    data = delta_by_method.data(runs, organisms, summary)
    figure = delta_by_method.draw(runs, organisms, summary)
    assert len(figure.axes) == 4
    for axis in figure.axes:
        mine = data.filter(pl.col("misalignment") == axis.get_title(loc="left"))
        trainings = mine.filter(pl.col("what") == "training")["change_pp"]
        means = mine.filter(pl.col("what") == "mean")
        ends = [*means["low_pp"], *means["high_pp"]]
        assert sorted(x for x, _ in drawn(axis, "o")) == sorted(trainings)
        assert sorted(x for x, _ in drawn(axis, "D")) == sorted(means["change_pp"])
        assert sorted(x for x, _ in drawn(axis, "|")) == sorted(ends)
        hollow = [
            line.get_xdata()[0]
            for line in axis.lines
            if line.get_marker() == "D" and line.get_markerfacecolor() == "white"
        ]
        assert sorted(hollow) == sorted(means.filter(silent)["change_pp"])
        assert means.filter("open")["method"].sort().to_list() == ["act", "bct"]
        shown = [text.get_text() for text in axis.texts]
        assert shown.count("n=2") == 10  # organisms: of nine methods, and of all of them
        low, high = axis.get_xlim()
        assert low < min(trainings)
        assert high > max(trainings)


def test_a_mean_without_an_interval_is_drawn_without_one(few):
    runs, organisms, summary, _ = few
    none = summary.with_columns(low_pp=pl.lit(None, pl.Float64), high_pp=pl.lit(None, pl.Float64))
    for axis in delta_by_method.draw(runs, organisms, none).axes:
        assert drawn(axis, "|") == []
        assert len(drawn(axis, "D")) == 10


def test_risk_trajectories_draws_its_data(few):
    data = risk_trajectories.data(*few[:2])
    figure = risk_trajectories.draw(*few[:2])
    for axis in figure.axes:
        mine = data.filter(pl.col("misalignment") == axis.get_title(loc="left"))
        labels = figure.axes[0].get_yticklabels()
        names = [label.get_text().removesuffix(" (control)") for label in labels]
        assert names[:2] == ["base model", "organism"]
        start = mine.filter(pl.col("what") == "organisms").row(0, named=True)
        after = {row["method"]: row for row in mine.filter(what="method").iter_rows(named=True)}
        means = [(start["base_percent"], 0.0), (start["organism_percent"], 1.0)]
        means += [(after[name]["trained_percent"], y) for y, name in enumerate(names[2:], 2)]
        assert drawn(axis, "D") == sorted(means)
        before = [(after[name]["organism_percent"], y) for y, name in enumerate(names[2:], 2)]
        assert drawn(axis, "o") == sorted(before)
        runs = mine.filter(what="run")
        ticks = [
            (risk, names.index(name)) for name, risk in runs["method", "trained_percent"].rows()
        ]
        assert [point for point in drawn(axis, "|") if point[1] > 1] == sorted(ticks)
        bars = {
            tuple(map(float, line.get_xdata()))
            for line in axis.lines
            if line.get_linewidth() == 1.6
        }
        ends = {(row["trained_low"], row["trained_high"]) for row in after.values()}
        ends |= {(start["base_low"], start["base_high"])}
        assert bars == ends | {(start["organism_low"], start["organism_high"])}


def test_chance_levels_are_lines_with_names():
    """Two organisms: means by hand; a level that one of them lacks is not drawn."""
    runs, organisms, *_ = study(1, 2)
    known = {"constant": [0.5, 0.7], "uniform": [0.2, 0.22], "base_rate": [0.9, None]}
    mine = pl.col("misalignment") == "sycophancy"
    organisms = organisms.with_columns(
        pl.when(mine)
        .then(pl.col("seed").replace_strict([40, 41], levels, return_dtype=pl.Float64))
        .alias(f"organism_chance_{answerer}")
        for answerer, levels in known.items()
    )
    data = risk_trajectories.data(runs, organisms).filter(what="organisms")
    names = [f"chance_{answerer}_percent" for answerer in known]
    cells = {row["misalignment"]: [row[n] for n in names] for row in data.iter_rows(named=True)}
    assert cells.pop("sycophancy") == [pytest.approx(60), pytest.approx(21), None]
    assert set(map(tuple, cells.values())) == {(None, None, None)}
    figure = risk_trajectories.draw(runs, organisms)
    assert "grey line: chance level" in figure.get_supxlabel()
    for axis in figure.axes:
        lines = [line for line in axis.lines if line.get_linewidth() == 0.6]
        upright = [tuple(x) for x in (line.get_xdata() for line in lines) if x[0] == x[1]]
        said = [text.get_text() for text in axis.texts if "chance" in text.get_text()]
        if axis.get_title(loc="left") != "sycophancy":
            assert (upright, said) == ([], [])
            continue
        assert sorted(x[0] for x in upright) == [pytest.approx(21), pytest.approx(60)]
        assert said == ["chance, uniform: 21%", "chance, constant: 60%"]


def test_without_chance_levels_nothing_is_said_of_them(demo):
    assert "chance" not in risk_trajectories.draw(*demo[:2]).get_supxlabel()


def test_intervals_of_risks_by_hand():
    """Three organisms of one model: t on 2 degrees of freedom; one base model has no interval."""
    runs, organisms, *_ = study(1, 3)
    data = risk_trajectories.data(runs, organisms).filter(misalignment="sycophancy")
    start = data.filter(what="organisms").row(0, named=True)
    values = 100 * organisms.filter(misalignment="sycophancy")["organism_risk"]
    half = 4.302653 * values.std() / 3**0.5
    assert start["organism_low"] == pytest.approx(max(0, values.mean() - half))
    assert start["organism_high"] == pytest.approx(min(100, values.mean() + half))
    assert (start["base_low"], start["n_models"]) == (None, 1)
    trained = (
        100 * runs.filter("valid", misalignment="sycophancy", method="multi_view")["trained_risk"]
    )
    row = data.filter(what="method", method="multi_view").row(0, named=True)
    half = 4.302653 * trained.std() / 3**0.5
    assert row["trained_low"] == pytest.approx(max(0, trained.mean() - half))
    assert row["ci_kind"] == "t over organisms"
    said = risk_trajectories.draw(runs, organisms).get_supxlabel()
    assert "95% interval (t over organisms; base models: none, there is one)" in said


def test_organisms_of_one_base_model_are_one_base_model():
    """Two models, three organisms each: t on 1 degree of freedom, from the two models' risks."""
    runs, organisms, *_ = study(2, 3)
    base = {"model0": 0.02, "model1": 0.06}
    alike = organisms.with_columns(base_risk=pl.col("model").replace_strict(base))
    data = risk_trajectories.data(runs, alike).filter(misalignment="sycophancy")
    start = data.filter(what="organisms").row(0, named=True)
    assert start["base_percent"] == pytest.approx(4)
    assert start["base_low"] == 0  # 4 - 12.706205 * 2, but a risk is not below 0
    assert start["base_high"] == pytest.approx(4 + 12.706205 * 2)
    assert (start["n"], start["n_models"]) == (6, 2)
    texts = [text.get_text() for text in risk_trajectories.draw(runs, alike).axes[3].texts]
    assert texts[0] == "4%, n=2"


def test_means_by_hand():
    runs, organisms, *_ = study(1, 2)
    data = risk_trajectories.data(runs, organisms).filter(pl.col("misalignment") == "sycophancy")
    bct = runs.filter((pl.col("misalignment") == "sycophancy") & (pl.col("method") == "bct"))
    row = data.filter((pl.col("what") == "method") & (pl.col("method") == "bct")).row(0, named=True)
    assert row["trained_percent"] == pytest.approx(100 * sum(bct["trained_risk"]) / 2)
    assert row["n"] == 2
    start = data.filter(pl.col("what") == "organisms").row(0, named=True)
    base = organisms.filter(pl.col("misalignment") == "sycophancy")["base_risk"]
    assert start["base_percent"] == pytest.approx(100 * sum(base) / 2)
    assert start["n"] == 2


def test_invalid_runs_are_not_drawn():
    runs, organisms, summary, detail = study(7, 5, 602)
    valid = runs.filter("valid")
    assert valid.height == 602 - 13  # every 50th is invalid
    data = delta_by_method.data(runs, organisms, summary)
    assert data.filter(pl.col("what") == "training").height == valid.height
    data = risk_trajectories.data(runs, organisms)
    assert data.filter(pl.col("what") == "run").height == valid.height
    counts = suppressed_share.data(runs, detail).filter(method="bct")["counts"]
    said = sum(int(number) for note in counts for number in re.findall(r"\d+", note))
    assert said == valid.filter(method="bct").height


def test_nothing_valid_says_so(demo):
    runs, organisms, summary, _ = demo
    empty = runs.head(0), organisms, summary.head(0)
    for figure, needed in ((delta_by_method, 3), (risk_trajectories, 2)):
        assert figure.draw(*empty[:needed]).get_label() == "Not drawn: no valid run."


@pytest.mark.parametrize(
    ("figure", "said"),
    [
        ("suppressed_share", "no valid run"),
        ("comparison_with_paper", "nothing published"),
        ("judge_health", "nothing was measured"),
        ("false_positive_rates", "nothing was simulated"),
    ],
)
def test_empty_tables_say_so(figure, said, tables):
    empty = [tables[name].head(0) for name in STUDY_FIGURES[figure]]
    drawn = import_module(f"entrench.figures.{figure}").draw(*empty)
    assert drawn.get_label() == f"Not drawn: {said}."
    assert [text.get_text() for text in drawn.texts] == [drawn.get_label()]


def drawn(axis, *markers):
    """The points of an axis's lines with these markers."""
    return sorted(
        (float(x), float(y))
        for line in axis.lines
        if line.get_marker() in markers
        for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True)
    )


def test_methods_stand_by_what_they_train_on_with_a_line_between():
    kinds = {"opct": "consistency", "act": "consistency", "random": "control"}
    kinds |= {
        "self_confidence": "consistency",
        "bct_sft": "consistency",
        "on_policy_sft": "control",
    }
    runs = pl.DataFrame(
        [{"method": name, "operator": name, "kind": k} for name, k in kinds.items()]
    )
    pooled = pl.DataFrame({"method": [ALL_METHODS], "group": [ALL_METHODS]})
    drawn = pl.concat([with_group(runs).select("method", "group"), pooled])
    order = method_order(drawn)
    assert order == [
        ("self_confidence", "labels"),
        *(("act", "regularisers"), ("bct_sft", "regularisers"), ("opct", "on-policy")),
        (ALL_METHODS, ALL_METHODS),
        *(("on_policy_sft", "control"), ("random", "control")),
    ]
    axis = Figure().subplots()
    name_methods(axis, order)
    assert sorted(line.get_ydata()[0] for line in axis.lines) == [0.5, 2.5, 3.5, 4.5]
    names = [label.get_text() for label in axis.get_yticklabels()]
    assert names[3:6] == ["opct (on-policy)", ALL_METHODS, "on_policy_sft (control)"]


def test_suppressed_share_draws_its_data(tables):
    runs, detail = tables["runs_detail"], tables["detail"]
    data = suppressed_share.data(runs, detail)
    groups = dict(data.select("method", "group").iter_rows())
    assert (groups["act"], groups["self_confidence"]) == ("regularisers", "labels")
    assert (groups["rejection_sampling"], groups[ALL_METHODS]) == ("control", ALL_METHODS)
    for axis in suppressed_share.draw(runs, detail).axes:
        about = axis.get_title(loc="left")
        mine = data.filter(pl.col("misalignment") == about)
        assert sorted(x for x, _ in drawn(axis, "D", "s")) == sorted(mine["value_percent"])
        ends = [*mine["low_percent"], *mine["high_percent"]]
        assert sorted(x for x, _ in drawn(axis, "|")) == sorted(ends)
        own = runs.filter("valid", misalignment=about, method="bct")
        fell = own.filter(pl.col("delta_risk") < 0).height
        assert f"{fell} of {own.height}" in [text.get_text() for text in axis.texts]


def test_base_vs_instruct_draws_each_pair_and_the_contrast(tables):
    data = base_vs_instruct.data(tables["contrasts"], tables["detail"])
    assert data.height == 4 * 7  # misalignments, consistency methods
    for axis in base_vs_instruct.draw(tables["contrasts"], tables["detail"]).axes:
        about = axis.get_title(loc="left")
        mine = data.filter(pl.col("misalignment") == about)
        pairs = mine.select("base_delta_pp", "instruct_delta_pp").iter_rows()
        assert drawn(axis, "o") == sorted(pairs)
        mean = mine["difference_pp"].mean()  # of one pair of organisms
        said = axis.texts[0].get_text()
        assert f"instruct − base {mean:+.1f} points" in said
        assert "n = 7 pairs of runs" in said
        assert "these weights" in said  # of a single difference, with the spread of its prompts


def test_comparison_draws_theirs_and_ours(tables):
    data = comparison_with_paper.data(tables["comparison_with_paper"])
    shares, means = comparison_with_paper.draw(tables["comparison_with_paper"]).axes
    for axis, quantity in ((shares, "share_suppressed"), (means, "mean_delta_pp")):
        mine = data.filter(pl.col("quantity") == quantity)
        assert sorted(x for x, _ in drawn(axis, "D")) == sorted(mine["paper"])
        once = mine.unique(["misalignment", "label"], keep="first", maintain_order=True)
        assert sorted(x for x, _ in drawn(axis, "o")) == sorted(once["ours"].drop_nulls())
    vague = data.filter(~pl.col("comparable"))
    assert set(vague["label"]) == {"SR"}


def test_false_positive_rates_draw_their_data(tables):
    data = false_positive_rates.data(tables["error_rates"])
    figure = false_positive_rates.draw(tables["error_rates"])
    heights = [y for axis in figure.axes for _, y in drawn(axis, "s", "^", "o", "D")]
    shown = data.filter(pl.col("measure") != "false conclusions")
    assert sorted(heights) == pytest.approx(sorted(shown["rate_percent"]))


def test_simulated_results_say_so_in_their_figures(tables, tmp_path):
    write_text(tmp_path / "SIMULATED", "SIMULATED: not measured\n")
    folder = tmp_path / "parts" / "tiny"
    read = [tables[name] for name in ("runs_detail", "detail")]
    write_table(read[0], folder / "runs_detail.csv")
    write_table(read[1], folder / "detail.csv")
    command = [sys.executable, SCRIPTS / "figures_draw.py", "--figure", "suppressed_share"]
    command += ["--tables", folder / "runs_detail.csv", folder / "detail.csv"]
    for end in ("pdf", "png"):
        command += [f"--{end}", tmp_path / f"figure.{end}"]
    subprocess.run([*command, "--data", tmp_path / "figure.csv"], check=True)
    figure = suppressed_share.draw(*read)
    save(figure, tmp_path / "a.pdf", tmp_path / "a.png", note="SIMULATED: not measured")
    assert (tmp_path / "figure.png").read_bytes() == (tmp_path / "a.png").read_bytes()
    save(suppressed_share.draw(*read), tmp_path / "b.pdf", tmp_path / "b.png")
    assert (tmp_path / "figure.png").read_bytes() != (tmp_path / "b.png").read_bytes()


def test_the_wrong_tables_end_in_one_message(tmp_path):
    command = [sys.executable, SCRIPTS / "figures_draw.py", "--figure", "suppressed_share"]
    command += ["--tables", "runs_detail.csv", "--pdf", "x", "--png", "x", "--data", "x"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 1
    assert (
        done.stderr
        == "error: --tables: figure suppressed_share is drawn from runs_detail, detail\n"
    )


def test_labels_keep_apart_and_stay_in_order():
    assert spread([10, 50], 7, 0, 100) == [10, 50]
    assert spread([50, 50, 50], 10, 0, 100) == pytest.approx([40, 50, 60])
    assert spread([0, 0], 10, 0, 100) == pytest.approx([0, 10])
    assert spread([100, 99], 10, 0, 100) == pytest.approx([100, 90])
    crowded = spread([1, 2, 3, 4], 50, 0, 90)
    assert np.diff(crowded) == pytest.approx(30)
    assert spread([], 10, 0, 100) == []


def test_drawing_needs_no_model_and_no_network_library():
    code = (
        "import json, sys; from unit.simulated import study; "
        "from entrench.figures import delta_by_method, risk_trajectories; "
        "delta_by_method.draw(*study(1, 1)[:3]); print(json.dumps(sorted(sys.modules)))"
    )
    paths = os.pathsep.join([str(SCRIPTS), str(Path(__file__).parents[1])])
    done = subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": paths},
    )
    assert not {"torch", "transformers", "peft", "datasets", "vllm"} & set(json.loads(done.stdout))
