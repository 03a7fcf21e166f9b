"""What a job asks of a judge at an endpoint: calls, tokens and their price.

Each misalignment says with which prompts of `resources/judge/` an answer is judged. The manifest of
the released data says how many rows of each kind there are.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

from entrench.data import released
from entrench.judging.prompts import read_wording, render, wording_hashes
from entrench.misalignments import by_name, world_of
from entrench.misalignments.questions import Question
from entrench.planning.constants import constants
from entrench.planning.lengths import answer_tokens, candidates, slot_rows
from entrench.records import Record
from entrench.seeds import derive_seed
from entrench.study.config import Config
from entrench.study.config.judges import Judge

MILLION = 1_000_000


@dataclass(frozen=True)
class JudgeUse:
    """Calls of a job, their tokens, and their price in the currency of the judge's server.

    Each question is counted once: as if the cache were empty and every answer parsed.
    """

    calls: int = 0
    tokens_in: float = 0.0
    tokens_out: float = 0.0
    price: float = 0.0


def verdict_use(
    config: Config, misalignment: str, slot: Literal["consistency", "probe"]
) -> JudgeUse:
    """Use of labels_judge and probe_compare: each view's answer against the greedy answer."""
    size, views = slot_rows(config, misalignment, slot), config.sampling.views
    if not views:
        return JudgeUse()
    greedy = answer_tokens(config, misalignment, config.sampling.greedy.max_new_tokens)
    written = sum(view.max_new_tokens for view in views.values()) / len(views)
    text = size.prompt + greedy + constants(config).view_share * written
    return _use(config, config.label_judge, {"consistency": size.count * len(views)}, text)


def score_use(config: Config, misalignment: str) -> JudgeUse:
    """Use of judge_score: each completion with its judge prompts."""
    size = slot_rows(config, misalignment, "eval")
    per_prompt = judged_rows(config, misalignment)
    uses = []
    for decoding in config.evaluation.of(misalignment).values():
        text = size.prompt + answer_tokens(config, misalignment, decoding.max_new_tokens)
        questions = {name: count * decoding.n for name, count in per_prompt.items()}
        uses.append(_use(config, config.risk_judge, questions, text))
    return _total(uses)


def probe_use(config: Config, misalignment: str) -> JudgeUse:
    """Use of probe_judge: each candidate, views left out, with its judge prompts."""
    size = slot_rows(config, misalignment, "probe")
    per_prompt = judged_rows(config, misalignment)
    uses = []
    for number, answer in judged_candidates(config, misalignment):
        questions = {name: min(count, size.count) * number for name, count in per_prompt.items()}
        uses.append(_use(config, config.risk_judge, questions, size.prompt + answer))
    return _total(uses)


def pairs_use(config: Config, misalignment: str) -> JudgeUse:
    """Use of pairs_judge: an answer to each prompt of a pair, judged as those to a prompt of the
    risk."""
    size = slot_rows(config, misalignment, "pairs_asked")
    text = size.prompt + answer_tokens(config, misalignment, config.sampling.greedy.max_new_tokens)
    asked = dict.fromkeys(judged_rows(config, misalignment), size.count)
    return _use(config, config.risk_judge, asked, text)


def judged_candidates(config: Config, misalignment: str) -> list[tuple[int, float]]:
    """The judged answers to each prompt of a probe: (number of answers, tokens of each)."""
    return [
        (1 if name == "beam" else number, answer)
        for name, number, _, answer in candidates(config, misalignment, "probe")
        if name not in config.sampling.views
    ]


def _total(uses: Sequence[JudgeUse]) -> JudgeUse:
    return JudgeUse(
        sum(use.calls for use in uses),
        sum(use.tokens_in for use in uses),
        sum(use.tokens_out for use in uses),
        sum(use.price for use in uses),
    )


def judged_rows(config: Config, misalignment: str) -> dict[str, int]:
    """Judge prompt -> evaluation rows whose answers it judges."""
    about = by_name()[misalignment]
    if config.data.source == "synthetic":
        rows = _synthetic_rows(misalignment, (config.data.rows or {})["eval"])
        return dict(Counter(name for row in rows for name in about.judged_by(row)))
    entry = released.files_of(misalignment)["eval"]
    share = slot_rows(config, misalignment, "eval").count / entry["rows"]
    found: dict[str, float] = {}
    for kind in entry.get("kinds", [{"rows": entry["rows"]}]):
        for name in about.judged_by({"meta": kind}):
            found[name] = found.get(name, 0.0) + kind["rows"]
    return {name: round(share * count) for name, count in found.items()}


@cache
def _synthetic_rows(misalignment: str, count: int) -> list[Record]:
    from entrench.data.synthetic.slots import eval_rows

    source = world_of(misalignment)
    return eval_rows(misalignment, source, derive_seed("data", misalignment), count)


@cache
def _wording_characters(prompt: str) -> int:
    """Characters of a judge prompt without the judged texts."""
    wording = read_wording(wording_hashes((prompt,)))
    blocks = (("message", ""), ("reply", ""))
    return sum(len(turn["content"]) for turn in render(Question(prompt, blocks), wording))


def _use(config: Config, judge: Judge, questions: Mapping[str, int], text: float) -> JudgeUse:
    """`questions` gives the calls for each judge prompt, `text` the judged tokens of a call."""
    if judge.server is None or judge.max_tokens is None:
        return JudgeUse()
    plan, server = constants(config), judge.server
    calls = sum(questions.values())
    wording = sum(count * _wording_characters(name) for name, count in questions.items())
    asked = calls * text + wording / plan.characters_per_token
    answered = calls * min(judge.max_tokens, plan.judge.answer_tokens)
    price = (asked * server.price_prompt + answered * server.price_completion) / MILLION
    return JudgeUse(calls, asked, answered, price)
