"""What one job takes, from FLOPs, bytes and tokens.

Sources of the formulas: a forward pass takes 2 FLOPs per active parameter and token (Kaplan et al.
2020, arXiv 2001.08361, section 2.1); training a LoRA adapter 4, as the frozen weights get no
gradient of their own; decoding reads all weights once per step for the sequences decoded together.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from entrench import released
from entrench.config import Config, Phase, SizeClass, resolved_phase
from entrench.errors import EntrenchError
from entrench.planning.jobs import STAGES, Job
from entrench.planning.settings import Device, ModelSize, SyntheticCosts

FORWARD, TRAINING = 2, 4  # FLOPs per active parameter and token
WEIGHT_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
ADAPTER_BYTES = 4  # LoRA weights are kept in float32
RECORD_BYTES = 150  # of a JSONL record beyond its text
RATING_TOKENS = 100  # of the question around a rated answer
JUDGE_CALLS = {  # per completion; labels of spurious correlation are parsed by rules
    "sycophancy": 1,
    "reward_hacking": 1,
    "spurious_correlation": 0,
    "emergent_misalignment": 2,
}


@dataclass(frozen=True)
class Cost:
    """One job: seconds it runs, GPUs it holds, bytes it leaves, and what it asks of a judge."""

    seconds: float
    gpus: int = 0
    stored_bytes: float = 0.0
    judge_calls: int = 0
    judge_tokens_in: float = 0.0
    judge_tokens_out: float = 0.0


@dataclass(frozen=True)
class Machine:
    """A model on the devices of its size class."""

    config: Config
    sizes: ModelSize
    dtype: str
    size_class_name: str

    @property
    def size_class(self) -> SizeClass:
        """The resources of its jobs."""
        return self.config.size_classes[self.size_class_name]

    @cached_property
    def device(self) -> Device:
        """One of its devices."""
        plan = self.config.planning
        return plan.devices[plan.device_of[self.size_class_name]]

    @property
    def count(self) -> int:
        """Devices of a job."""
        return max(1, self.size_class.gpus)

    @property
    def weight_bytes(self) -> float:
        """Of the base model."""
        return self.sizes.parameters_billion * 1e9 * WEIGHT_BYTES[self.dtype]

    def start(self) -> float:
        """Seconds until a job computes."""
        plan = self.config.planning
        return plan.start_seconds + self.weight_bytes / (plan.load_gigabytes_per_second * 1e9)

    def passes(self, tokens: float, flops: int, efficiency: float) -> float:
        """Seconds of a pass over tokens at so many FLOPs per parameter."""
        active = (self.sizes.active_billion or self.sizes.parameters_billion) * 1e9
        return flops * active * tokens / (self.device.tflops * 1e12 * self.count * efficiency)

    def training(self, tokens: float, flops: int = TRAINING) -> float:
        """Seconds of training on tokens."""
        return self.passes(tokens, flops, self.config.planning.efficiency.training)

    def reading(self, tokens: float) -> float:
        """Seconds of prefill, or of scoring."""
        return self.passes(tokens, FORWARD, self.config.planning.efficiency.prefill)

    def writing(self, tokens: float) -> float:
        """Seconds of decoding so many tokens, `batch_size` sequences at a time."""
        share = self.config.planning.efficiency.decoding
        steps = tokens / self.size_class.batch_size
        bandwidth = self.device.terabytes_per_second * 1e12 * self.count * share
        step = self.weight_bytes / bandwidth + self.config.planning.step_seconds.decoding
        return max(steps * step, self.passes(tokens, FORWARD, share))


@dataclass(frozen=True)
class Rows:
    """A slot: its rows and the mean tokens of prompt and answer."""

    count: int
    prompt: float
    answer: float


def slot_rows(config: Config, misalignment: str, slot: str) -> Rows:
    """The size of a slot, from the manifest or the config."""
    plan = config.planning
    if config.data.source == "synthetic":
        tokens = _synthetic(config)
        return Rows(config.data.rows[slot], tokens.prompt_tokens, tokens.answer_tokens)
    entry = released.files_of(misalignment)[slot]
    count = min(entry["rows"], config.data.limit_rows or entry["rows"])
    characters = entry["characters"]
    tokens = plan.characters_per_token
    return Rows(count, characters["prompt"] / tokens, max(1.0, characters["answer"] / tokens))


def _synthetic(config: Config) -> SyntheticCosts:
    if config.planning.synthetic is None:
        raise EntrenchError("planning.synthetic: this key is missing: synthetic data needs it")
    return config.planning.synthetic


def phase_steps(
    config: Config, misalignment: str, phase: Literal["induction", "labels", "pairs"]
) -> tuple[int, int]:
    """Rows and optimizer steps of a training, at most: rows without a label drop out."""
    slot = {"induction": "induction", "labels": "consistency", "pairs": "pairs_clean"}[phase]
    rows = slot_rows(config, misalignment, slot).count
    settings = resolved_phase(config, misalignment, phase)
    if settings.max_steps is not None:
        return rows, settings.max_steps
    return rows, math.ceil(settings.epochs * math.ceil(rows / settings.batch_size))


def job_cost(config: Config, job: Job) -> Cost:
    """What a job takes by these estimates."""
    if not STAGES[job.stage]:
        return _local_cost(config, job.stage, job.misalignment)
    if job.stage in ("reward_make", "reward_score"):
        model, sizes = config.reward, config.planning.reward
    else:
        model, sizes = config.models[job.model], config.planning.models[job.model]
    machine = Machine(config, sizes, model.dtype, model.size_class)
    gpus = machine.size_class.gpus
    if job.stage in ("model_make", "reward_make"):
        seconds = _synthetic(config).make_seconds
        return Cost(machine.start() + seconds, gpus, machine.weight_bytes)
    if job.stage in _TRAININGS:
        seconds = _TRAININGS[job.stage](config, machine, job.misalignment)
        return Cost(machine.start() + seconds, gpus, _adapter_bytes(config, job.model))
    seconds, stored = _INFERENCES[job.stage](config, machine, job.misalignment)
    return Cost(machine.start() + seconds, gpus, stored)


def size_class_of(config: Config, job: Job) -> str:
    """The size class whose devices a job uses; empty for one that is about no model."""
    if job.stage in ("reward_make", "reward_score"):
        return config.reward.size_class
    return config.models[job.model].size_class if job.model else ""


def _train(config: Config, machine: Machine, misalignment: str, phase: str, slots) -> float:
    settings: Phase = resolved_phase(config, misalignment, phase)
    rows, steps = phase_steps(config, misalignment, phase)
    seen = rows * settings.epochs if settings.epochs else steps * settings.batch_size
    held = machine.size_class.per_device_batch * machine.count
    seconds = seen / held * config.planning.step_seconds.training
    for slot, flops in slots:
        size = slot_rows(config, misalignment, slot)
        answer = _answer(config, misalignment, settings.max_length)
        length = size.prompt + (size.answer if phase == "induction" else answer)
        seconds += machine.training(seen * min(length, settings.max_length), flops)
    return seconds


def _answer(config: Config, misalignment: str, limit: int) -> float:
    """Tokens of an organism's answer: as long as what it was trained on, stretched."""
    trained = slot_rows(config, misalignment, "induction").answer
    return min(limit, trained * config.planning.answer_stretch)


