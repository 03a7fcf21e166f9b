"""Jobs that need no model import none of the libraries of models."""

import json
import re
import shlex
import subprocess
import sys

import pytest
from workspace import MICRO, Workspace, environment

HEAVY = {"torch", "transformers", "peft", "accelerate", "tokenizers", "safetensors"}
ORGANISM = "results/micro/organisms/tiny/spurious_correlation/seed0"
TARGETS = {
    "data_prepare": "results/micro/data/spurious_correlation/eval.jsonl",
    "labels_judge": f"{ORGANISM}/multi_view/verdicts.jsonl",
    "labels_select": f"{ORGANISM}/rejection_sampling/labels.jsonl",
    "judge_score": f"{ORGANISM}/scores.jsonl",
    "risk_estimate": f"{ORGANISM}/risk.json",
    "delta_estimate": f"{ORGANISM}/bct/delta_risk.csv",
    "organisms_collect": "results/micro/organisms.csv",
    "runs_collect": "results/micro/runs.csv",
    "summary_make": "results/micro/summary.csv",
    "power_estimate": "results/micro/power.csv",
    "rates_simulate": "results/micro/error_rates.csv",
    "paper_compare": "results/micro/comparison_with_paper.csv",
    "judges_collect": "results/micro/judge_health.csv",
    "figures_draw": "results/micro/figures/delta_by_method.pdf",
    "report_make": "results/micro/report.html",
}
PROBE = """
import json, runpy, sys
sys.argv = sys.argv[1:]
sys.path.insert(0, "workflow/scripts")
runpy.run_path(sys.argv[0], run_name="__main__")
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""


@pytest.fixture(scope="module")
def copy(micro: Workspace, tmp_path_factory) -> Workspace:
    return Workspace(tmp_path_factory.mktemp("light") / "copy").take(micro, "results")


@pytest.fixture(scope="module")
def commands(copy: Workspace) -> str:
    """What a dry run shows of every rule's job."""
    done = copy.snakemake("-n", "-p", "--forcerun", *TARGETS, "--", *TARGETS.values(), config=MICRO)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("rule", TARGETS)
def test_no_model_library_is_loaded(copy, commands, rule):
    block = next(
        block
        for block in re.split(r"\n\[[^\n]*\]\n", commands)
        if re.match(rf"(local)?rule {rule}:", block) and TARGETS[rule] in block
    )
    shell = block[block.index(f"python workflow/scripts/{rule}.py") :]
    command = shell[: shell.index(" >logs/")].replace("\\\n", " ")
    words = shlex.split(command)[1:]
    words = ["results/micro" if word.startswith("$(dirname") else word for word in words]
    ran = subprocess.run(
        [sys.executable, "-c", PROBE, *words],
        cwd=copy.folder,
        capture_output=True,
        text=True,
        env=environment(),
    )
    assert ran.returncode == 0, ran.stderr
    assert not HEAVY & set(json.loads(ran.stdout.splitlines()[-1]))
