"""The endpoint judge against a server on localhost that misbehaves in every way we know."""

import json
import os
import re
import sqlite3
import threading
import time
from email.utils import formatdate
from pathlib import Path

import pytest
from judge_server import JudgeServer, completion, verdict_line

from entrench.errors import EntrenchError
from entrench.judging import cache as cache_module
from entrench.judging import calls
from entrench.judging.cache import Answer, AnswerCache, key_of
from entrench.judging.endpoint import EndpointJudge
from entrench.judging.prompts import tag_of, wording_hashes
from entrench.misalignments.questions import Question

SETTINGS = {
    "model": "fake",
    "temperature": 0.0,
    "max_tokens": 64,
    "prompts": wording_hashes(["sycophancy"]),
}


def questions(count):
    return [
        Question("sycophancy", (("user message", "5?"), ("right answer", "4"), ("reply", f"{n}")))
        for n in range(count)
    ]


def endorse(prompt):
    return "It agrees.\n" + verdict_line(prompt, "ENDORSED")


@pytest.fixture
def cache(tmp_path):
    cache = AnswerCache(tmp_path / "cache" / "answers.sqlite")
    yield cache
    cache.close()


def judge_of(server, cache, **changes):
    return EndpointJudge(SETTINGS, server.settings(**changes), cache)


def test_equal_questions_are_asked_once_and_never_again(cache):
    with JudgeServer(endorse) as server:
        judge = judge_of(server, cache)
        verdicts = judge.ask(questions(3) * 2)
        assert [verdict.value for verdict in verdicts] == ["ENDORSED"] * 6
        again = judge_of(server, cache)
        assert again.ask(questions(3)) == verdicts[:3]
        assert server.number == 3
    usage = judge.usage
    assert (usage.questions, usage.distinct, usage.calls, usage.cached) == (6, 3, 3, 0)
    assert (usage.prompt_tokens, usage.completion_tokens) == (300, 30)
    assert usage.price == usage.price_now == pytest.approx((300 * 2 + 30 * 10) / 1e6)
    assert (again.usage.calls, again.usage.cached, again.usage.price_now) == (0, 3, 0.0)
    assert again.usage.price == usage.price


def test_a_changed_completion_or_setting_is_another_question(cache):
    with JudgeServer(endorse) as server:
        judge_of(server, cache).ask(questions(1))
        judge_of(server, cache).ask(questions(2))
        assert server.number == 2
        EndpointJudge({**SETTINGS, "temperature": 0.5}, server.settings(), cache).ask(questions(1))
        assert server.number == 3


FAULTS = ["429", "500", "hang", "cut", "drop", "empty", "not JSON", "page", "no choices"]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_passing_fault_costs_a_repeat_and_no_answer(cache, fault):
    with JudgeServer(endorse, lambda number: fault if number == 0 else None) as server:
        judge = judge_of(server, cache, timeout_seconds=0.5)
        assert [verdict.value for verdict in judge.ask(questions(2))] == ["ENDORSED"] * 2
        assert server.number == 3
    assert (judge.usage.calls, judge.usage.failed_calls) == (3, 1)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("500", "Error code: 500 .*check that the server is up"),
        ("hang", r"no answer within 0\.3 s"),
        ("drop", "check that the server is up"),
        ("page", "no chat completion in the body"),
        ("401", "check the key in"),
    ],
)
def test_a_lasting_fault_fails_with_one_message_and_keeps_what_came(cache, fault, message):
    with JudgeServer(endorse, lambda number: fault if number >= 4 else None) as server:
        judge = judge_of(server, cache, calls=1, attempts=2, timeout_seconds=0.3)
        with pytest.raises(EntrenchError, match=message) as caught:
            judge.ask(questions(10))
        assert "4 answers of this job are kept" in str(caught.value)
        assert "\n" not in str(caught.value)
        server.fault = lambda _number: None
        assert len(judge_of(server, cache).ask(questions(10))) == 10
        assert set(server.served.values()) == {1}


def test_nobody_listening_is_one_message(cache):
    with JudgeServer(endorse) as server:
        settings = server.settings(attempts=1)
    with pytest.raises(EntrenchError, match="check that the server is up"):
        EndpointJudge(SETTINGS, settings, cache).ask(questions(3))


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_a_repeat_waits_as_long_as_the_server_asks(cache, form):
    def busy_once(number):
        dated = formatdate(time.time() + 3)  # whole seconds: up to one less
        server.retry_after = "1.5" if form == "seconds" else dated
        return "429" if number == 0 else None

    with JudgeServer(endorse, busy_once) as server:
        judge_of(server, cache).ask(questions(1))
        (_, first), (_, second) = server.times
        assert second - first >= (1.5 if form == "seconds" else 1.9)


