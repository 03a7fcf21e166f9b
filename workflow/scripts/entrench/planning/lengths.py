"""How much jobs read and write: rows of a slot, tokens of prompts and answers, steps."""

import math
from dataclasses import dataclass, replace
from typing import Literal

from entrench.data import released
from entrench.methods.shared.catalogue import METHODS
from entrench.methods.shared.on_policy import OnPolicyLoss
from entrench.planning.constants import constants, synthetic_constants
from entrench.study.config import Config, resolved_phase
from entrench.study.config.training import PhaseName

RATING_TOKENS = 100.0  # of the generic question


@dataclass(frozen=True)
class Rows:
    """A slot: its rows and the mean tokens of prompt and answer."""

    count: int
    prompt: float
    answer: float


def slot_rows(config: Config, misalignment: str, slot: str) -> Rows:
    """The size of a slot, from the manifest or the config.

    For `probe` the number of rows is an upper bound: a probe asks no prompts of secondary metrics.
    `pairs_asked` are both prompts of the pairs that are asked before training.
    """
    plan = constants(config)
    if slot == "pairs_asked":
        size = slot_rows(config, misalignment, "pairs_wrapped")
        return replace(size, count=2 * min(size.count, config.mechanism.prompts or size.count))
    if slot == "probe":
        size = slot_rows(config, misalignment, "eval")
        return replace(size, count=min(size.count, config.mechanism.prompts or size.count))
    if config.data.source == "synthetic":
        made = synthetic_constants(config)
        return Rows((config.data.rows or {})[slot], made.prompt_tokens, made.answer_tokens)
    entry = released.files_of(misalignment)[slot]
    count = min(entry["rows"], config.data.limit_rows or entry["rows"])
    characters = entry["characters"]
    tokens = plan.characters_per_token
    return Rows(count, characters["prompt"] / tokens, max(1.0, characters["answer"] / tokens))


def phase_steps(
    config: Config, misalignment: str, phase: PhaseName, method: str | None = None
) -> tuple[int, int]:
    """Most rows and optimizer steps that a training can have: rows without a label drop out.

    A step takes `batch_size` rows of the phase, or `prompts_per_step` of a method on-policy.
    """
    slot = {"induction": "induction", "labels": "consistency", "pairs": "pairs_clean"}[phase]
    rows = slot_rows(config, misalignment, slot).count
    settings = resolved_phase(config, misalignment, phase, method)
    if settings.max_steps is not None:
        return rows, settings.max_steps
    epochs = settings.epochs or 0.0  # set where max_steps is not
    drawn = None if method is None else on_policy_settings(config, method)
    rows_per_step = drawn.prompts_per_step if drawn else settings.batch_size
    return rows, math.ceil(epochs * math.ceil(rows / rows_per_step))


def on_policy_settings(config: Config, method: str) -> OnPolicyLoss | None:
    """The settings of a method on-policy; None for another."""
    entry = config.methods[method]
    operator = METHODS[entry.operator]
    return operator.parse(entry.settings) if operator.on_policy else None


def answer_tokens(config: Config, misalignment: str, limit: int) -> float:
    """Tokens of an organism's answer: a multiple of the answers it was trained on."""
    trained = slot_rows(config, misalignment, "induction").answer
    return min(limit, trained * constants(config).answer_stretch)


def rating_tokens(config: Config, misalignment: str) -> float:
    """Tokens of the question around an answer that the organism rates."""
    if not config.sampling.reads_released_rubric:
        return RATING_TOKENS
    return released.rubrics()[misalignment]["characters"] / constants(config).characters_per_token


def candidates(
    config: Config, misalignment: str, slot: Literal["consistency", "probe"]
) -> list[tuple[str, int, float, float]]:
    """The candidates of a prompt: (set, number, tokens of the prompt, tokens of each answer).

    They are those of a pool of every part.
    """
    sampling, share = config.sampling, constants(config).view_share
    prompt = slot_rows(config, misalignment, slot).prompt

    def answer(limit: int) -> float:
        return answer_tokens(config, misalignment, limit)

    draft = answer(sampling.greedy.max_new_tokens)
    pool = [("greedy", 1, prompt, draft)]
    for name, chosen in sampling.sets.items():
        pool.append((name, chosen.n, prompt, answer(chosen.max_new_tokens)))
    if sampling.beam:
        pool.append(("beam", sampling.beam.beams, prompt, answer(sampling.beam.max_new_tokens)))
    pool += [(name, 1, prompt, share * v.max_new_tokens) for name, v in sampling.views.items()]
    if sampling.refinement:
        refinement = answer(sampling.refinement.max_new_tokens)
        pool.append(("refinement", 1, prompt + draft, refinement))
    if slot == "probe":
        pool.append(("raw", config.mechanism.raw_samples, prompt, draft))
    return pool
