"""What a dry run of the paper's sweep plans, whole and in part, in literal numbers of jobs."""

import shutil
import subprocess
from collections import Counter

import pytest
import yaml
from shared_plans import DEMO, STUDY
from workspace import LABEL_RUN, environment

from entrench.planning.jobs import sweep_jobs
from entrench.study.config.check import load_config
from entrench.study.stages import STAGES
from entrench.study.sweep import expand

WHOLE = {
    "data_fetch": 24,
    "data_prepare": 4,
    "adapter_induce": 108,
    "pool_sample": 89,
    "reward_score": 89,
    "labels_judge": 89,
    "labels_select": 442,
    "adapter_train": 442,
    "adapter_regularise": 160,
    "completions_sample": 738,
    "judge_score": 738,
    "risk_estimate": 738,
    "delta_estimate": 602,
    "organisms_collect": 1,
    "runs_collect": 1,
    "summary_make": 1,
}


def test_the_whole_study(checkout):
    assert checkout.plan("results/summary.csv", config=STUDY) == WHOLE


def test_planning_needs_no_network_and_imports_no_library_of_the_jobs(checkout):
    alone = ["unshare", "--map-root-user", "--net"]
    if shutil.which("unshare") is None or subprocess.run([*alone, "true"]).returncode:
        pytest.skip("no network namespace can be made here")
    planning = ["-X", "importtime", "-m", "snakemake", "-n", "--cores", "1", "--quiet", "rules"]
    planning += ["--", "results/parts/llama-3.1-8b/sycophancy/seed40/summary.csv"]
    done = subprocess.run(
        [*alone, *checkout.command(*planning)],
        cwd=checkout.folder,
        capture_output=True,
        text=True,
        env=environment(),
    )
    assert done.returncode == 0, done.stderr[-3000:]
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "entrench.study.specs" in imported
    heavy = {"torch", "transformers", "peft", "vllm", "polars", "scipy", "openai"}
    assert heavy & imported == set()


def test_the_plan_counts_the_same_jobs(checkout):
    tables = ("power_estimate", "rates_simulate", "paper_compare", "judges_collect")
    whole = WHOLE | dict.fromkeys(tables, 1)
    assert counted(checkout, STUDY) == whole


def test_the_plan_counts_the_jobs_of_the_mechanism(checkout):
    def everything(config):
        config["mechanism"]["divergence"] = True

    for name in (DEMO, checkout.derive("kl.yaml", everything, DEMO)):
        planned = checkout.plan(config=name)
        del planned["all"], planned["figures_draw"]
        assert counted(checkout, name) == planned


@pytest.mark.parametrize("name", [DEMO, STUDY])
def test_the_files_of_the_plan_are_those_of_the_rules(checkout, name):
    """Else a job would count as done that Snakemake makes again."""
    config = load_config(yaml.safe_load((checkout.folder / name).read_text()))
    if name == STUDY:
        target = "results/parts/llama-3.1-8b/sycophancy/seed40/summary.csv"
        stages = ("pool_sample", "labels_judge", "completions_sample", "judge_score")
    else:
        target = "all"
        stages = tuple(name for name, stage in STAGES.items() if stage.cost)
    ruled = {
        (job.rule, path)
        for job in checkout.of_config(name).needed([target])
        for path in job.outputs
        if job.rule in stages
    }
    planned = {
        (job.stage, f"{config.pathvars.results}/{path}")
        for job in sweep_jobs(config, expand(config))
        for path in job.outputs
    }
    assert len(ruled) > 20
    assert ruled <= planned
    if name != STUDY:
        assert ruled == planned


def counted(checkout, name):
    config = load_config(yaml.safe_load((checkout.folder / name).read_text()))
    return Counter(job.stage for job in sweep_jobs(config, expand(config)))


def test_one_run(checkout):
    run = "results/organisms/llama-3.1-70b/sycophancy/seed40/self_confidence/delta_risk.csv"
    estimates = {"risk_estimate": 2, "delta_estimate": 1}
    assert checkout.plan(run, config=STUDY) == LABEL_RUN | {"data_fetch": 6} | estimates


@pytest.mark.parametrize(
    ("part", "jobs", "organisms", "runs"),
    [
        ("llama-3.1-8b/sycophancy/seed40", 60, 1, 7),  # one family
        ("llama-3.1-8b/sycophancy", 248, 5, 35),
        ("sycophancy", 1092, 27, 154),  # one misalignment
        ("llama-3.1-70b", 145, 4, 13),  # one model
    ],
)
def test_a_part_plans_what_it_needs_and_no_more(checkout, part, jobs, organisms, runs):
    plan = checkout.plan(f"results/parts/{part}/summary.csv", config=STUDY)
    assert sum(plan.values()) == jobs
    assert plan["adapter_induce"] == organisms
    assert plan["delta_estimate"] == runs
    assert plan["summary_make"] == 1


def test_one_figure_of_one_model(checkout):
    plan = checkout.plan("results/parts/gpt-oss-20b/figures/delta_by_method.pdf", config=STUDY)
    assert sum(plan.values()) == 222
    assert plan["figures_draw"] == 1
    assert plan["delta_estimate"] == 15


def test_a_part_that_the_sweep_does_not_have_is_named(checkout):
    target = "results/parts/llama-3.1-70b/sycophancy/seed41/summary.csv"
    done = checkout.snakemake("-n", "--", target, config=STUDY)
    assert done.returncode != 0
    assert "the sweep has no organism there" in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("target", "rule"),
    [("results/partial/summary.csv", "partial_make"), ("results/plan.csv", "plan_make")],
)
def test_what_is_complete_and_what_it_costs_plan_no_run(checkout, target, rule):
    assert checkout.plan(target, config=STUDY) == {rule: 1}


def test_blocks_switched_on_add_runs_and_no_other_job_for_what_stands(checkout):
    def switch_on(config):
        config["sweep"] = [block | {"enabled": True} for block in config["sweep"]]
        for block in config["sweep"]:
            block["models"] = [name for name in block["models"] if name == "mistral-7b-v0.3"]
            block["seeds"] = [40]
            block["misalignments"] = block["misalignments"][:1]
        config["sweep"] = [block | {"exclude": []} for block in config["sweep"] if block["models"]]

    name = checkout.derive("all-blocks.yaml", switch_on, config=STUDY)
    plan = checkout.plan("results/summary.csv", config=name)
    assert plan["adapter_induce"] == plan["pool_sample"] == plan["reward_score"] == 1
    assert plan["delta_estimate"] == 7 + 2 + 2 + 11 + 8 + 4


def test_a_dry_run_warns_of_weights_that_may_change(checkout):
    def unpin(config):
        config["models"]["gemma-2-9b"]["revision"] = "main"

    target = "results/organisms/mistral-7b-v0.3/sycophancy/seed40/risk.json"
    done = checkout.snakemake("-n", "--", target, config=checkout.derive("u.yaml", unpin, STUDY))
    assert done.returncode == 0
    assert (
        "models.gemma-2-9b.revision: main of google/gemma-2-9b: not pinned"
        in done.stdout + done.stderr
    )
    assert "not pinned" not in checkout.of_config(STUDY).text


def test_a_config_without_constants_says_what_the_plan_needs(checkout):
    done = checkout.snakemake("-n", "--", "results/micro/plan.csv")
    assert done.returncode != 0
    assert (
        "planning: this key is missing: the plan needs its constants" in done.stdout + done.stderr
    )
    assert not (checkout.folder / "results/micro/plan.csv").exists()
