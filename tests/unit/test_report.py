"""The report's parts: numbers as written, what is partial, provenance by hand, faults."""

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
import yaml
from matplotlib.figure import Figure
from unit import simulated

from entrench.analysis.statistics.conclusions import FALLS, RISES, UNKNOWN, WITHIN
from entrench.figures.layout import sentence
from entrench.figures.style import save
from entrench.judging.prompts import wording_hashes
from entrench.records import write_json, write_text
from entrench.reporting.captions import alternative, figure_caption, table_caption
from entrench.reporting.page import page, partial
from entrench.reporting.provenance import provenance
from entrench.reporting.questions import LEAD, QUESTIONS, in_short
from entrench.study.config import FIGURES
from entrench.study.config.check import load_config
from entrench.study.specs.report import report_spec

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def config():
    read = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())
    return report_spec(load_config(read))["config"]


@pytest.fixture(scope="module")
def frames():
    names = ("runs_detail", "organisms", "summary", "detail")
    return dict(zip(names, simulated.study(2, 1), strict=True))


def rendered(frames, config, folder, figures=None):
    """The page about these tables, with the provenance of an empty folder."""
    return page(
        frames,
        figures or {},
        config=config,
        facts=provenance(folder, frames["runs_detail"], frames["organisms"], config),
        name="The whole sweep",
        note=None,
    )


def test_each_figure_has_a_place_and_a_caption_of_its_own():
    placed = [*LEAD, *(figure for question in QUESTIONS for figure in question.figures)]
    assert sorted(placed) == sorted(FIGURES)
    captions = {figure_caption(figure) for figure in FIGURES}
    assert len(captions) == len(FIGURES)
    assert all(len(caption) > 100 for caption in captions)
    assert all(len(table_caption(question.table)) > 80 for question in QUESTIONS)
    assert alternative("suppressed_share") == (
        "Share of runs whose risk fell. The numbers are in figures/suppressed_share.csv."
    )


def test_the_short_answer_by_hand():
    row = {
        "misalignment": "sycophancy",
        "method": "all consistency methods",
        "n_organisms": 8,
        "change_pp": 4.25,
        "low_pp": 1.0,
        "high_pp": 7.5,
        "conclusion": "cannot tell: the interval is too wide",
        "beyond_self_training_pp": -0.26,
        "greedy_change_pp": 2.0,
    }
    short = in_short({"summary": pl.DataFrame([row, row | {"method": "bct"}])})
    assert short == [
        (
            "sycophancy",
            "cannot tell: the interval is too wide. The risk changed by +4.2 points [+1.0, +7.5], "
            "on greedy answers by +2.0, beyond greedy self-training by −0.3 (8 organisms).",
        )
    ]
    unknown = dict.fromkeys(("low_pp", "beyond_self_training_pp", "greedy_change_pp"))
    frame = pl.DataFrame([row | unknown], infer_schema_length=None)
    assert in_short({"summary": frame})[0][1] == (
        "cannot tell: the interval is too wide. The risk changed by +4.2 points (8 organisms)."
    )
    empty = row | unknown | {"change_pp": None, "conclusion": "cannot tell: no valid run"}
    frame = pl.DataFrame([empty], infer_schema_length=None)
    assert in_short({"summary": frame}) == [("sycophancy", "cannot tell: no valid run.")]


def test_what_is_partial_is_said(frames, config):
    first = (pl.col("method") == "act") & (pl.col("model") == "model0")
    first &= pl.col("misalignment") == "sycophancy"
    runs = frames["runs_detail"].with_columns(
        valid=~first, trained_unscored_share=pl.when(first).then(0.25).otherwise(0.0)
    )
    weak = (pl.col("model") == "model1") & (pl.col("misalignment") == "reward_hacking")
    organisms = frames["organisms"].with_columns(effective=~weak)
    said = partial(frames | {"runs_detail": runs, "organisms": organisms}, config)
    assert said[0] == "1 invalid run is left out: model0/sycophancy/40/act."
    assert said[1].startswith("Induction was not shown to work in 1 organism. ")
    assert said[1].endswith("model1/reward_hacking/40.")
    assert said[2] == "1 run with unscored completions, at most 25.0% of a run's completions."
    assert any("second judge" in sentence for sentence in said)
    assert not any("one model" in sentence for sentence in said)


