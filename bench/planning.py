"""How long planning takes, compared with Snakemake's own time for as many jobs and files.

    bench/planning.py [--times 1 4 16]

Plans config/config.yaml with a multiple of its seeds. Also plans a bare Snakefile with the same
jobs, inputs and outputs, but without functions, params, resources and logs. Prints a row for each
multiple: seconds of CPU (the machine may be shared), seconds of wall clock, and their ratios.
"""

import argparse
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "workflow" / "scripts"))

from entrench.data import released  # noqa: E402
from entrench.methods.shared.catalogue import METHODS  # noqa: E402
from entrench.study.config.check import load_config  # noqa: E402
from entrench.study.sweep import expand  # noqa: E402

BARE = """
SLOTS = ["induction", "consistency", "pairs_clean", "pairs_wrapped", "eval"]
O = "results/organisms/{{model}}/{{about}}/seed{{seed}}"
R = O + "/{{method}}"
B = "results/base/{{model}}/{{about}}"
D = "results/data/{{about}}"
A = ["adapter/adapter_config.json", "adapter/adapter_model.safetensors", "run.json"]
wildcard_constraints: model="[^/]+", about="[^/]+", seed="[0-9]+", method="[^/]+"
rule summary_make:
    input: "results/organisms.csv", "results/runs_detail.csv"
    output: "results/summary.csv"
    shell: "touch {{output}}"
rule organisms_collect:
    input: {organisms}
    output: "results/organisms.csv"
    shell: "touch {{output}}"
rule runs_collect:
    input: {runs}
    output: "results/runs.csv", "results/runs_detail.csv"
    shell: "touch {{output}}"
rule data_fetch:
    output: "results/data/release/{{path}}"
    shell: "touch {{output}}"
rule adapter_induce:
    input: D + "/induction.jsonl"
    output: [f"{{O}}/{{a}}" for a in A]
    shell: "touch {{output}}"
rule pool_sample:
    input: O + "/" + A[1], D + "/consistency.jsonl", D + "/pairs_clean.jsonl"
    output: O + "/candidates.jsonl", O + "/responses.jsonl"
    shell: "touch {{output}}"
rule reward_score:
    input: D + "/consistency.jsonl", O + "/candidates.jsonl"
    output: O + "/rewards.jsonl"
    shell: "touch {{output}}"
rule labels_judge:
    input: D + "/consistency.jsonl", O + "/candidates.jsonl"
    output: R + "/verdicts.jsonl"
    shell: "touch {{output}}"
rule adapter_train:
    input: O + "/" + A[1], R + "/labels.jsonl"
    output: [f"{{R}}/{{a}}" for a in A]
    wildcard_constraints: method="{label_methods}"
    shell: "touch {{output}}"
rule adapter_regularise:
    input:
        O + "/" + A[1], O + "/responses.jsonl",
        D + "/pairs_clean.jsonl", D + "/pairs_wrapped.jsonl",
    output: [f"{{R}}/{{a}}" for a in A]
    wildcard_constraints: method="{pair_methods}"
    shell: "touch {{output}}"
rule delta_estimate:
    input: O + "/scores.jsonl", R + "/scores.jsonl", O + "/risk.json", R + "/risk.json"
    output: R + "/delta_risk.csv", R + "/delta_prompts.csv"
    shell: "touch {{output}}"
"""
PREPARE = """
rule data_prepare_{about}:
    input: {files}
    output: expand("results/data/{about}/{{slot}}.jsonl", slot=SLOTS)
    shell: "touch {{output}}"
"""
SELECT = """
rule labels_select_{name}:
    input: D + "/consistency.jsonl", O + "/candidates.jsonl"{more}
    output: R + "/labels.jsonl"
    wildcard_constraints: method="{methods}"
    shell: "touch {{output}}"
"""
MEASURE = """
rule completions_sample_{name}:
    input: {adapter}D + "/eval.jsonl"
    output: {folder} + "/completions.jsonl"
    shell: "touch {{output}}"
rule judge_score_{name}:
    input: D + "/eval.jsonl", {folder} + "/completions.jsonl"
    output: {folder} + "/scores.jsonl"
    shell: "touch {{output}}"
rule risk_estimate_{name}:
    input: {folder} + "/scores.jsonl"
    output: {folder} + "/risk.json"
    shell: "touch {{output}}"
"""


