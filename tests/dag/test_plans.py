"""What a dry run plans, in literal numbers of jobs."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from shared_plans import DEMO
from workspace import LABEL_RUN, MICRO, Workspace, environment

from entrench.records import write_text
from entrench.study.config import FIGURES, SLOTS

METHODS = 9
LABEL_METHODS = 7


def test_the_demo_plans_every_job_of_the_study(checkout):
    # 120 runs, and two repeats of three methods on the four organisms of seed 0: two on labels.
    assert checkout.plan(config=DEMO) == {
        "all": 1,
        "data_prepare": 4,
        "model_make": 1,
        "reward_make": 1,
        "adapter_induce": 12,
        "pool_sample": 12,
        "reward_score": 12,
        "labels_judge": 12,
        "labels_select": 84,
        "adapter_train": 100,
        "adapter_regularise": 41,
        "adapter_on_policy": 3,
        "completions_sample": 160,
        "judge_score": 160,
        "risk_estimate": 160,
        "delta_estimate": 144,
        "organisms_collect": 1,
        "runs_collect": 1,
        "summary_make": 1,
        "judges_collect": 1,
        "paper_compare": 1,
        "power_estimate": 1,
        "rates_simulate": 1,
        "figures_draw": len(FIGURES) - 1,  # realised_kl on request alone
        "probe_choose": 4,
        "probe_sample": 12,
        "probe_reward": 12,
        "probe_judge": 12,
        "probe_compare": 12,
        "probe_analyse": 12,
        "pairs_choose": 4,
        "pairs_sample": 12,
        "pairs_judge": 12,
        "flips_estimate": 12,
        "decomposition_estimate": 84,
        "mechanism_collect": 1,
    }


def test_one_label_run_plans_its_family_only(checkout):
    run = "results/demo/organisms/tiny/sycophancy/seed0/self_confidence/delta_risk.csv"
    estimates = {"risk_estimate": 2, "delta_estimate": 1}
    assert checkout.plan(run, config=DEMO) == LABEL_RUN | {"model_make": 1} | estimates


def test_one_regularised_run_selects_no_label(checkout):
    run = "results/demo/organisms/tiny/reward_hacking/seed0/act/delta_risk.csv"
    plan = checkout.plan(run, config=DEMO)
    assert plan["adapter_regularise"] == 1
    assert not {"adapter_train", "labels_select", "reward_score"} & set(plan)


def test_a_local_model_trained_again_in_its_place_plans_its_organism_again(tmp_path):
    workspace = Workspace(tmp_path / "checkout")
    model = workspace.folder / "mine"
    model.mkdir()
    for name in ("config.json", "model.safetensors"):
        (model / name).write_text("{}")

    def take_local(config):
        config["models"]["tiny"] |= {"source": "hub", "hub": "mine"}
        del config["models"]["tiny"]["recipe"]

    name = workspace.derive("local.yaml", take_local)
    organism = "results/micro/organisms/tiny/spurious_correlation/seed0"
    adapter = f"{organism}/adapter/adapter_model.safetensors"
    show = (
        "import sys; sys.path.insert(0, 'workflow/scripts'); import yaml\n"
        "from entrench.study.config.check import load_config\n"
        "from entrench.study.specs.organisms import induction_spec\n"
        "from entrench.study.specs.parts import spec_text\n"
        "from entrench.study.sweep import expand\n"
        f"config = load_config(yaml.safe_load(open('{name}')))\n"
        "print(spec_text(induction_spec(config, expand(config).organisms[0])))\n"
    )

    def note_as_trained():
        """In a process of its own: one reads a local model's files once."""
        spec = workspace.run("-c", show).stdout
        write_text(workspace.folder / organism / "run.json", f'{{"spec": {spec}}}')

    for slot in SLOTS:
        write_text(workspace.folder / f"results/micro/data/spurious_correlation/{slot}.jsonl", "-")
    for file in ("adapter/adapter_config.json", "adapter/adapter_model.safetensors"):
        write_text(workspace.folder / organism / file, "-")
    note_as_trained()
    assert workspace.plan(adapter, config=name) == {}
    for file in ("config.json", "model.safetensors"):
        (model / file).write_text('{"trained": "again"}')
        assert workspace.plan(adapter, config=name) == {"adapter_induce": 1}
        note_as_trained()
    assert workspace.plan(adapter, config=name) == {}


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
    assert plan["delta_estimate"] == 144
    assert sum(plan.values()) == 730 + 5 * (12 + 24)  # a run on pairs has five jobs, and a repeat


