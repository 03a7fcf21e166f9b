"""The files that the tables of organisms, runs and the mechanism are made from.

Rules declare these files as inputs and scripts read them: neither searches folders. Imports nothing
heavy.
"""

from collections.abc import Sequence
from pathlib import PurePath

from entrench.methods.shared.catalogue import METHODS
from entrench.study.draws import Draw
from entrench.study.sweep import Organism, Run, Sweep


def organism_inputs(results: str, organism: Organism) -> dict[str, str]:
    """The files that a row of organisms.csv is made from, by name."""
    base, folder = PurePath(results, organism.base_path), PurePath(results, organism.path)
    return {
        "base_risk": f"{base}/risk.json",
        "base_scores": f"{base}/scores.jsonl",
        "risk": f"{folder}/risk.json",
        "scores": f"{folder}/scores.jsonl",
        "run": f"{folder}/run.json",
    }


def run_inputs(results: str, run: Run, operator: str) -> dict[str, str]:
    """The files that a row of runs_detail.csv is made from, by name; not those of `pool_inputs`.

    A label method has labels, and verdicts where it reads them. Repeats of one pool share them.
    """
    folder = PurePath(results, run.path)
    files = {
        "delta": f"{folder}/delta_risk.csv",
        "prompts": prompts_file(results, run),
        "risk": f"{folder}/risk.json",
        "organism_risk": organism_inputs(results, run.organism)["risk"],
        "run": f"{folder}/run.json",
    }
    properties = METHODS[operator]
    if properties.makes_labels:
        files["labels"] = f"{PurePath(results, run.labelled.path)}/labels.jsonl"
    if properties.reads_verdicts:
        files["verdicts"] = f"{PurePath(results, run.labelled.path)}/verdicts.jsonl"
    return files


def pool_inputs(
    results: str, run: Run, operator: str, draws: Sequence[Draw]
) -> dict[str, list[str]]:
    """The files of its organism's pool that a row of runs_detail.csv is made from: one a draw.

    They are `candidates` for a label method, and `rewards` where it reads them. `draws` are the
    draws that the run reads.
    """
    folder = PurePath(results, run.organism.path)
    properties = METHODS[operator]
    read = {"candidates": properties.makes_labels, "rewards": properties.reads_rewards}
    return {
        name: [f"{folder}/{draw.folder}{name}.jsonl" for draw in draws if wanted]
        for name, wanted in read.items()
    }


def prompts_file(results: str, run: Run) -> str:
    """The file with the delta of each evaluation prompt of a run; summary.csv needs it too."""
    return f"{PurePath(results, run.path)}/delta_prompts.csv"


def mechanism_inputs(results: str, labelled: Sweep, paired: Sweep) -> list[str]:
    """The files that the mechanism's tables are made from: see `labelled_part`, `paired_part`."""
    names = ("eta.csv", "eta_bins.csv", "stability.csv")
    files = [f"{PurePath(results, o.path)}/{name}" for o in labelled.organisms for name in names]
    files += [f"{PurePath(results, run.path)}/decomposition.csv" for run in labelled.runs]
    return files + [f"{PurePath(results, o.path)}/teacher_flips.csv" for o in paired.organisms]


def divergence_inputs(results: str, sweep: Sweep) -> list[str]:
    """The files that the realised KL of a sweep's runs is made from: of their first trainings."""
    names = ("divergence.jsonl", "delta_risk.csv")
    return [f"{PurePath(results, run.path)}/{name}" for run in sweep.first.runs for name in names]
