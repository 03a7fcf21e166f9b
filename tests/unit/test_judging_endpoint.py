"""The endpoint judge against a server on localhost that misbehaves in every way we know."""

import sqlite3
import threading
import time
from email.utils import formatdate

import pytest
from judge_server import JudgeServer, verdict_line

from entrench.errors import EntrenchError
from entrench.judging.cache import Answer, AnswerCache, key_of
from entrench.judging.endpoint import EndpointJudge
from entrench.judging.prompts import wording_hashes
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


def test_a_file_that_is_no_cache_is_named(tmp_path):
    path = tmp_path / "a.sqlite"
    path.write_text("no database " * 100)
    with pytest.raises(
        EntrenchError, match=r"a\.sqlite: the cache of judge answers: .*move the file away"
    ):
        AnswerCache(path)