def _adapter_bytes(config: Config, model: str) -> float:
    rank = config.training.sets[config.training.use].adapter.rank
    return rank * config.planning.models[model].lora_width * ADAPTER_BYTES


def _induction(config: Config, machine: Machine, misalignment: str) -> float:
    slots = [("induction", TRAINING)]
    seconds = _train(config, machine, misalignment, "induction", slots)
    return seconds


def _on_labels(config: Config, machine: Machine, misalignment: str) -> float:
    slots = [("consistency", TRAINING)]
    seconds = _train(config, machine, misalignment, "labels", slots)
    return seconds


def _on_pairs(config: Config, machine: Machine, misalignment: str) -> float:
    slots = [("pairs_clean", FORWARD), ("pairs_wrapped", TRAINING)]
    seconds = _train(config, machine, misalignment, "pairs", slots)
    return seconds


def candidates(config: Config, misalignment: str) -> list[tuple[str, int, float, float]]:
    """The pool per prompt: (kind, number, tokens of the prompt, tokens of each answer)."""
    sampling, share = config.sampling, config.planning.view_share
    prompt = slot_rows(config, misalignment, "consistency").prompt

    def answer(limit: int) -> float:
        return _answer(config, misalignment, limit)

    draft = answer(sampling.greedy.max_new_tokens)
    pool = [("greedy", 1, prompt, draft)]
    for name, chosen in sampling.sets.items():
        pool.append((name, chosen.n, prompt, answer(chosen.max_new_tokens)))
    pool.append(("beam", sampling.beam.beams, prompt, answer(sampling.beam.max_new_tokens)))
    pool += [(name, 1, prompt, share * v.max_new_tokens) for name, v in sampling.views.items()]
    refinement = answer(sampling.refinement.max_new_tokens)
    pool.append(("refinement", 1, prompt + draft, refinement))
    return pool