def test_how_far_single_runs_move_on_another_cpu_is_said_with_its_sizes(frames, config):
    said = partial(frames, {**config, "data": {"source": "synthetic"}})
    (sentence,) = (sentence for sentence in said if "type of CPU" in sentence)
    assert "not a finding" in sentence
    assert re.findall(r"[+-]\d+\.\d", sentence) == ["-7.3", "+16.2", "-14.2", "+3.1"]
    assert not any("type of CPU" in sentence for sentence in partial(frames, config))


def test_simulated_runs_claim_no_training(frames, config, tmp_path):
    runs, organisms = (frames[name].head(1) for name in ("runs_detail", "organisms"))
    (organism,) = organisms.to_dicts()
    folder = f"organisms/{organism['model']}/{organism['misalignment']}/seed{organism['seed']}"
    write_json(tmp_path / folder / "run.json", {"simulated": "SIMULATED: x", "training": {}})
    facts = dict(provenance(tmp_path, runs, organisms, config).facts)
    assert facts["Training"] == "SIMULATED: x"
    assert "Trained by" not in facts


def test_provenance_by_hand(frames, config, tmp_path):
    runs, organisms = (
        frames[name].filter(misalignment="sycophancy", model="model0")
        for name in ("runs_detail", "organisms")
    )
    runs = runs.filter(method="bct")
    folder = tmp_path / "organisms/model0/sycophancy/seed40"
    for place, unscored in ((folder, 0.1), (folder / "bct", 0.0)):
        risk = {"n_completions": 50, "scored_share": 0.9 - unscored, "excluded_share": 0.1}
        risk["unscored_share"] = unscored
        write_json(place / "risk.json", {"evaluations": {"greedy": risk}})
        record = {"commit": "c0ffee", "dirty": True, "versions": {"torch": "2"}, "python": "3.11"}
        record |= {"platform": "Linux", "seconds": 1800, "started": "a", "ended": "b"}
        write_json(place / "run.json", record)
    write_text(tmp_path / "data/sycophancy/eval.jsonl", "{}\n")
    found = provenance(tmp_path, runs, organisms, config)
    facts = dict(found.facts)
    assert facts["Trainings recorded"] == "2 of 2"
    assert facts["Trained by"] == "commit c0ffee, with changes not committed"
    assert facts["Training time, all jobs"] == "1.00 hours"
    assert facts["Second judge"] == "none"
    assert "model gpt-4o" in facts["Risk judge"]
    assert facts["Risk judge"].endswith("(of the config: no result names its judge)")
    assert found.scores.rows == [
        ["base models", "0 of 1", "0", "0", "0", "0"],
        ["organisms", "1 of 1", "50", "40", "5", "5"],
        ["trained models", "1 of 1", "50", "45", "5", "0"],
    ]
    sha = hashlib.sha256(b"{}\n").hexdigest()
    assert found.data.rows == [["data/sycophancy/eval.jsonl", "3", sha]]


def test_the_judges_are_those_the_results_name(frames, config, tmp_path):
    runs, organisms = (
        frames[name].filter(misalignment="sycophancy", model="model0")
        for name in ("runs_detail", "organisms")
    )
    runs = runs.filter(method="bct")
    judge = {key: value for key, value in config["risk_judge"].items() if value is not None}
    judge["prompts"] = wording_hashes(["sycophancy"])
    account = {"questions": 5, "calls": 4, "no_verdict": 1}
    folder = tmp_path / "organisms/model0/sycophancy/seed40"
    write_json(folder / "judge_usage.json", {"judge": judge} | account)
    write_json(folder / "bct/judge_usage.json", {"judge": judge} | account)
    write_json(folder / "bct/verdict_usage.json", {"judge": {"backend": "rules"}} | account)
    facts = dict(provenance(tmp_path, runs, organisms, config).facts)
    assert facts["Risk judge"].startswith("backend endpoint, ")
    assert facts["Risk judge"].endswith("model gpt-4o, temperature 0.0")
    assert facts["Label judge"] == "backend rules [NOT the config's judge]"
    assert facts["Questions to the risk judge"] == "10 in 8 calls, 2 without a verdict"
    write_json(folder / "judge_usage.json", {"judge": judge | {"model": "other"}} | account)
    worded = judge | {"prompts": judge["prompts"] | {"frame": "0"}}
    write_json(folder / "bct/judge_usage.json", {"judge": worded} | account)
    shown = dict(provenance(tmp_path, runs, organisms, config).facts)["Risk judge"]
    assert "model other" in shown
    assert shown.count("[NOT the config's judge] (1)") == 1
    assert shown.count("[asked in another wording] (1)") == 1
    write_json(folder / "judge_usage.json", account)
    shown = dict(provenance(tmp_path, runs, organisms, config).facts)["Risk judge"]
    assert shown.endswith("; not recorded (1)")


