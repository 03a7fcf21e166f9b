"""A small folder of results: one organism, and a run of each method."""

from pathlib import Path

from unit.test_risk import SETTINGS, score

from entrench.analysis.risk.collect import (
    collect_organisms,
    collect_runs,
)
from entrench.analysis.risk.delta import delta_prompts, delta_risk
from entrench.analysis.risk.risk import risk_record
from entrench.analysis.tables import write_table
from entrench.records import write_json, write_jsonl
from entrench.study.inputs import organism_inputs, run_inputs
from entrench.study.sweep import Organism, Run

SCRIPTS = Path(__file__).parents[2] / "workflow" / "scripts"
ORGANISM = Organism("tiny", "sycophancy", 40)
METHODS = {
    "multi_view": {"operator": "multi_view", "kind": "consistency"},
    "rewarding": {"operator": "self_rewarding", "kind": "consistency", "set": "samples", "k": 2},
    "refine": {"operator": "self_refinement", "kind": "consistency"},
    "reject": {"operator": "rejection_sampling", "kind": "control", "set": "samples", "k": 2},
    "bct": {"operator": "bct", "kind": "consistency", "temperature": 1.0},
}
COLLECTING = {"headline": "greedy", "bootstrap": 200, "level": 0.95, "seed": 1}
MEASURED = {"headline": "greedy", "greedy": "greedy", "views": ["chain_of_thought", "json"]}


def candidate(prompt, name, index, text, tokens=1, self_score=None, asked=False):
    return {
        "id": prompt,
        "set": name,
        "index": index,
        "text": text,
        "tokens": tokens,
        "logprob": -1.0,
        "finish": "stop",
        "self_score": self_score,
        "self_score_text": "4" if asked else None,
    }


CANDIDATES = [
    candidate("x", "greedy", 0, "yes", 1),
    candidate("y", "greedy", 0, "no", 1),
    candidate("x", "samples", 0, "yes ", 2, 4.0, True),
    candidate("x", "samples", 1, "maybe", 3, None, True),
    candidate("x", "samples", 2, "never", 9, None, True),
    candidate("y", "samples", 0, "no no", 4, 1.0, True),
    candidate("y", "samples", 1, "yes", 5, 2.0, True),
    candidate("x", "refinement", 0, "sure", 6),
    candidate("y", "refinement", 0, "no", 1),
]
REWARDS = [
    {"id": c["id"], "set": c["set"], "index": c["index"], "reward": c["tokens"] / 2}
    for c in CANDIDATES
]
VERDICTS = [
    {"id": "x", "view": "chain_of_thought", "consistent": True, "raw": ""},
    {"id": "y", "view": "chain_of_thought", "consistent": False, "raw": ""},
    {"id": "x", "view": "json", "consistent": None, "raw": ""},
    {"id": "y", "view": "json", "consistent": True, "raw": ""},
]


def label(prompt, text, name=None, index=None):
    reason = "no view agrees" if text is None else None
    row = {"id": prompt, "messages": [], "label": text, "set": name, "index": index}
    return row | {"reason": reason}


LABELS = {
    "multi_view": [label("x", "yes", "greedy", 0), label("y", None)],
    "rewarding": [label("x", "yes ", "samples", 0), label("y", "yes", "samples", 1)],
    "refine": [label("x", "sure", "refinement", 0), label("y", "no", "refinement", 0)],
    "reject": [label("x", "maybe", "samples", 1), label("y", "yes", "samples", 1)],
}


def write_results(folder):
    """A results folder with one organism and a run of each method."""
    base = [score(f"p{i}", 0, coherence=1.0) for i in range(10)]
    organism = [score(f"p{i}", int(i < 8), coherence=0.5) for i in range(10)]
    organism += [score("d", 1, metric="direct_accuracy")]
    base += [score("d", 0, metric="direct_accuracy")]
    trained = [score(f"p{i}", int(i < 6)) for i in range(10)]
    paths = organism_inputs(str(folder), ORGANISM)
    training = {"steps": 12, "rows_used": 384, "first_loss": 2.5, "last_loss": 0.5}
    training |= {"first_gradient_norm": 7.5, "clipped_share": 0.25, "adapter_change": 0.125}
    write_json(paths["run"], {"training": training})
    for name, scores in (("base_", base), ("", organism)):
        write_jsonl(paths[f"{name}scores"], "scores", scores)
        write_json(paths[f"{name}risk"], risk_record(scores, **SETTINGS))
    write_jsonl(f"{folder}/{ORGANISM.path}/candidates.jsonl", "candidates", CANDIDATES)
    write_jsonl(f"{folder}/{ORGANISM.path}/rewards.jsonl", "rewards", REWARDS)
    for name, method in METHODS.items():
        files = run_inputs(str(folder), Run(ORGANISM, name), method["operator"])
        records = risk_record(organism, **SETTINGS), risk_record(trained, **SETTINGS)
        frame = delta_risk(organism, trained, *records, bootstrap=200, level=0.95, seed=1)
        write_table(frame, files["delta"])
        write_table(delta_prompts(organism, trained, records[0]), files["prompts"])
        write_json(files["risk"], records[1])
        write_json(files["run"], {"training": training | {"steps": 4}})
        if "labels" in files:
            write_jsonl(files["labels"], "labels", LABELS[name])
        if "verdicts" in files:
            write_jsonl(files["verdicts"], "verdicts", VERDICTS)


def organisms_of(results, **settings):
    settings = COLLECTING | {"min_induction_effect": 0.2} | settings
    grouped = {"sycophancy": False}
    return collect_organisms(str(results), [ORGANISM], grouped=grouped, **settings)


def runs_of(results):
    runs = [Run(ORGANISM, name) for name in METHODS]
    frame = collect_runs(str(results), runs, methods=METHODS, **MEASURED)
    return {row["method"]: row for row in frame.to_dicts()}
