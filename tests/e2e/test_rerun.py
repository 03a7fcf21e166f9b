"""What a second run plans: literal numbers of jobs on the finished micro sweep."""

import shutil
from pathlib import Path

import pytest
from workspace import MICRO, Workspace, measured, sweep_arguments

from entrench.execution import warm_start
from entrench.study.config import STUDY_FIGURES

TABLES = {"organisms_collect": 1, "runs_collect": 1, "summary_make": 1, "all": 1}
# What follows from the tables: every figure but the one of error rates, which the config decides.
DRAWN = {"figures_draw": len(STUDY_FIGURES) - 1, "paper_compare": 1, "judges_collect": 1}
# One job at least of each rule that loads torch, and a figure; the figure's table is taken.
LIBRARIES_LOADED = {
    *("model_make", "reward_make", "adapter_induce", "pool_sample", "reward_score"),
    *("adapter_train", "adapter_regularise", "completions_sample", "figures_draw"),
}
ORGANISM = "results/micro/organisms/tiny/spurious_correlation/seed0"
SOME_TARGETS = (
    *(f"{ORGANISM}/multi_view/delta_risk.csv", f"{ORGANISM}/bct/delta_risk.csv"),
    *(f"{ORGANISM}/rewards.jsonl", "results/micro/figures/false_positive_rates.pdf"),
)
TAKEN = ("error_rates.csv", ".error_rates.csv.rows")


@pytest.fixture
def clone(micro: Workspace, tmp_path: Path) -> Workspace:
    """A fresh checkout, newer than the results that were copied beside it with their times kept."""
    return Workspace(tmp_path / "clone").take(micro, "results")


def test_a_second_run_has_nothing_to_do_and_says_so(micro):
    output = micro.sweep()
    assert "Nothing to be done" in output
    assert "results/micro/summary.csv" in output


def test_a_fresh_clone_beside_copied_results_has_nothing_to_do(clone):
    assert clone.plan() == {}


def test_tables_of_an_earlier_version_are_made_again_and_nothing_else(clone):
    # It had no runs_detail.csv: runs.csv was that table.
    results = clone.folder / "results/micro"
    (results / "runs_detail.csv").rename(results / "runs.csv")
    assert clone.plan() == {"runs_collect": 1, "summary_make": 1, "all": 1, **DRAWN}


def test_adapters_of_another_config_that_were_copied_without_records_are_made_again(clone):
    def learn_faster(config):
        config["training"]["sets"]["micro"]["labels"]["learning_rate"] = 0.5

    # Phase 1 and the pairs' phase stay; the two methods that train on labels do not.
    assert clone.plan(config=clone.derive("rate.yaml", learn_faster)) == {
        "adapter_train": 2,
        **measured(2),
        "runs_collect": 1,
        "summary_make": 1,
        "all": 1,
        **DRAWN,
    }


def test_scores_of_another_judge_that_were_copied_without_records_are_made_again(clone):
    config = clone.derive("judge.yaml", lambda c: c["risk_judge"].update(misaligned=40.0))
    assert clone.plan(config=config) == {
        "judge_score": 5,
        "risk_estimate": 5,
        "delta_estimate": 3,
        **TABLES,
        **DRAWN,
    }


def test_touching_every_script_and_config_plans_nothing(micro, tmp_path):
    copy = Workspace(tmp_path / "copy").take(micro)
    for path in copy.folder.rglob("workflow/**/*"):
        path.touch()
    assert copy.plan() == {}


def test_a_new_seed_plans_its_own_organism_and_runs(clone):
    config = clone.derive("seed.yaml", lambda c: c["sweep"][0].update(seeds=[0, 1]))
    assert clone.plan(config=config) == {
        "adapter_induce": 1,
        "pool_sample": 1,
        "reward_score": 1,
        "labels_judge": 1,
        "labels_select": 2,
        "adapter_train": 2,
        "adapter_regularise": 1,
        "completions_sample": 4,
        "judge_score": 4,
        "risk_estimate": 4,
        "delta_estimate": 3,
        **TABLES,
        **DRAWN,
    }


def test_a_new_method_plans_its_own_runs(clone):
    def add(config):
        config["methods"]["self_confidence"] = {
            "operator": "self_confidence",
            "kind": "consistency",
            "set": "samples",
            "k": 2,
        }
        config["sweep"][0]["methods"].append("self_confidence")

    assert clone.plan(config=clone.derive("method.yaml", add)) == {
        "labels_select": 1,
        "adapter_train": 1,
        **measured(1),
        "runs_collect": 1,
        "summary_make": 1,
        "all": 1,
        **DRAWN,
    }


