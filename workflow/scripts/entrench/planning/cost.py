"""What one job costs: seconds, GPUs, bytes on disk, and calls of a judge."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

from entrench.generation.parts import BEAM, REFINEMENT, RESPONSES, self_scores
from entrench.methods.shared.catalogue import METHODS
from entrench.methods.shared.on_policy import OnPolicyLoss
from entrench.planning.constants import constants, synthetic_constants
from entrench.planning.jobs import Job
from entrench.planning.judge_use import (
    JudgeUse,
    judged_candidates,
    pairs_use,
    probe_use,
    score_use,
    verdict_use,
)
from entrench.planning.lengths import (
    answer_tokens,
    candidates,
    on_policy_settings,
    phase_steps,
    rating_tokens,
    slot_rows,
)
from entrench.planning.machine import FORWARD, TRAINING, Machine
from entrench.study.config import Config, resolved_phase
from entrench.study.config.judges import Judge
from entrench.study.config.training import PhaseName
from entrench.study.draws import pool_parts
from entrench.study.stages import STAGES

ADAPTER_BYTES = 4  # LoRA weights are kept in float32
RECORD_BYTES = 150  # a JSONL record without its text
TOKEN_BYTES = 28  # of a token in rollouts.jsonl, without text: its id and log probability
RAW = "raw"  # the set that a probe has besides those of a pool
NO_JUDGE = JudgeUse()


@dataclass(frozen=True)
class Cost:
    """One job: seconds it runs, GPUs it holds, bytes it leaves, and its calls of a judge."""

    seconds: float
    gpus: int = 0
    stored_bytes: float = 0.0
    judge: JudgeUse = NO_JUDGE
    at_once: int | None = None  # such jobs at a time, where something other than devices limits it


def job_cost(config: Config, job: Job) -> Cost:
    """What a job costs, estimated with the constants of the config."""
    stage = STAGES[job.stage]
    if stage.cost == "local":
        return _local_cost(config, job.stage, job.misalignment)
    if stage.cost == "judging":
        return JUDGINGS[job.stage](config, job.misalignment)
    machine = _machine(config, job)
    gpus = machine.size_class.gpus
    if stage.cost == "making":
        seconds = synthetic_constants(config).make_seconds
        return Cost(machine.start() + seconds, gpus, machine.weight_bytes)
    if stage.cost == "training":
        seconds = _training(config, machine, job)
        stored = _adapter_bytes(config, job.model) + _drawn_bytes(config, job)
        return Cost(machine.start() + seconds, gpus, stored)
    parts = frozenset(job.parts or pool_parts(config))
    seconds, stored = INFERENCES[job.stage](config, machine, job.misalignment, parts)
    return Cost(machine.start() + seconds, gpus, stored)


def _machine(config: Config, job: Job) -> Machine:
    plan = constants(config)
    if STAGES[job.stage].loads == "reward model":
        reward = config.reward
        return Machine(config, plan.reward, reward.dtype, reward.size_class)
    model = config.models[job.model]
    return Machine(config, plan.models[job.model], model.dtype, model.size_class)


def size_class_of(config: Config, job: Job) -> str:
    """The size class whose devices a job uses; empty for a job about no model."""
    if STAGES[job.stage].loads == "reward model":
        return config.reward.size_class
    return config.models[job.model].size_class if job.model else ""


def _train(
    config: Config,
    machine: Machine,
    misalignment: str,
    phase: PhaseName,
    slots: Sequence[tuple[str, int]],
    method: str | None = None,
) -> float:
    settings = resolved_phase(config, misalignment, phase, method)
    rows, steps = phase_steps(config, misalignment, phase, method)
    seen = rows * settings.epochs if settings.epochs else steps * settings.batch_size
    held = machine.size_class.per_device_batch * machine.count
    seconds = seen / held * constants(config).step_seconds.training
    for slot, flops in slots:
        size = slot_rows(config, misalignment, slot)
        answer = answer_tokens(config, misalignment, settings.max_length)
        length = size.prompt + (size.answer if phase == "induction" else answer)
        seconds += machine.training(seen * min(length, settings.max_length), flops)
    return seconds


def _adapter_bytes(config: Config, model: str) -> float:
    adapter = config.training.sets[config.training.use].adapter
    sizes = constants(config).models[model]
    width = sizes.lora_width
    if adapter.target_modules != "all-linear":  # the experts too
        width += sizes.expert_lora_width or 0
    return adapter.rank * width * ADAPTER_BYTES


def _training(config: Config, machine: Machine, job: Job) -> float:
    if job.stage == "adapter_induce":
        return _train(config, machine, job.misalignment, "induction", [("induction", TRAINING)])
    method = METHODS[config.methods[job.method].operator]
    slots = [(slot, _FLOPS[done]) for slot, done in method.passes.items()]
    if drawn := on_policy_settings(config, job.method):
        return _on_policy(config, machine, job.misalignment, job.method, drawn, slots)
    return _train(config, machine, job.misalignment, method.phase, slots, job.method)


def _on_policy(
    config: Config,
    machine: Machine,
    misalignment: str,
    method: str,
    drawn: OnPolicyLoss,
    slots: Sequence[tuple[str, int]],
) -> float:
    """Each step reads its wrapped prompts, writes answers to them, and trains on these."""
    prompts = _prompts_drawn(config, misalignment, method, drawn)
    answers = prompts * drawn.rollouts
    length = answer_tokens(config, misalignment, drawn.max_new_tokens)
    held = machine.size_class.per_device_batch * machine.count
    seconds = answers / held * constants(config).step_seconds.training
    wrapped = slot_rows(config, misalignment, "pairs_wrapped").prompt
    at_once = drawn.prompts_per_step * drawn.rollouts * (drawn.sampler_lag + 1)
    drawing = machine.reading(prompts * wrapped) + machine.writing(answers * length, at_once)
    for slot, flops in slots:
        size = slot_rows(config, misalignment, slot)
        spent = machine.training(answers * (size.prompt + length), flops)
        if flops == FORWARD:  # the teacher reads where answers are drawn
            drawing += spent
        else:
            seconds += spent
    # Every device draws all answers.
    return seconds + drawing * machine.count


def _prompts_drawn(config: Config, misalignment: str, method: str, drawn: OnPolicyLoss) -> float:
    """Prompts that are answered in an on-policy training, each as often as it is taken."""
    settings = resolved_phase(config, misalignment, "pairs", method)
    if settings.epochs:
        return slot_rows(config, misalignment, "pairs_clean").count * settings.epochs
    return (settings.max_steps or 0) * drawn.prompts_per_step


def rollouts_bytes(answers: float, tokens: float, characters_per_token: float) -> float:
    """Bytes of a rollouts.jsonl with so many answers of so many tokens each."""
    return answers * (RECORD_BYTES + tokens * (TOKEN_BYTES + characters_per_token))


def _drawn_bytes(config: Config, job: Job) -> float:
    """Bytes of the answers that the training keeps; 0 where it draws none."""
    drawn = on_policy_settings(config, job.method) if job.stage == "adapter_on_policy" else None
    if drawn is None:
        return 0.0
    answers = _prompts_drawn(config, job.misalignment, job.method, drawn) * drawn.rollouts
    length = answer_tokens(config, job.misalignment, drawn.max_new_tokens)
    return rollouts_bytes(answers, length, constants(config).characters_per_token)


def _candidates(
    config: Config,
    machine: Machine,
    misalignment: str,
    parts: Collection[str],
    slot: Literal["consistency", "probe"],
) -> tuple[float, float]:
    plan, rating = constants(config), config.sampling.self_score
    prompts = slot_rows(config, misalignment, slot).count
    seconds = stored = 0.0
    for name, number, prompt, answer in candidates(config, misalignment, slot):
        if name in {*parts, RAW}:
            # The samples of a prompt share its prefill.
            seconds += machine.reading(prompts * prompt)
            seconds += machine.writing(prompts * number * answer)
            kept = 1 if name == BEAM else number
            stored += prompts * kept * (RECORD_BYTES + answer * plan.characters_per_token)
        if rating and self_scores(name) in parts:
            asked = prompts * number * (prompt + answer + rating_tokens(config, misalignment))
            rated = prompts * number * plan.view_share * rating.max_new_tokens
            seconds += machine.reading(asked) + machine.writing(rated)
            stored += rated * plan.characters_per_token
    return seconds, stored


def _pool(
    config: Config, machine: Machine, misalignment: str, parts: Collection[str]
) -> tuple[float, float]:
    plan = constants(config)
    seconds, stored = _candidates(config, machine, misalignment, parts, "consistency")
    if RESPONSES not in parts:
        return seconds, stored
    pairs = slot_rows(config, misalignment, "pairs_clean")
    own = pairs.count * answer_tokens(config, misalignment, config.sampling.greedy.max_new_tokens)
    seconds += machine.reading(pairs.count * pairs.prompt) + machine.writing(own)
    stored += pairs.count * RECORD_BYTES + own * plan.characters_per_token
    return seconds, stored


def _probe(
    config: Config, machine: Machine, misalignment: str, parts: Collection[str]
) -> tuple[float, float]:
    seconds, stored = _candidates(config, machine, misalignment, parts, "probe")
    size = slot_rows(config, misalignment, "probe")
    if not config.sampling.refinement or REFINEMENT not in parts:
        return seconds, stored
    # Each refined answer is a label: it is read once more, after its prompt.
    refined = answer_tokens(config, misalignment, config.sampling.refinement.max_new_tokens)
    seconds += machine.reading(size.count * (size.prompt + refined))
    return seconds, stored + size.count * RECORD_BYTES


def _rewards(
    config: Config,
    machine: Machine,
    misalignment: str,
    parts: Collection[str],
    slot: Literal["consistency", "probe"],
) -> tuple[float, float]:
    prompts = slot_rows(config, misalignment, slot).count
    views = config.sampling.views
    scored = [
        (1 if name == BEAM else number, prompt + answer)
        for name, number, prompt, answer in candidates(config, misalignment, slot)
        if name not in views and name in {*parts, RAW}
    ]
    tokens = prompts * sum(number * length for number, length in scored)
    return machine.reading(tokens), prompts * sum(number for number, _ in scored) * 80.0


def _completions(
    config: Config, machine: Machine, misalignment: str, parts: Collection[str]
) -> tuple[float, float]:
    del parts
    size = slot_rows(config, misalignment, "eval")
    seconds = stored = 0.0
    for decoding in config.evaluation.of(misalignment).values():
        answer = answer_tokens(config, misalignment, decoding.max_new_tokens)
        number = size.count * decoding.n
        seconds += machine.reading(size.count * size.prompt) + machine.writing(number * answer)
        stored += number * (RECORD_BYTES + answer * constants(config).characters_per_token)
    return seconds, stored


def _pair_answers(
    config: Config, machine: Machine, misalignment: str, parts: Collection[str]
) -> tuple[float, float]:
    del parts
    size = slot_rows(config, misalignment, "pairs_asked")
    answer = answer_tokens(config, misalignment, config.sampling.greedy.max_new_tokens)
    seconds = machine.reading(size.count * size.prompt) + machine.writing(size.count * answer)
    text = answer * constants(config).characters_per_token
    return seconds, size.count * (RECORD_BYTES + text)


def _divergence(
    config: Config, machine: Machine, misalignment: str, parts: Collection[str]
) -> tuple[float, float]:
    del parts
    size, n = slot_rows(config, misalignment, "probe"), config.mechanism.raw_samples
    answer = answer_tokens(config, misalignment, config.sampling.greedy.max_new_tokens)
    answers = size.count * n
    # Each of the two models answers, and each reads the answers of both.
    sampling = machine.reading(size.count * size.prompt) + machine.writing(answers * answer)
    seconds = 2 * sampling + 4 * machine.reading(answers * (size.prompt + answer))
    return seconds, 2 * answers * RECORD_BYTES


_FLOPS = {"forward": FORWARD, "training": TRAINING}


def _local_cost(config: Config, stage: str, misalignment: str) -> Cost:
    plan = constants(config)
    if stage != "labels_select":
        return Cost(plan.local_seconds)
    size = slot_rows(config, misalignment, "consistency")
    answer = answer_tokens(config, misalignment, config.sampling.greedy.max_new_tokens)
    text = (size.prompt + answer) * plan.characters_per_token
    return Cost(plan.local_seconds, stored_bytes=size.count * (RECORD_BYTES + text))


def _verdicts(config: Config, misalignment: str, slot: Literal["consistency", "probe"]) -> Cost:
    records = slot_rows(config, misalignment, slot).count * len(config.sampling.views)
    return _judged(config, config.label_judge, verdict_use(config, misalignment, slot), records)


def _probe_scores(config: Config, misalignment: str) -> Cost:
    each = sum(number for number, _ in judged_candidates(config, misalignment))
    records = slot_rows(config, misalignment, "probe").count * each
    return _judged(config, config.risk_judge, probe_use(config, misalignment), records)


def _scores(config: Config, misalignment: str) -> Cost:
    samples = sum(decoding.n for decoding in config.evaluation.of(misalignment).values())
    records = slot_rows(config, misalignment, "eval").count * samples
    return _judged(config, config.risk_judge, score_use(config, misalignment), records)


def _pair_scores(config: Config, misalignment: str) -> Cost:
    records = slot_rows(config, misalignment, "pairs_asked").count
    return _judged(config, config.risk_judge, pairs_use(config, misalignment), records)


def _judged(config: Config, judge: Judge, use: JudgeUse, records: int) -> Cost:
    """A judging job that writes so many `records`; its server answers several calls at a time."""
    seconds, at_once = constants(config).local_seconds, None
    if judge.server is not None:
        seconds += use.calls * constants(config).judge.answer_seconds / judge.server.concurrency
        at_once = max(1, config.judging.calls // judge.server.concurrency)
    stored = records * 1.5 * RECORD_BYTES
    return Cost(seconds, stored_bytes=stored, judge=use, at_once=at_once)


INFERENCES: Mapping[str, Callable[[Config, Machine, str, Collection[str]], tuple[float, float]]] = {
    "pool_sample": _pool,
    "pool_extend": _pool,
    "reward_score": partial(_rewards, slot="consistency"),
    "reward_extend": partial(_rewards, slot="consistency"),
    "completions_sample": _completions,
    "probe_sample": _probe,
    "probe_reward": partial(_rewards, slot="probe"),
    "pairs_sample": _pair_answers,
    "divergence_measure": _divergence,
}
JUDGINGS: Mapping[str, Callable[[Config, str], Cost]] = {
    "labels_judge": partial(_verdicts, slot="consistency"),
    "judge_score": _scores,
    "probe_judge": _probe_scores,
    "pairs_judge": _pair_scores,
    "probe_compare": partial(_verdicts, slot="probe"),
}