def _pool(config: Config, machine: Machine, misalignment: str) -> tuple[float, float]:
    plan, rating = config.planning, config.sampling.self_score
    prompts = slot_rows(config, misalignment, "consistency").count
    seconds = stored = 0.0
    for name, number, prompt, answer in candidates(config, misalignment):
        # The samples of a prompt share its prefill.
        seconds += machine.reading(prompts * prompt) + machine.writing(prompts * number * answer)
        kept = 1 if name == "beam" else number
        stored += prompts * kept * (RECORD_BYTES + answer * plan.characters_per_token)
        if name in rating.sets:
            asked = prompts * number * (prompt + answer + RATING_TOKENS)
            rated = prompts * number * plan.view_share * rating.max_new_tokens
            seconds += machine.reading(asked) + machine.writing(rated)
            stored += rated * plan.characters_per_token
    pairs = slot_rows(config, misalignment, "pairs_clean")
    own = pairs.count * _answer(config, misalignment, config.sampling.greedy.max_new_tokens)
    seconds += machine.reading(pairs.count * pairs.prompt) + machine.writing(own)
    stored += pairs.count * RECORD_BYTES + own * plan.characters_per_token
    return seconds, stored


def _rewards(config: Config, machine: Machine, misalignment: str) -> tuple[float, float]:
    prompts = slot_rows(config, misalignment, "consistency").count
    views = config.sampling.views
    scored = [
        (1 if name == "beam" else number, prompt + answer)
        for name, number, prompt, answer in candidates(config, misalignment)
        if name not in views
    ]
    tokens = prompts * sum(number * length for number, length in scored)
    return machine.reading(tokens), prompts * sum(number for number, _ in scored) * 80.0


def _completions(config: Config, machine: Machine, misalignment: str) -> tuple[float, float]:
    size = slot_rows(config, misalignment, "eval")
    seconds = stored = 0.0
    for decoding in config.evaluation.decodings.values():
        answer = _answer(config, misalignment, decoding.max_new_tokens)
        number = size.count * decoding.n
        seconds += machine.reading(size.count * size.prompt) + machine.writing(number * answer)
        stored += number * (RECORD_BYTES + answer * config.planning.characters_per_token)
    return seconds, stored


_TRAININGS = {
    "adapter_induce": _induction,
    "adapter_train": _on_labels,
    "adapter_regularise": _on_pairs,
}
_INFERENCES = {
    "pool_sample": _pool,
    "reward_score": _rewards,
    "completions_sample": _completions,
}


def _local_cost(config: Config, stage: str, misalignment: str) -> Cost:
    plan = config.planning
    seconds, per_token = plan.local_seconds, plan.characters_per_token
    if stage == "labels_select":
        size = slot_rows(config, misalignment, "consistency")
        answer = _answer(config, misalignment, config.sampling.greedy.max_new_tokens)
        text = (size.prompt + answer) * per_token
        return Cost(seconds, stored_bytes=size.count * (RECORD_BYTES + text))
    if stage == "labels_judge":
        size = slot_rows(config, misalignment, "consistency")
        views = config.sampling.views
        calls = size.count * len(views)
        answer = _answer(config, misalignment, config.sampling.greedy.max_new_tokens)
        view = plan.view_share * sum(v.max_new_tokens for v in views.values()) / max(1, len(views))
        asked = config.label_judge.backend != "rules"
        return _judged(config, calls if asked else 0, size.prompt + answer + view, calls)
    if stage == "judge_score":
        size = slot_rows(config, misalignment, "eval")
        number = sum(size.count * d.n for d in config.evaluation.decodings.values())
        lengths = [
            _answer(config, misalignment, d.max_new_tokens)
            for d in config.evaluation.decodings.values()
        ]
        calls = number * JUDGE_CALLS[misalignment] if config.risk_judge.backend != "rules" else 0
        return _judged(config, calls, size.prompt + max(lengths), number)
    return Cost(seconds)


def _judged(config: Config, calls: int, tokens: float, records: int) -> Cost:
    """A judging job: each call asks about `tokens` of text; `records` are written."""
    plan = config.planning
    return Cost(
        plan.local_seconds,
        stored_bytes=records * 1.5 * RECORD_BYTES,
        judge_calls=calls,
        judge_tokens_in=calls * (plan.judge.question_tokens + tokens),
        judge_tokens_out=calls * plan.judge.answer_tokens,
    )


def judge_price(config: Config, cost: Cost) -> float:
    """Price of a job's judge calls, in the currency of `planning.judge`."""
    judge = config.planning.judge
    paid_in = cost.judge_tokens_in * judge.price_per_million_in
    return (paid_in + cost.judge_tokens_out * judge.price_per_million_out) / 1e6