def test_a_risk_judge_setting_plans_judging_and_what_follows(micro, tmp_path):
    copy = Workspace(tmp_path / "copy").take(micro)
    config = copy.derive("judge.yaml", lambda c: c["risk_judge"].update(misaligned=40.0))
    assert copy.plan(config=config) == {
        "judge_score": 5,
        "risk_estimate": 5,
        "delta_estimate": 3,
        **TABLES,
        **DRAWN,
    }


def test_what_a_failed_rerun_left_stale_is_planned_again(micro, tmp_path):
    copy = Workspace(tmp_path / "copy").take(micro)
    config = copy.derive("judge.yaml", lambda c: c["risk_judge"].update(misaligned=40.0))
    script = copy.folder / "workflow/scripts/judge_score.py"
    whole = script.read_text()
    failing = whole.replace("with open", "assert 'bct' not in arguments.scores\n    with open", 1)
    script.write_text(failing)
    assert copy.run(*sweep_arguments(config)).returncode == 1
    script.write_text(whole)
    follow = {"risk_estimate": 1, "delta_estimate": 1, "runs_collect": 1, "summary_make": 1}
    assert copy.plan("results/micro/summary.csv", config=config) == {"judge_score": 1, **follow}
    other = "results/micro/organisms/tiny/spurious_correlation/seed0/multi_view/delta_risk.csv"
    assert copy.plan(other, config=config) == {}
    copy.sweep(config)
    assert copy.plan(config=config) == {}


def test_partial_tables_are_made_again_when_a_risk_has_changed(micro, tmp_path):
    copy = Workspace(tmp_path / "copy").take(micro)
    table = "results/micro/partial/summary.csv"
    done = copy.snakemake("--", table)
    assert done.returncode == 0, done.stderr
    assert copy.plan(table) == {}
    run = copy.folder / "results/micro/organisms/tiny/spurious_correlation/seed0/bct"
    delta = (run / "delta_risk.csv").read_text()
    (run / "delta_risk.csv").write_text(delta + "\n")
    assert copy.plan(table) == {"partial_make": 1}


def test_a_report_shows_no_run_of_other_settings(micro, tmp_path):
    copy = Workspace(tmp_path / "copy").take(micro)

    def colder(config):
        config["evaluation"]["decodings"]["sampled"]["temperature"] = 0.9

    config = copy.derive("colder.yaml", colder)
    reported = copy.run("workflow/scripts/report_run.py", "--config", config, "--cores", "1")
    assert reported.returncode == 0, reported.stdout + reported.stderr
    page = (copy.folder / "results/micro/partial/report.html").read_text()
    assert "3 runs missing, 3 of them made with other settings than the config has now" in page
    missing = (copy.folder / "results/micro/partial/missing.csv").read_text().splitlines()
    assert [line.rsplit(",", 1)[1] for line in missing[1:]] == ["made with other settings"] * 3
    made = copy.run(*sweep_arguments(config), "results/micro/power.csv")
    assert made.returncode == 0, made.stdout + made.stderr
    assert "summary.csv" not in made.stdout


def test_machine_facts_plan_nothing(micro, tmp_path):
    copy = Workspace(tmp_path / "copy").take(micro)

    def move(config):
        config["size_classes"]["tiny"].update(
            mem_mb=9000, runtime_minutes=99, batch_size=8, checkpoint_steps=0
        )
        config["size_classes"]["tiny"]["gradient_checkpointing"] = True

    assert copy.plan(config=copy.derive("machine.yaml", move)) == {}


@pytest.mark.parametrize(
    ("targets", "taken"),
    [
        pytest.param(SOME_TARGETS, TAKEN, id="each rule once"),
        pytest.param((), (), id="every job", marks=pytest.mark.release),
    ],
)
def test_two_directories_give_the_same_bytes_warm_and_cold(
    micro, tmp_path, monkeypatch, targets, taken
):
    other = Workspace(tmp_path / "other")
    (other.folder / "results/micro").mkdir(parents=True)
    if taken:
        other.take(micro, *(f"results/micro/{name}" for name in taken))
    monkeypatch.setenv(warm_start.PLACE, "no")
    assert "cold" not in other.sweep(MICRO, *targets)
    logs = other.folder / "logs/micro"
    assert {
        path.relative_to(logs).parts[0].removesuffix(".log") for path in logs.rglob("*.log")
    } >= LIBRARIES_LOADED
    ours, theirs = micro.results(), other.results()
    if targets:
        ours = {name: ours[name] for name in theirs}
    assert sorted(ours) == sorted(theirs)
    assert [name for name in ours if ours[name] != theirs[name]] == []


def test_a_single_lost_figure_is_drawn_again_alone(clone):
    figure = "results/micro/figures/risk_trajectories.pdf"
    (clone.folder / figure).unlink()
    assert clone.plan(figure) == {"figures_draw": 1}
    shutil.rmtree(clone.folder / "results/micro/figures")
    assert clone.plan(figure) == {"figures_draw": 1}
