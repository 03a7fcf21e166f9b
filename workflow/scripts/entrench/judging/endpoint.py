"""A judge behind any OpenAI-compatible server: an API provider or a local model server.

Every answer is kept, so a job asks only the questions that are still open. A call that fails after
all its tries fails the job, but no answer is lost.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from entrench.judging.cache import Answer, AnswerCache, key_of
from entrench.judging.calls import Calls, Server
from entrench.judging.prompts import Verdict, parse, read_wording, render
from entrench.misalignments.questions import Question

ATTEMPTS = 2  # a question is asked once more where its first answer holds no verdict
TOKENS_PER_PRICE = 1_000_000


@dataclass
class Usage:
    """The account of one job's questions to a judge.

    questions: the questions of all rows.
    distinct: the distinct questions among these.
    asked_again: distinct questions asked twice, because the first answer held no verdict.
    no_verdict: distinct questions without a verdict after both answers.
    prompt_tokens, completion_tokens, price: of all answers that the result rests on, whichever job
        asked for them.
    calls, failed_calls: calls that this job sent, and failed calls among these.
    cached: answers that the cache already held.
    price_now: the price of the answers that this job itself received.
    """

    questions: int = 0
    distinct: int = 0
    asked_again: int = 0
    no_verdict: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    price: float = 0.0
    calls: int = 0
    failed_calls: int = 0
    cached: int = 0
    price_now: float = 0.0


class EndpointJudge:
    """A judge that asks questions, keeps the answers, and keeps the account in `usage`."""

    def __init__(self, settings: Mapping[str, Any], server: Server, cache: AnswerCache) -> None:
        """`settings` has model, temperature, max_tokens and prompts (name -> hash of its text)."""
        self._decoding = {key: settings[key] for key in ("model", "temperature", "max_tokens")}
        self._wording = read_wording(settings["prompts"])
        self._server, self._cache = server, cache
        self.usage = Usage()

    def ask(self, questions: Sequence[Question]) -> list[Verdict]:
        """A verdict for each question. Equal questions are asked once.

        Raises:
            EntrenchError: the server cannot be reached, or refuses to answer at all.
        """
        distinct = list(dict.fromkeys(questions))
        verdicts: dict[Question, Verdict] = {}
        open_questions = distinct
        for attempt in range(1, ATTEMPTS + 1):
            answers = self._answers(open_questions, attempt)
            for question, answer in zip(open_questions, answers, strict=True):
                value = parse(question, answer.text, answer.finish)
                verdicts[question] = Verdict(value, answer.text, attempt)
            if attempt > 1:
                self.usage.asked_again += len(open_questions)
            open_questions = [q for q in open_questions if verdicts[q].value is None]
        self.usage.questions += len(questions)
        self.usage.distinct += len(distinct)
        self.usage.no_verdict += len(open_questions)
        return [verdicts[question] for question in questions]

    def _answers(self, questions: Sequence[Question], attempt: int) -> list[Answer]:
        requests = [
            {**self._decoding, "messages": render(question, self._wording)}
            for question in questions
        ]
        keys = [key_of(request, attempt) for request in requests]
        answers = self._cache.get(keys)
        missing = [
            request for key, request in zip(keys, requests, strict=True) if key not in answers
        ]
        self.usage.cached += len(answers)
        if missing:
            calls = Calls(self._server, self._cache)
            try:
                received = asyncio.run(calls.run(missing, attempt))
            finally:
                self.usage.calls += calls.sent
                self.usage.failed_calls += calls.failed
            for request, answer in zip(missing, received, strict=True):
                answers[key_of(request, attempt)] = answer
            self.usage.price_now += sum(map(self._price, received))
        for answer in answers.values():
            self.usage.prompt_tokens += answer.prompt_tokens or 0
            self.usage.completion_tokens += answer.completion_tokens or 0
            self.usage.price += self._price(answer)
        return [answers[key] for key in keys]

    def _price(self, answer: Answer) -> float:
        return (
            self._server.price_prompt * (answer.prompt_tokens or 0)
            + self._server.price_completion * (answer.completion_tokens or 0)
        ) / TOKENS_PER_PRICE


def usage_record(usage: Usage, judge: Mapping[str, Any]) -> dict[str, Any]:
    """The contents of judge_usage.json: the judge's part of the spec, and its account.

    Prices are rounded to a millionth.
    """
    account = {
        name: round(value, 6) if isinstance(value, float) else value
        for name, value in asdict(usage).items()
    }
    return {"judge": dict(judge)} | account
