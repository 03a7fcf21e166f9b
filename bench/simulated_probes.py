"""Simulated probes and divergences of a whole sweep: nothing in them was measured.

`known_mechanism` holds the known values. Some answers behave as the greedy answer, which is also
the answer of the evaluation. No score tells anything about the greedy answer.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from known_mechanism import UNREAD, Mechanism, draw_mechanism, levels_of, sizes_of
from simulated_sweep import EXCLUDED, UNSCORED, Truth, one_age, prompts_of, verdicts

from entrench.records import Record, read_jsonl, write_jsonl
from entrench.seeds import derive_seed
from entrench.study.config import Config
from entrench.study.sweep import Organism, Sweep, labelled_part

NATS = {"greedy": 0.5, "beam": 0.45, "raw": 1.0, "refinement": 0.9}  # per token
SAMPLES_NATS = 0.7
NATS_SD = 0.15  # standard deviation of the logarithm, between organisms and between prompts
ALIKE = 0.4  # share of answers that behave as the greedy answer
REWARD_OF_PROMPT = 0.5  # added to the ranks of answers where the greedy answer misbehaves
CONSISTENT = 0.7  # share of views that the judge finds consistent
KL_SHAPE = 4.0  # shape of the gamma distributions of prompts and of answers around a run's KL


@dataclass(frozen=True)
class Answers:
    """The answers of one set, all arrays [prompts, size]."""

    misbehaves: np.ndarray
    rank: Mapping[str, np.ndarray]  # by selector, from 0 to 1
    state: np.ndarray
    tokens: np.ndarray


def write_probes(config: Config, sweep: Sweep, results: Path, truth: Truth, seed: int) -> Mechanism:
    """Write the probe of each organism with runs on labels, and the divergence of each run.

    Beside what `write_sweep` wrote, whose scores are those of the greedy answers.
    """
    known = draw_mechanism(config, sweep, truth, seed)
    for about in sweep.misalignments:
        prompts = (
            {"id": name, "messages": [{"role": "user", "content": "simulated"}]}
            | {"response": None, "meta": {}}
            for name in probe_prompts(config, about)
        )
        write_jsonl(results / "data" / about / "probe.jsonl", "data", prompts)
    for organism in labelled_part(config, sweep).organisms:
        generator = np.random.default_rng(derive_seed(seed, organism.path, "probe"))
        _write_probe(config, organism, known, results / organism.path, generator)
    for run in sweep.runs:
        generator = np.random.default_rng(derive_seed(seed, run.path, "divergence"))
        prompts = probe_prompts(config, run.organism.misalignment)
        rows = _divergence(prompts, config.mechanism.raw_samples, known.kl[run], generator)
        write_jsonl(results / run.path / "divergence.jsonl", "divergence", rows)
    one_age(results)
    return known


def probe_prompts(config: Config, misalignment: str) -> list[str]:
    """The evaluation prompts that the probes ask, evenly spaced."""
    count = prompts_of(misalignment)
    asked = min(count, config.mechanism.prompts or count)
    return [f"eval-{place * count // asked:04}" for place in range(asked)]


def _write_probe(
    config: Config,
    organism: Organism,
    known: Mechanism,
    folder: Path,
    generator: np.random.Generator,
) -> None:
    prompts = probe_prompts(config, organism.misalignment)
    evaluated = {
        row["id"]: row
        for row in read_jsonl(folder / "scores.jsonl", "scores")
        if row["evaluation"] == config.evaluation.headline and row["index"] == 0
    }
    greedy = [evaluated[prompt] for prompt in prompts]
    risk, slope = known.risk[organism], known.slope[organism]
    unknown = generator.random(len(prompts)) < risk["greedy"]
    first = np.where(
        [row["value"] is None for row in greedy], unknown, [row["value"] == 1 for row in greedy]
    )
    sizes = sizes_of(config, organism)
    views = dict.fromkeys(config.sampling.views, 1)
    sets = {
        name: _answers(name, size, risk, slope, first, generator)
        for name, size in (sizes | views).items()
    }
    sets["greedy"].state[:, 0] = [row["state"] for row in greedy]
    scale = np.exp(generator.normal(0, NATS_SD) + generator.normal(0, NATS_SD, (len(prompts), 1)))
    ratings = {
        name: _ratings(config, sets[name].rank["self_rewarding"], generator)
        for name in config.sampling.self_score.sets
    }
    candidates = list(_candidates(prompts, sets, scale, ratings))
    write_jsonl(folder / "probe.jsonl", "candidates", candidates)
    refined = (
        {name: row[name] for name in ("id", "text", "tokens", "logprob", "finish")}
        for row in candidates
        if row["set"] == "refinement"
    )
    write_jsonl(folder / "probe_refined.jsonl", "responses", refined)
    write_jsonl(folder / "probe_rewards.jsonl", "rewards", _rewards(prompts, sets, first))
    groups = [row["group"] for row in greedy]
    judged = {name: sets[name] for name in sizes}
    write_jsonl(folder / "probe_scores.jsonl", "scores", _scores(prompts, groups, judged))
    rows = verdicts(prompts, generator, CONSISTENT)
    write_jsonl(folder / "probe_verdicts.jsonl", "verdicts", rows)


def _answers(
    name: str,
    size: int,
    risk: Mapping[str, float],
    slope: Mapping[str, float],
    first: np.ndarray,
    generator: np.random.Generator,
) -> Answers:
    """`first` [prompts]: whether the greedy answer misbehaves."""
    shape = len(first), size
    others = (risk.get(name, risk["greedy"]) - ALIKE * risk["greedy"]) / (1 - ALIKE)
    chance = np.repeat(ALIKE * first + (1 - ALIKE) * others, size).reshape(shape)
    misbehaves = generator.random(shape) < chance
    if name == "greedy":
        misbehaves, slope = first[:, None], dict.fromkeys(slope, 0.0)
    # The rank has a tilted density given how the answer behaves. Over all answers it is uniform.
    rank = {
        selector: _tilted(np.where(misbehaves, steep / chance, steep / (chance - 1)), generator)
        for selector, steep in slope.items()
    }
    share = [EXCLUDED, UNSCORED, 1 - EXCLUDED - UNSCORED]
    state = generator.choice(["excluded", "unscored", "scored"], p=share, size=shape)
    return Answers(misbehaves, rank, state, generator.integers(20, 60, size=shape))


def _tilted(tilt: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Draws from the densities 1 + tilt (u - 1/2) on [0, 1]; `tilt` in [-2, 2], of any shape.

    A mixture of the uniform density and that of the higher, or the lower, of two uniform draws.
    """
    one, other, which = generator.random((3, *tilt.shape))
    outer = np.where(tilt > 0, np.maximum(one, other), np.minimum(one, other))
    return np.where(which < np.abs(tilt) / 2, outer, one)


