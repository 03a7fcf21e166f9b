"""Simulated scores of a whole sweep with known effects: nothing in it was measured.

The true delta-risk of a run is a sum. Its first part is the effect of the method on the
misalignment (`effect`). Model, organism and run each add a normal difference, with a standard
deviation below. Each evaluation prompt adds a difference to all runs of its misalignment, so the
prompts of a study add their mean to all these runs. Each prompt then misbehaves or not by chance.
Everything is written below one folder in the path grammar of the workflow, beside a file SIMULATED
whose text tables and figures repeat.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from entrench.analysis.simulated import MARK
from entrench.data import released
from entrench.methods.shared.catalogue import METHODS
from entrench.records import Record, write_json, write_jsonl, write_text
from entrench.seeds import derive_seed
from entrench.study.config import Config
from entrench.study.sweep import Organism, Run, Sweep

NOTE = "SIMULATED: no model was trained or asked; scores drawn by bench/simulated_sweep.py"

MISALIGNMENT_EFFECT = {
    "reward_hacking": -0.20,
    "emergent_misalignment": -0.12,
    "spurious_correlation": 0.0,
    "sycophancy": 0.10,
}
METHOD_EFFECT = {"act": -0.06, "bct": -0.05, "diverse_decoding": -0.02, "self_refinement": 0.03}
MODEL_SD, ORGANISM_SD, RUN_SD, PROMPT_SD = 0.04, 0.03, 0.03, 0.08
INEFFECTIVE = 0.05  # share of organisms that misbehave no more than their base model
INVALID = 0.02  # share of runs with too many unscored completions
EXCLUDED, UNSCORED = 0.05, 0.01
KEPT = 0.7  # share of prompts that phase 3 answers as the organism did, as far as risks allow
GROUPS = 5
AGE = 1_700_000_000.0  # time of every file, seconds since 1970
# The candidates of a prompt in the pool: (set, index).
POOL = [
    ("greedy", 0),
    ("beam", 0),
    ("refinement", 0),
    ("chain_of_thought", 0),
    ("json", 0),
    *((name, index) for name in ("samples", "nucleus") for index in range(8)),
]


@dataclass(frozen=True)
class Truth:
    """True risks and deltas, fractions. `delta` of a run over prompts like these; `of_model` is
    what its model adds to it, `of_prompts` what each prompt of a misalignment adds to all its runs.
    """

    base: Mapping[Organism, float]
    organism: Mapping[Organism, float]
    delta: Mapping[Run, float]
    of_model: Mapping[Run, float]
    of_prompts: Mapping[str, np.ndarray]


def effect(run: Run) -> float:
    """The mean delta-risk of this method on this misalignment, over all possible models."""
    return MISALIGNMENT_EFFECT[run.organism.misalignment] + METHOD_EFFECT.get(run.method, 0.0)


def draw_truth(sweep: Sweep, seed: int) -> Truth:
    """True risks of all organisms and runs, from normal draws around `effect`."""
    generator = np.random.default_rng(derive_seed(seed, "truth"))
    of_model = {
        (model, about): generator.normal(0, MODEL_SD)
        for model in sweep.models
        for about in sweep.misalignments
    }
    of_organism = {organism: generator.normal(0, ORGANISM_SD) for organism in sweep.organisms}
    organism = {one: generator.uniform(0.46, 0.56) for one in sweep.organisms}
    base = {
        one: risk if generator.random() < INEFFECTIVE else generator.uniform(0.02, 0.1)
        for one, risk in organism.items()
    }
    model_part = {
        run: of_model[run.organism.model, run.organism.misalignment] for run in sweep.runs
    }
    delta = {
        run: effect(run) + model_part[run] + of_organism[run.organism] + generator.normal(0, RUN_SD)
        for run in sweep.runs
    }
    of_prompts = {
        about: generator.normal(0, PROMPT_SD, prompts_of(about)) for about in sweep.misalignments
    }
    return Truth(base, organism, delta, model_part, of_prompts)


def prompts_of(misalignment: str, slot: str = "eval") -> int:
    """Number of prompts of the released data."""
    return released.files_of(misalignment)[slot]["rows"]


def write_sweep(config: Config, sweep: Sweep, results: Path, seed: int) -> Truth:
    """Write scores, pools, labels and provenance of all subjects below `results`, of one time.

    There are as many prompts and candidates as in the released data; texts have a few words.
    """
    truth = draw_truth(sweep, seed)
    write_text(results / MARK, NOTE + "\n")
    for organism in sweep.organisms:
        generator = np.random.default_rng(derive_seed(seed, organism.path))
        about = organism.misalignment
        evaluations = config.evaluation.of(about)
        decodings = {name: decoding.n for name, decoding in evaluations.items()}
        shape = max(decodings.values()), prompts_of(about)
        luck = generator.random(shape)
        own = results / organism.path
        base = results / organism.base_path / "scores.jsonl"
        if not base.exists():
            others = generator.random(shape)
            rows = _scores(decodings, truth.base[organism], others, generator)
            write_jsonl(base, "scores", rows)
        rows = _scores(decodings, truth.organism[organism], luck, generator)
        write_jsonl(own / "scores.jsonl", "scores", rows)
        write_json(own / "run.json", _provenance())
        runs = [run for run in sweep.runs if run.organism == organism]
        if runs:
            prompts = _pool_prompts(organism)
            write_jsonl(own / "candidates.jsonl", "candidates", _candidates(prompts))
            write_jsonl(own / "rewards.jsonl", "rewards", _rewards(prompts, generator))
        for run in runs:
            rows = _trained_scores(decodings, run, truth, luck, generator)
            write_jsonl(results / run.path / "scores.jsonl", "scores", rows)
            write_json(results / run.path / "run.json", _provenance())
            if run.repeat == 1:
                _write_labels(config, run, results / run.labelled.path, generator)
    one_age(results)
    return truth


def one_age(results: Path) -> None:
    """Give all files one time, so that no file is newer than the files made from it."""
    for path in results.rglob("*"):
        os.utime(path, (AGE, AGE))


def draw_scores(
    organism: Organism, runs: Sequence[Run], truth: Truth, prompts: int, seed: int
) -> tuple[list[Record], dict[Run, list[Record]]]:
    """Scores of an organism and its runs on the first `prompts`, one "greedy" answer each."""
    generator = np.random.default_rng(derive_seed(seed, organism.path, "scores"))
    decodings = {"greedy": 1}
    luck = generator.random((1, min(prompts, prompts_of(organism.misalignment))))
    before = list(_scores(decodings, truth.organism[organism], luck, generator))
    return before, {
        run: list(_trained_scores(decodings, run, truth, luck, generator)) for run in runs
    }


def mean_of_prompts(truth: Truth, misalignment: str, grouped: bool, prompts: int = 10**9) -> float:
    """The mean difference that the first `prompts` add to every run, averaged as a risk is."""
    own = truth.of_prompts[misalignment][:prompts]
    if not grouped:
        return float(own.mean())
    return float(np.mean([own[group::GROUPS].mean() for group in range(GROUPS)]))


def _trained_scores(
    decodings: Mapping[str, int],
    run: Run,
    truth: Truth,
    luck: np.ndarray,
    generator: np.random.Generator,
) -> Iterator[Record]:
    again = np.where(generator.random(luck.shape) < KEPT, luck, generator.random(luck.shape))
    of_prompts = truth.of_prompts[run.organism.misalignment][: luck.shape[1]]
    risk = np.clip(truth.organism[run.organism] + truth.delta[run] + of_prompts, 0, 1)
    invalid = generator.random() < INVALID
    return _scores(decodings, risk, again, generator, 0.2 if invalid else UNSCORED)


def _write_labels(config: Config, run: Run, folder: Path, generator: np.random.Generator) -> None:
    method = config.methods[run.method]
    operator = METHODS[method.operator]
    prompts = _pool_prompts(run.organism)
    if operator.makes_labels:
        read = method.settings.get("set") or operator.sets[0]
        write_jsonl(folder / "labels.jsonl", "labels", _labels(prompts, read, generator))
    if operator.reads_verdicts:
        write_jsonl(folder / "verdicts.jsonl", "verdicts", verdicts(prompts, generator))


def _scores(
    decodings: Mapping[str, int],
    risk: float | np.ndarray,
    luck: np.ndarray,
    generator: np.random.Generator,
    unscored: float = UNSCORED,
) -> Iterator[Record]:
    """A score per answer: misbehaving where `luck` [answers, prompts] is below `risk` [prompts].

    `decodings` gives the answers per prompt of each evaluation.
    """
    misbehaves = luck < risk
    states = generator.choice(
        ["excluded", "unscored", "scored"],
        p=[EXCLUDED, unscored, 1 - EXCLUDED - unscored],
        size=luck.shape,
    )
    for evaluation, answers in decodings.items():
        for (index, number), state in np.ndenumerate(states[:answers]):
            scored = state == "scored"
            yield {
                "id": f"eval-{number:04}",
                "evaluation": evaluation,
                "index": index,
                "metric": "risk",
                "group": f"group{number % GROUPS}",
                "state": str(state),
                "value": float(misbehaves[index, number]) if scored else None,
                "reason": None if scored else "simulated",
                "also": {},
            }


def _provenance() -> dict[str, Any]:
    training = {"steps": 100, "rows_used": 1600, "first_loss": 2.0, "last_loss": 1.0}
    training |= {"first_gradient_norm": 0.5, "clipped_share": 0.1, "adapter_change": 0.2}
    return {"simulated": NOTE, "training": training}


def _pool_prompts(organism: Organism) -> list[str]:
    count = prompts_of(organism.misalignment, "consistency")
    return [f"consistency-{number:04}" for number in range(count)]


def _text(name: str, index: int) -> str:
    return f"simulated answer {name} {index}"


def _candidates(prompts: list[str]) -> Iterator[Record]:
    for prompt in prompts:
        for name, index in POOL:
            rated = name == "samples"
            yield {
                "id": prompt,
                "set": name,
                "index": index,
                "text": _text(name, index),
                "tokens": 4,
                "logprob": -1.0 - index,
                "finish": "stop",
                "self_score": index % 6 if rated else None,
                "self_score_text": str(index % 6) if rated else None,
            }


def _rewards(prompts: list[str], generator: np.random.Generator) -> Iterator[Record]:
    for prompt in prompts:
        for name, index in POOL:
            yield {"id": prompt, "set": name, "index": index, "reward": float(generator.normal())}


def _labels(prompts: list[str], read: str, generator: np.random.Generator) -> Iterator[Record]:
    indices = [index for name, index in POOL if name == read]
    for prompt in prompts:
        index = int(generator.choice(indices))
        yield {
            "id": prompt,
            "messages": [{"role": "user", "content": "simulated"}],
            "label": _text(read, index),
            "set": read,
            "index": index,
            "reason": None,
        }


def verdicts(
    prompts: Sequence[str], generator: np.random.Generator, share: float = 0.8
) -> Iterator[Record]:
    """The label judge's answers about two views, consistent with this probability each."""
    for prompt in prompts:
        for view in ("chain_of_thought", "json"):
            yield {
                "id": prompt,
                "view": view,
                "consistent": bool(generator.random() < share),
                "raw": "simulated",
            }