@pytest.mark.parametrize(
    ("target", "rule"),
    [("power.csv", "power_estimate"), ("error_rates.csv", "rates_simulate")],
)
def test_what_the_sweep_can_show_needs_no_run(checkout, target, rule):
    assert checkout.plan(f"results/demo/{target}", config=DEMO) == {rule: 1}
    figure = "results/demo/figures/false_positive_rates.pdf"
    assert checkout.plan(figure, config=DEMO) == {"rates_simulate": 1, "figures_draw": 1}


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
        "results/demo/organisms/tiny/sycophancy/seed3/act/delta_risk.csv",
        "results/demo/organisms/tiny/sycophant/seed0/risk.json",
        "results/demo/data/sycophancy/evaluation.jsonl",
        "results/demo/figures/delta.pdf",
    ],
)
def test_a_mistyped_target_has_no_rule(checkout, target):
    done = checkout.snakemake("-n", "--", target, config=DEMO)
    assert done.returncode != 0
    assert "MissingRuleException" in done.stderr + done.stdout


def test_a_family_of_thirteen_methods_needs_sixteen_engine_starts(checkout):
    """One pool; one evaluation of the base, the organism and each run. Each such job loads once."""
    counts = checkout.plan("results/demo/parts/tiny/sycophancy/seed1/summary.csv", config=DEMO)
    assert (counts["pool_sample"], counts["completions_sample"]) == (1, 15)
    trainings = ("adapter_induce", "adapter_train", "adapter_regularise", "adapter_on_policy")
    assert [counts[name] for name in trainings] == [1, 7, 5, 1]
    assert counts["reward_score"] == 1


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
        "from entrench.study.config.check import load_config\n"
        "from entrench.study.specs.organisms import pool_spec\n"
        "from entrench.study.sweep import expand\n"
        f"config = load_config(yaml.safe_load(open('{MICRO}')))\n"
        "pool_spec(config, expand(config).organisms[0])\n"
        f"assert not set({heavy!r}) & set(sys.modules), sorted(sys.modules)\n"
    )
    done = checkout.run("-c", probe)
    assert done.returncode == 0, done.stderr


# What a profile allows: on a cluster two retries, on one machine one.
ASKED_OF_A_CLUSTER = (
    "size class  GPUs  CPUs  memory MB by attempt  minutes by attempt\n"
    "8b          1     8     64000 128000 192000   480 960 1440\n"
    "20b         1     8     96000 192000 288000   480 960 1440\n"
    "70b         4     32    320000 640000 960000  1440 2880 4320\n"
)
ASKED_OF_ONE_MACHINE = (
    "size class  GPUs  CPUs  memory MB by attempt  minutes by attempt\n"
    "8b          1     8     64000 128000          480 960\n"
    "20b         1     8     96000 192000          480 960\n"
    "70b         4     32    320000 640000         1440 2880\n"
)


def plan_with(checkout, profile, model):
    target = f"results/organisms/{model}/sycophancy/seed40/risk.json"
    done = checkout.run("-m", "snakemake", "--profile", f"profiles/{profile}", "-n", target)
    return done.returncode, done.stdout + done.stderr


def test_the_power_of_a_sweep_reads_the_pilot_that_its_config_names(smaller):
    config = smaller.derive("piloted.yaml", lambda c: c["statistics"].update(pilot="variance.csv"))
    options = ("-n", "-p", "--", "results/micro/power.csv")
    done = smaller.snakemake(*options, config=config)
    assert done.returncode == 1
    what = "statistics.pilot: variance.csv: no such file: run the pilot first, or take the key out"
    assert what in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    (smaller.folder / "variance.csv").touch()
    done = smaller.snakemake(*options, config=config)
    assert done.returncode == 0, done.stdout + done.stderr
    assert '--pilot "variance.csv"' in done.stdout