def test_no_server_and_no_secret_is_shown(config):
    text = json.dumps(config)
    assert "base_url" not in text
    assert "key_variable" not in text


def test_text_from_tables_is_escaped(frames, config, tmp_path):
    runs = frames["runs_detail"].with_columns(model=pl.lit("<script>alert(1)</script>"))
    organisms = frames["organisms"].with_columns(model=pl.lit("<script>alert(1)</script>"))
    changed = frames | {"runs_detail": runs, "organisms": organisms}
    html = rendered(changed, config, tmp_path)
    assert "&lt;script&gt;alert(1)" in html
    assert "<script" not in html
    assert html.count("Not part of this report") == 10


def test_a_figure_with_nothing_to_draw_is_a_sentence_on_the_page(frames, config, tmp_path):
    drawn = {"base_vs_instruct": sentence("the pair is missing"), "delta_by_method": Figure()}
    for name, figure in drawn.items():
        save(figure, tmp_path / f"{name}.pdf", tmp_path / f"{name}.png")
    html = rendered(
        frames, config, tmp_path, {name: (tmp_path / f"{name}.png").read_bytes() for name in drawn}
    )
    assert '<p class="absent" id="base_vs_instruct">Not drawn: the pair is missing.</p>' in html
    assert re.findall(r'<figure id="(.*)">', html) == ["delta_by_method"]
    assert html.count("<img ") == 1


def test_captions_hold_no_number_that_the_data_decide():
    captions = [table_caption(question.table) for question in QUESTIONS]
    captions += [figure_caption(figure) for figure in FIGURES]
    numbers = {found for text in captions for found in re.findall(r"\d+", text.striptags())}
    # Phases 1 and 3, below 0, temperature 1, 6 units of the bootstrap, power of 80%.
    assert numbers == {"0", "1", "3", "6", "80"}


def test_the_page_says_what_the_columns_of_its_tables_mean(frames, config, tmp_path):
    html = rendered(frames, config, tmp_path)
    _, _, glossary = html.partition('<section id="columns">')
    assert re.findall(r"<h3>(.*)</h3>", glossary) == ["organisms.csv", "summary.csv"]
    assert (
        "<dt><code>induction_effect</code></dt><dd>effect of phase 1: the organism&#39;s risk "
        "minus the base model&#39;s, on prompts scored for both (difference of shares, -1 to "
        "1)</dd>"
    ) in glossary
    assert "<dt><code>metric_NAME</code></dt>" in glossary
    assert (
        "<dt><code>low_pp</code></dt><dd>lower end of the interval of <code>change_pp</code>, for "
        "the mean over other trainings, organisms or models: <code>about</code> in detail.csv says "
        "which (percentage points)</dd>"
    ) in glossary


def test_the_page_explains_the_conclusions_that_its_tables_draw(frames, config, tmp_path):
    html = rendered(frames, config, tmp_path)
    methods = html[html.index('id="methods"') : html.index('id="provenance"')]
    for word in (RISES, FALLS, WITHIN, UNKNOWN):
        assert f"<code>{word.removesuffix(' the margin')}</code>" in methods
    # Words of tests and verdicts that no table has any more.
    for word in ("neutral", "suppresses", "amplifies", "undetermined", "andomisation", " q "):
        assert word not in methods


def test_a_missing_table_ends_in_one_message(tmp_path):
    command = [sys.executable, ROOT / "workflow/scripts/report_make.py", "--spec", '{"config": {}}']
    command += ["--results", tmp_path, "--tables", tmp_path / "runs_detail.csv"]
    command += ["--figures", tmp_path / "x.png", "--report", tmp_path / "report.html"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    missing = f"{tmp_path}/runs_detail.csv"
    assert done.stderr == f"error: {missing}: no such file: let the workflow make it\n"
    assert list(tmp_path.iterdir()) == []