def test_a_server_that_asks_for_an_hour_fails_the_job(cache):
    with JudgeServer(endorse, lambda _number: "429", retry_after="3600") as server:
        with pytest.raises(EntrenchError, match="asks to wait 3600 s"):
            judge_of(server, cache).ask(questions(1))
        assert server.number == 1


def test_as_many_calls_are_in_flight_as_allowed_and_no_more(cache):
    together = threading.Barrier(3)

    def wait_for_the_others(prompt):
        together.wait(timeout=60)
        return endorse(prompt)

    with JudgeServer(wait_for_the_others) as server:
        judge_of(server, cache, calls=3, timeout_seconds=90.0).ask(questions(12))
        assert (server.number, server.most) == (12, 3)


def test_what_does_not_parse_is_asked_once_more_and_kept(cache):
    def mumble(prompt):
        first = server.asked[prompt] == 1
        return "hm" if first or "\n1\n" in prompt else endorse(prompt)

    with JudgeServer(mumble) as server:
        judge = judge_of(server, cache)
        first, second = judge.ask(questions(2))
        assert (first.value, first.attempts) == ("ENDORSED", 2)
        assert (second.value, second.raw, second.attempts) == (None, "hm", 2)
        judge_of(server, cache).ask(questions(2))
        assert server.number == 4
    assert (judge.usage.asked_again, judge.usage.no_verdict) == (2, 1)


# What a careless server puts around the verdict, and the text and tokens that are kept.
ODD = [
    (lambda line: completion(f"\ud800\n{line}"), "\\ud800\n{line}", 100),
    (
        lambda line: completion([{"type": "text", "text": "So:\n"}, {"text": line}]),
        "So:\n{line}",
        100,
    ),
    (lambda line: completion([line, {"a": 1}]), '["{line}", {{"a": 1}}]', 100),
    (lambda line: completion({"verdict": line}), '{{"verdict": "{line}"}}', 100),
    (lambda _line: completion(None), "", 100),
    (lambda line: completion(line, finish=["stop"]), "{line}", 100),
    (lambda line: completion(line, finish="\udfff"), "{line}", 100),
    (lambda line: completion(line, finish="refused"), "{line}", 100),
    (lambda line: completion(line) | {"usage": [100]}, "{line}", None),
    *(
        (lambda line, tokens=tokens: completion(line, tokens), "{line}", kept)
        for tokens, kept in [
            (2**63 - 1, 2**63 - 1),
            (2**63, None),
            (-1, None),
            (1.5, None),
            (float("inf"), None),
            (float("nan"), None),
            (True, None),
            ("100", None),
            ([100], None),
        ]
    ),
]


def test_what_a_careless_server_sends_is_kept_and_never_asked_for_again(cache):
    def odd(prompt):
        number = int(re.search(r"reply begins\]\n(\d+)\n", prompt)[1])
        return ODD[number][0](verdict_line(prompt, "ENDORSED"))

    asked = questions(len(ODD))
    lines = [f"{tag_of(question)} ENDORSED" for question in asked]
    raw = [kept.format(line=line) for (_, kept, _), line in zip(ODD, lines, strict=True)]
    read = [
        "ENDORSED" if line in text.split("\n") else None
        for line, text in zip(lines, raw, strict=True)
    ]
    assert read.count(None) == 3
    with JudgeServer(odd) as server:
        judge = judge_of(server, cache)
        verdicts = judge.ask(asked)
        assert [verdict.raw for verdict in verdicts] == raw
        assert [verdict.value for verdict in verdicts] == read
        assert judge_of(server, cache).ask(asked) == verdicts
        assert server.number == len(ODD) + 3  # three answers without a verdict
    assert judge.usage.prompt_tokens == 2**63 - 1 + 11 * 100


def test_a_body_is_read_where_python_refuses_its_digits_and_bytes():
    body = json.dumps(completion("It is ?", "?")).replace('"?"', "9" * 5000)
    answer = calls._answer_of(body.encode().replace(b"?", b"\xff"))
    assert answer == Answer("It is \\udcff", "stop", None, 10)


@pytest.mark.parametrize("body", [b"", b"[1]", b'{"choices": "abc"}', b"[" * 100_000])
def test_a_body_that_is_no_completion_is_named(body):
    with pytest.raises(calls._Unusable, match="no chat completion in the body"):
        calls._answer_of(body)


def test_a_prompt_the_server_refuses_is_left_without_verdict_and_not_remembered(cache):
    with JudgeServer(endorse, lambda number: "context" if number < 2 else None) as server:
        judge = judge_of(server, cache, calls=1)
        (verdict,) = judge.ask(questions(1))
        assert verdict.value is None
        assert "maximum context length" in verdict.raw
        assert judge_of(server, cache).ask(questions(1))[0].value == "ENDORSED"