def test_a_cluster_is_planned_without_one(checkout, monkeypatch, tmp_path):
    for tool in ("bash", "which"):
        (tmp_path / tool).symlink_to(shutil.which(tool))
    monkeypatch.setenv("PATH", str(tmp_path))  # without the Slurm that this machine may have
    assert shutil.which("sinfo", path=environment()["PATH"]) is None
    status, output = plan_with(checkout, "slurm", "llama-3.1-70b")
    assert status == 0, output
    assert f"{ASKED_OF_A_CLUSTER}at most at a time: gpu 32, judge_calls 16\n" in output
    assert "gpu=4, cpus_per_task=32" in output
    assert "mem_mb=320000" in output
    assert "slurm_partition=gpu, nodes=1" in output


@pytest.mark.parametrize(
    ("config", "subject", "asked"),
    [
        ("config/config.yaml", "results/organisms/llama-3.1-70b/sycophancy/seed40", "h100"),
        (DEMO, "results/demo/organisms/tiny/sycophancy/seed0", None),  # without a GPU
    ],
)
def test_a_gpu_model_is_asked_for_where_a_gpu_is(checkout, config, subject, asked):
    profile = ("--profile", "profiles/slurm", "--default-resources", "gpu_model=h100")
    done = checkout.snakemake("-n", *profile, "--", f"{subject}/risk.json", config=config)
    assert done.returncode == 0, done.stdout + done.stderr
    found = []
    for line in (done.stdout + done.stderr).splitlines():
        resources = dict(pair.split("=", 1) for pair in line.strip().split(", ") if "=" in pair)
        if "cpus_per_task" in resources:  # of a job that goes to the cluster
            found.append((int(resources["gpu"]) > 0, resources.get("gpu_model")))
    assert len(found) >= 2
    assert set(found) == {(asked is not None, asked)}


def test_the_profile_of_one_machine_can_do_as_shipped_what_its_pages_begin_with(checkout):
    first = re.compile(r"^    snakemake --profile profiles/local (\S+)", re.MULTILINE)
    pages = [checkout.folder / page for page in ("README.md", "profiles/local/README.md")]
    for target in {first.search(page.read_text())[1] for page in pages}:
        done = checkout.run("-m", "snakemake", "--profile", "profiles/local", "-n", target)
        output = done.stdout + done.stderr
        assert done.returncode == 0, output
        assert f"{ASKED_OF_ONE_MACHINE}at most at a time: gpu 1, judge_calls 16\n" in output


def test_a_job_never_gets_fewer_gpus_than_it_asks_for(checkout):
    status, output = plan_with(checkout, "local", "llama-3.1-70b")
    assert status != 0
    assert "asks for 4 GPUs and the sweep may use 1: raise `gpu` under `resources`" in output
    assert "most recent call" not in output


@pytest.mark.parametrize("door", ["plan", "report"])
@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("config/none.yaml", "error: config/none.yaml: no such config file"),
        (
            "config/faulty.yaml",
            """engine: "vlm": Input should be 'auto', 'transformers'""",
        ),
    ],
)
def test_a_door_says_what_is_wrong_with_its_config(checkout, door, config, message):
    checkout.derive("config/faulty.yaml", lambda c: c.update(engine="vlm"), config=DEMO)
    command = ["make", "-o", ".venv/installed", f"BIN={Path(sys.executable).parent}"]
    done = subprocess.run(
        [*command, door, f"CONFIG={config}"],
        cwd=checkout.folder,
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_config_that_is_no_yaml_is_named_with_its_line(checkout, tmp_path):
    config = tmp_path / "broken.yaml"
    config.write_text("engine: auto\nmodels: [one\n")
    command = [sys.executable, "workflow/scripts/sweep_run.py", "--cores", "1", "--config", config]
    done = subprocess.run(command, cwd=checkout.folder, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {config}: line 3: not valid YAML: ")
    assert done.stderr.count("\n") == 1
