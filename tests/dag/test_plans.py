"""What a dry run plans, in literal numbers of jobs."""

import pytest
from workspace import MICRO

from entrench.config import FIGURES

DEMO = "config/demo.yaml"
METHODS = 9
LABEL_METHODS = 7


def test_the_demo_plans_every_job_of_the_study(checkout):
    assert checkout.plan(config=DEMO) == {
        "all": 1,
        "data_prepare": 4,
        "model_make": 1,
        "reward_make": 1,
        "adapter_induce": 4,
        "pool_sample": 4,
        "reward_score": 4,
        "labels_judge": 4,
        "labels_select": 28,
        "adapter_train": 28,
        "adapter_regularise": 8,
        "completions_sample": 44,
        "judge_score": 44,
        "risk_estimate": 44,
        "delta_estimate": 36,
        "organisms_collect": 1,
        "runs_collect": 1,
        "summary_make": 1,
        "figures_draw": len(FIGURES),
    }


def test_one_label_run_plans_its_family_only(checkout):
    run = "results/demo/organisms/tiny/sycophancy/seed0/self_confidence/delta_risk.csv"
    assert checkout.plan(run, config=DEMO) == {
        "data_prepare": 1,
        "model_make": 1,
        "adapter_induce": 1,
        "pool_sample": 1,
        "labels_select": 1,
        "adapter_train": 1,
        "completions_sample": 2,
        "judge_score": 2,
        "risk_estimate": 2,
        "delta_estimate": 1,
    }


def test_one_regularised_run_selects_no_label(checkout):
    run = "results/demo/organisms/tiny/reward_hacking/seed0/act/delta_risk.csv"
    plan = checkout.plan(run, config=DEMO)
    assert plan["adapter_regularise"] == 1
    assert not {"adapter_train", "labels_select", "reward_score"} & set(plan)


def test_a_single_organism_is_a_target(checkout):
    organism = "results/demo/organisms/tiny/sycophancy/seed0/risk.json"
    assert checkout.plan(organism, config=DEMO) == {
        "data_prepare": 1,
        "model_make": 1,
        "adapter_induce": 1,
        "completions_sample": 1,
        "judge_score": 1,
        "risk_estimate": 1,
    }


def test_a_figure_is_a_target(checkout):
    plan = checkout.plan("results/demo/figures/delta_by_method.pdf", config=DEMO)
    assert plan["figures_draw"] == 1
    assert plan["delta_estimate"] == 36
    assert sum(plan.values()) == 258


def test_a_reward_is_scored_only_for_methods_that_read_it(checkout):
    def asks(method: str) -> bool:
        run = f"results/demo/organisms/tiny/sycophancy/seed0/{method}/labels.jsonl"
        return "reward_score" in checkout.plan(run, config=DEMO)

    assert [asks("rejection_sampling"), asks("diverse_decoding"), asks("multi_view")] == [
        True,
        True,
        False,
    ]


@pytest.mark.parametrize(
    "target",
    [
        "results/demo/organisms/tiny/sycophancy/seed0/self_confident/delta_risk.csv",
        "results/demo/organisms/tiny/sycophancy/seed1/act/delta_risk.csv",
        "results/demo/organisms/tiny/sycophant/seed0/risk.json",
        "results/demo/data/sycophancy/evaluation.jsonl",
        "results/demo/figures/delta.pdf",
    ],
)
def test_a_mistyped_target_has_no_rule(checkout, target):
    done = checkout.snakemake("-n", "--", target, config=DEMO)
    assert done.returncode != 0
    assert "MissingRuleException" in done.stderr + done.stdout


def test_a_wrong_config_ends_in_one_message(checkout):
    wrong = checkout.derive("wrong.yaml", lambda c: c["statistics"].update(levle=0.9))
    done = checkout.snakemake("-n", config=wrong)
    output = done.stdout + done.stderr
    assert done.returncode != 0
    assert "statistics.levle: unknown key; check its spelling against config/README.md" in output
    assert "Traceback" not in output


def test_planning_imports_neither_torch_nor_the_libraries_of_the_jobs(checkout):
    heavy = ("torch", "transformers", "peft", "polars", "matplotlib", "scipy")
    probe = (
        "import sys; sys.path.insert(0, 'workflow/scripts'); import yaml\n"
        "from entrench import specs\n"
        "from entrench.config_check import load_config\n"
        "from entrench.sweep import expand\n"
        f"config = load_config(yaml.safe_load(open('{MICRO}')))\n"
        "specs.pool_spec(config, expand(config).organisms[0])\n"
        f"assert not set({heavy!r}) & set(sys.modules), sorted(sys.modules)\n"
    )
    done = checkout.run("-c", probe)
    assert done.returncode == 0, done.stderr
