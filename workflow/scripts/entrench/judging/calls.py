"""Calls to an OpenAI-compatible server: concurrent, repeated after faults, all answers kept."""

import asyncio
import email.utils
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from entrench.errors import EntrenchError
from entrench.judging.cache import Answer, AnswerCache

LONGEST_BACKOFF = 60.0  # seconds between two tries of a call, unless the server asks for more
LONGEST_WAIT = 900.0  # seconds; the job fails where the server asks for a longer wait
# Refusals that concern one prompt alone: its row is unscored, and the job goes on.
ABOUT_THE_PROMPT = (
    "content_filter",
    "content_policy",
    "content management policy",
    "context_length",
    "context length",
)
NO_MORE_MONEY = "insufficient_quota"


@dataclass(frozen=True)
class Server:
    """Where and how to ask a judge. These facts decide no verdict.

    timeout_seconds: the time limit of one call.
    attempts: tries of one call at most.
    calls: calls in flight at once at most.
    price_prompt, price_completion: prices of a million tokens.
    api_key_env: the environment variable with the key; None: the server wants no key.
    """

    base_url: str
    timeout_seconds: float
    attempts: int
    calls: int
    price_prompt: float
    price_completion: float
    api_key_env: str | None = None


class _Unusable(Exception):
    """The server answered, but not with a chat completion."""


class _Refusal(Answer):
    """What a server says in place of an answer. It is not kept: it costs nothing and may pass."""


class Calls:
    """One batch of calls, which are given up together. `sent` and `failed` count calls."""

    def __init__(self, server: Server, cache: AnswerCache) -> None:
        """Raises `EntrenchError` where the server wants a key and the environment has none."""
        self._server, self._cache = server, cache
        self._key = _api_key(server)
        self.sent = self.failed = self._received = 0
        self._fault: Exception | None = None
        self._said = time.monotonic()

    async def run(self, requests: Sequence[dict[str, Any]], attempt: int) -> list[Answer]:
        """The answers, in the order of `requests`. Raises `EntrenchError` where one is missing.

        `attempt` says for the cache how often these questions have been asked, from 1.
        """
        from openai import AsyncOpenAI

        self._slots = asyncio.Semaphore(self._server.calls)
        self._given_up = asyncio.Event()
        async with AsyncOpenAI(
            base_url=self._server.base_url,
            api_key=self._key or "none",
            timeout=self._server.timeout_seconds,
            max_retries=0,  # this class repeats calls itself: it counts them and ends all together
        ) as client:
            tasks = [self._one(client, request, attempt, len(requests)) for request in requests]
            answers = await asyncio.gather(*tasks)
        if self._fault is not None:
            raise EntrenchError(self._message(self._fault)) from None
        return [answer for answer in answers if answer is not None]

    async def _one(
        self, client: Any, request: dict[str, Any], attempt: int, total: int
    ) -> Answer | None:
        """One answer, committed to the cache; None where this or another call gave up."""
        async with self._slots:
            if self._fault is not None:
                return None
            try:
                answer = await self._repeated(client, request)
                if not isinstance(answer, _Refusal):
                    answer = self._cache.put(request, attempt, answer)
            except Exception as fault:
                # The first fault ends the batch. Calls in flight still finish, and are kept.
                self._fault = self._fault or fault
                self._given_up.set()
                return None
            self._received += 1
            if time.monotonic() - self._said > 30:
                self._said = time.monotonic()
                print(f"  {self._received} of {total} answers", file=sys.stderr, flush=True)
            return answer

    async def _repeated(self, client: Any, request: dict[str, Any]) -> Answer:
        from tenacity import (
            AsyncRetrying,
            RetryCallState,
            retry_if_exception,
            stop_after_attempt,
            wait_random_exponential,
        )

        backoff = wait_random_exponential(multiplier=1, max=LONGEST_BACKOFF)
        enough = stop_after_attempt(self._server.attempts)

        def wait(state: RetryCallState) -> float:
            fault = state.outcome.exception() if state.outcome else None
            return max(backoff(state), _asked_wait(fault))

        async for attempt in AsyncRetrying(
            retry=retry_if_exception(_passes),
            stop=lambda state: enough(state) or self._given_up.is_set(),
            wait=wait,
            sleep=self._sleep,
            reraise=True,
        ):
            with attempt:
                return await self._call(client, request)
        raise AssertionError("tenacity re-raises the last fault")

    async def _call(self, client: Any, request: dict[str, Any]) -> Answer:
        from openai import BadRequestError

        self.sent += 1
        answer = None
        try:
            # The client's timeout runs between bytes. This one also ends a call to a server that
            # sends its bytes slowly.
            response = await asyncio.wait_for(
                client.chat.completions.with_raw_response.create(**request),
                self._server.timeout_seconds,
            )
            answer = _answer_of(response.content)
        except BadRequestError as error:
            text = str(error).lower()
            if any(mark in text for mark in ABOUT_THE_PROMPT):
                return _Refusal(self._clean(str(error)), "refused", 0, 0)
            raise
        finally:
            self.failed += answer is None
        return answer

    async def _sleep(self, seconds: float) -> None:
        """Wait, but end as soon as another call gives up."""
        try:
            await asyncio.wait_for(self._given_up.wait(), seconds)
        except TimeoutError:
            return

    def _message(self, fault: Exception) -> str:
        if isinstance(fault, EntrenchError):
            return str(fault)
        status = getattr(fault, "status_code", None)
        if isinstance(fault, TimeoutError) or type(fault).__name__ == "APITimeoutError":
            what = f"no answer within {self._server.timeout_seconds:g} s"
            advice = "check that the server is up, or raise server.timeout_seconds"
        elif status in (401, 403):
            name = self._server.api_key_env or "server.api_key_env"
            what, advice = self._clean(str(fault)), f"check the key in {name}"
        elif status is not None and _asked_wait(fault) > LONGEST_WAIT:
            what = f"it asks to wait {_asked_wait(fault):.0f} s"
            advice = "wait that long"
        elif NO_MORE_MONEY in str(fault):
            what, advice = self._clean(str(fault)), "top up the account"
        elif status is not None and not _passes(fault):
            what = self._clean(str(fault))
            advice = "check model, base_url and settings of this judge in the config"
        else:
            what = self._clean(str(fault) or type(fault).__name__)
            advice = "check that the server is up"
        return (
            f"judge at {self._server.base_url}: {what} (after {self.failed} failed of {self.sent} "
            f"calls): {advice}; {self._received} answers of this job are kept in "
            f"{self._cache.path}: run the same command again for the rest"
        )

    def _clean(self, text: str) -> str:
        """The text in one line of at most 400 characters. A key that a server repeats is hidden."""
        line = " ".join(text.split())
        line = line.replace(self._key, "[key]") if self._key else line
        return line if len(line) <= 400 else line[:397] + "..."