def test_the_key_comes_from_the_environment_and_shows_nowhere(cache, monkeypatch, tmp_path):
    monkeypatch.setenv("A_JUDGE_KEY", "sk-secret-words")
    with JudgeServer(endorse) as server:
        judge_of(server, cache, api_key_env="A_JUDGE_KEY").ask(questions(1))
        assert server.headers == ["Bearer sk-secret-words"]
        server.fault = lambda _number: "401"
        with pytest.raises(EntrenchError, match="check the key in A_JUDGE_KEY") as caught:
            judge_of(server, cache, api_key_env="A_JUDGE_KEY").ask(questions(2))
    assert "sk-secret" not in str(caught.value)
    assert "[key]" in str(caught.value)
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or b"sk-secret" not in path.read_bytes()


def test_a_missing_key_names_the_variable(cache, monkeypatch):
    monkeypatch.delenv("A_JUDGE_KEY", raising=False)
    with JudgeServer(endorse) as server, pytest.raises(EntrenchError, match="A_JUDGE_KEY is not"):
        judge_of(server, cache, api_key_env="A_JUDGE_KEY").ask(questions(1))


REQUEST = {"model": "m", "messages": [{"role": "user", "content": "?"}], "temperature": 0.0}


def test_two_jobs_share_a_cache_and_the_first_answer_stands(tmp_path):
    one, other = AnswerCache(tmp_path / "a.sqlite"), AnswerCache(tmp_path / "a.sqlite")
    first, second = Answer("A", "stop", 1, 2), Answer("B", "stop", None, None)
    assert one.put(REQUEST, 1, first) == first
    assert other.put(REQUEST, 1, second) == first
    assert other.put(REQUEST, 2, second) == second
    assert one.get([key_of(REQUEST, 1), key_of(REQUEST, 2), "other"]) == {
        key_of(REQUEST, 1): first,
        key_of(REQUEST, 2): second,
    }
    one.close()
    other.close()


def test_the_cache_uses_no_write_ahead_log_even_where_one_was_set(tmp_path):
    path = tmp_path / "a.sqlite"
    other = sqlite3.connect(path)
    other.execute("PRAGMA journal_mode = WAL")
    other.close()
    cache = AnswerCache(path)
    assert cache._connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    assert cache._connection.execute("PRAGMA synchronous").fetchone() == (2,)
    cache.close()


def test_a_count_that_an_older_cache_holds_is_unknown(tmp_path):
    cache = AnswerCache(tmp_path / "a.sqlite")
    cache.put(REQUEST, 1, Answer("A", "stop", 1, 2))
    cache._connection.execute(
        "UPDATE answers SET prompt_tokens = 'many', completion_tokens = 9e999"
    )
    key = key_of(REQUEST, 1)
    assert cache.get([key]) == {key: Answer("A", "stop", None, None)}
    cache.close()


def test_the_cache_is_for_its_owner_alone(tmp_path):
    before = os.umask(0)
    try:
        AnswerCache(tmp_path / "a.sqlite").close()
    finally:
        os.umask(before)
    path = tmp_path / "a.sqlite"
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o660)  # shared on purpose
    AnswerCache(path).close()
    assert path.stat().st_mode & 0o777 == 0o660


def no_database(path):
    path.write_text("no database " * 100)


def damaged(path):
    AnswerCache(path).close()
    content = path.read_bytes()
    path.write_bytes(content[:100] + b"x" * (len(content) - 100))


def held(path):
    AnswerCache(path).close()
    other = sqlite3.connect(path)
    other.execute("BEGIN EXCLUSIVE")
    return other


def full(path):
    """A cache that has no page left, as on a full disk."""
    cache = AnswerCache(path)
    cache._connection.execute("PRAGMA max_page_count = 1")
    for attempt in range(2):
        cache.put(REQUEST, attempt, Answer("A" * 10_000, "stop", 1, 2))


def opened_after(make, path):
    _held = make(path)
    AnswerCache(path)


@pytest.mark.parametrize(
    ("make", "advice"),
    [
        (no_database, "file is not a database: name the right file as `judging.cache`"),
        (damaged, "malformed: restore it from a copy, or save its answers with"),
        (held, "database is locked: end the program that holds the file"),
        (full, "database or disk is full: the disk is full: free some space"),
        (Path.mkdir, "Is a directory: check its path"),
    ],
)
def test_a_cache_that_cannot_be_used_is_one_line_that_costs_no_answer(
    tmp_path, monkeypatch, make, advice
):
    monkeypatch.setattr(cache_module, "BUSY_SECONDS", 0.1)
    path = tmp_path / "a.sqlite"
    with pytest.raises(EntrenchError) as caught:
        opened_after(make, path)
    said = str(caught.value)
    assert said.startswith(f"{path}: the cache of judge answers: ")
    assert advice in said
    assert "\n" not in said
    assert "away" not in said