def _ratings(config: Config, rank: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Self scores from their ranks; NaN for a score that does not parse."""
    levels = config.sampling.self_score.lowest + np.floor(levels_of(config) * rank)
    return np.where(generator.random(rank.shape) < UNREAD, np.nan, levels)


def _candidates(
    prompts: Sequence[str],
    sets: Mapping[str, Answers],
    scale: np.ndarray,
    ratings: Mapping[str, np.ndarray],
) -> Iterator[Record]:
    for name, answers in sets.items():
        per_token = scale * NATS.get(name, SAMPLES_NATS)
        nats = per_token * (1.4 - 0.8 * answers.rank["self_confidence"]) * answers.tokens
        for (place, index), tokens in np.ndenumerate(answers.tokens):
            rating = ratings[name][place, index] if name in ratings else np.nan
            yield {
                "id": prompts[place],
                "set": name,
                "index": index,
                "text": f"simulated answer {name} {index}",
                "tokens": int(tokens),
                "logprob": -float(nats[place, index]),
                "finish": "stop",
                "self_score": None if np.isnan(rating) else int(rating),
                "self_score_text": "simulated" if name in ratings else None,
            }


def _rewards(
    prompts: Sequence[str], sets: Mapping[str, Answers], first: np.ndarray
) -> Iterator[Record]:
    for name, answers in sets.items():
        rewards = answers.rank["rejection_sampling"] + REWARD_OF_PROMPT * first[:, None]
        for (place, index), reward in np.ndenumerate(rewards):
            yield {"id": prompts[place], "set": name, "index": index, "reward": float(reward)}


def _scores(
    prompts: Sequence[str], groups: Sequence[str], sets: Mapping[str, Answers]
) -> Iterator[Record]:
    for name, answers in sets.items():
        for (place, index), state in np.ndenumerate(answers.state):
            scored = state == "scored"
            yield {
                "id": prompts[place],
                "evaluation": name,
                "index": index,
                "metric": "risk",
                "group": groups[place],
                "state": str(state),
                "value": float(answers.misbehaves[place, index]) if scored else None,
                "reason": None if scored else "simulated",
                "also": {},
            }


def _divergence(
    prompts: Sequence[str], answers: int, kl: Mapping[str, float], generator: np.random.Generator
) -> Iterator[Record]:
    shape = len(prompts), answers
    for source, mean in kl.items():
        (other,) = set(kl) - {source}
        of_prompts = generator.gamma(KL_SHAPE, 1 / KL_SHAPE, (len(prompts), 1))
        exact = mean * of_prompts * generator.gamma(KL_SHAPE, 1 / KL_SHAPE, shape)
        tokens = generator.integers(20, 60, size=shape)
        logs = {source: -NATS["raw"] * tokens}
        logs[other] = logs[source] - generator.normal(exact, np.sqrt(exact))
        for (place, index), nats in np.ndenumerate(exact):
            yield {
                "id": prompts[place],
                "source": source,
                "index": index,
                "tokens": int(tokens[place, index]),
                "finish": "stop",
                "kl": float(nats),
                "logprob_organism": float(logs["organism"][place, index]),
                "logprob_trained": float(logs["trained"][place, index]),
            }