def _answer_of(body: bytes) -> Answer:
    """The answer in a chat completion. Raises `_Unusable` where the body is none.

    The client's own parser is left out: it refuses or changes what a careless server sends, and
    the answer has been paid for.
    """
    # A byte that is not UTF-8 stays in sight.
    text = body.decode("utf-8-sig", errors="surrogateescape")
    try:
        found = json.loads(text, parse_int=_number)
        choice = found["choices"][0]
        message = choice["message"]
        usage = found.get("usage")
        counts = usage if isinstance(usage, dict) else {}
        if message is None:
            raise ValueError("no message")
        return Answer.of(
            message.get("content") if isinstance(message, dict) else message,
            choice.get("finish_reason"),
            counts.get("prompt_tokens"),
            counts.get("completion_tokens"),
        )
    except (ValueError, RecursionError, TypeError, LookupError):
        raise _Unusable(f"no chat completion in the body ({text[:80]!r})") from None


def _number(digits: str) -> float:
    """An integer of JSON; infinite where Python refuses to read so many digits."""
    try:
        return int(digits)
    except ValueError:
        return float(digits)


def _passes(fault: BaseException) -> bool:
    """Whether the same call may succeed later."""
    from openai import APIConnectionError, APIStatusError

    if isinstance(fault, (_Unusable, TimeoutError, APIConnectionError)):
        return True
    if not isinstance(fault, APIStatusError) or NO_MORE_MONEY in str(fault):
        return False
    passing = fault.status_code in (408, 409, 425, 429) or fault.status_code >= 500
    return passing and _asked_wait(fault) <= LONGEST_WAIT


def _asked_wait(fault: BaseException | None) -> float:
    """The seconds that the server asks to wait (Retry-After, in seconds or as a date), else 0."""
    response = getattr(fault, "response", None)
    text = response.headers.get("retry-after", "") if response is not None else ""
    try:
        return max(0.0, float(text))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    except ValueError:
        return 0.0


def _api_key(server: Server) -> str | None:
    if server.api_key_env is None:
        return None
    key = os.environ.get(server.api_key_env, "").strip()
    if not key:
        raise EntrenchError(
            f"the environment variable {server.api_key_env} is not set: export the judge's API key "
            "there (the config names the variable in server.api_key_env)"
        )
    return key