def times_as_many(raw: dict, times: int) -> dict:
    """The config with `times` seeds for each of its seeds."""
    blocks = [
        block | {"seeds": [seed + 1000 * n for seed in block["seeds"] for n in range(times)]}
        for block in raw["sweep"]
    ]
    for block in blocks:
        block["exclude"] = [
            rule | {"seed": rule["seed"] + 1000 * n}
            for rule in block.get("exclude", [])
            for n in range(times)
        ]
    return raw | {"sweep": blocks}


def bare_snakefile(raw: dict) -> str:
    """The bare Snakefile: rules without functions, for the same jobs and files."""
    from entrench.study.draws import Pools
    from entrench.study.inputs import organism_inputs, pool_inputs, run_inputs

    config = load_config(raw)
    sweep = expand(config)
    operators = {name: METHODS[method.operator] for name, method in config.methods.items()}
    used = {run.method for run in sweep.runs}
    pools = Pools(config, sweep)
    runs = set()
    for run in sweep.runs:
        operator = config.methods[run.method].operator
        runs.update(run_inputs("results", run, operator).values())
        runs.update(*pool_inputs("results", run, operator, pools.of_run(run)).values())
    organisms = {p for o in sweep.organisms for p in organism_inputs("results", o).values()}

    def names(selects) -> str:
        return "|".join(sorted(name for name in used if selects(operators[name]))) or "(?!)"

    text = BARE.format(
        organisms=sorted(organisms),
        runs=sorted(runs),
        label_methods=names(lambda o: o.makes_labels),
        pair_methods=names(lambda o: o.reads_pairs),
    )
    for about in sweep.misalignments:
        files = [f"results/data/release/{e['path']}" for e in released.files_of(about).values()]
        text += PREPARE.format(about=about, files=files)
    for name, more, selects in (
        ("plain", "", lambda o: o.makes_labels and not (o.reads_rewards or o.reads_verdicts)),
        ("rewards", ', O + "/rewards.jsonl"', lambda o: o.reads_rewards),
        ("verdicts", ', R + "/verdicts.jsonl"', lambda o: o.reads_verdicts),
    ):
        text += SELECT.format(name=name, more=more, methods=names(selects))
    for name, folder, adapter in (
        ("base", "B", ""),
        ("organism", "O", 'O + "/" + A[1], '),
        ("run", "R", 'R + "/" + A[1], '),
    ):
        text += MEASURE.format(name=name, folder=folder, adapter=adapter)
    return text


def dry_run(*arguments: str, folder: Path) -> tuple[int, float, float]:
    """Jobs planned, seconds of CPU and of wall clock."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    command = [sys.executable, "-m", "snakemake", "-n", *arguments, "--", "results/summary.csv"]
    environment = os.environ | {"PYTHONHASHSEED": "0"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    after, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter() - began
    found = re.search(r"^total +(\d+)$", done.stdout + done.stderr, re.MULTILINE)
    if done.returncode or not found:
        raise SystemExit(done.stdout + done.stderr)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return int(found[1]), cpu, wall


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", nargs="+", type=int, default=[1, 4, 16])
    arguments = parser.parse_args()
    raw = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())
    print("times   jobs  bare CPU s  CPU s  ratio  bare wall s  wall s  ratio", flush=True)
    for times in arguments.times:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            config = times_as_many(raw, times)
            (folder / "config.yaml").write_text(yaml.safe_dump(config))
            (folder / "Snakefile").write_text(bare_snakefile(config))
            bare = dry_run(folder=folder)
            ours = dry_run(
                *("--snakefile", str(ROOT / "Snakefile"), "--replace-workflow-config"),
                *("--configfile", "config.yaml"),
                folder=folder,
            )
        if bare[0] != ours[0]:
            raise SystemExit(f"bare Snakefile: {bare[0]} jobs, workflow: {ours[0]}: not the same")
        print(
            f"{times:>5}{ours[0]:>7}{bare[1]:>12.1f}{ours[1]:>7.1f}{ours[1] / bare[1]:>7.2f}"
            f"{bare[2]:>13.1f}{ours[2]:>8.1f}{ours[2] / bare[2]:>7.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
