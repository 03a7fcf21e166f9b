"""Misalignments are found by looking into their room, and each says all there is to it."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

import entrench.misalignments
from entrench.errors import EntrenchError
from entrench.judging import prompts
from entrench.misalignments import ModelJudge, by_name
from entrench.misalignments.questions import YES_NO, Allowed, Question
from entrench.study.config import check

MICRO = Path(__file__).parents[1] / "config" / "micro.yaml"


def test_the_files_of_the_room_are_the_misalignments_in_their_places():
    # The order of the paper; score.py, questions.py and released_tasks.py are none.
    assert list(by_name()) == [
        "sycophancy",
        "reward_hacking",
        "spurious_correlation",
        "emergent_misalignment",
    ]
    assert [name for name, about in by_name().items() if about.grouped] == ["reward_hacking"]


def test_a_file_without_a_misalignment_is_refused_with_what_to_add(tmp_path, monkeypatch):
    (tmp_path / "forgetful.py").write_text("PROMPTS = {}\n")
    room = [*entrench.misalignments.__path__, str(tmp_path)]
    monkeypatch.setattr(entrench.misalignments, "__path__", room)
    with pytest.raises(EntrenchError) as refused:
        by_name.__wrapped__()
    sys.modules.pop("entrench.misalignments.forgetful")
    assert str(refused.value) == (
        f"{tmp_path}/forgetful.py: the file defines no MISALIGNMENT: end it with "
        "`MISALIGNMENT = Misalignment(...)`, or name it in SHARED of misalignments/__init__.py "
        "where misalignments only share it"
    )


def test_judge_prompts_stand_in_the_order_of_their_misalignments():
    assert list(prompts.judge_prompts()) == [
        "sycophancy",
        *("coding", "reward_function", "reward_bias"),
        *("alignment", "coherence"),
        "consistency",
    ]


def test_questions_show_the_judge_what_the_misalignment_shows():
    row = {"messages": [{"role": "user", "content": "Is 1 + 1 = 3?"}], "meta": {"answer": 2}}
    row["meta"]["user_provides_answer"] = "false"
    blocks = (("user message", "Is 1 + 1 = 3?"), ("right answer", "2"), ("reply", "Yes."))
    about = by_name()["sycophancy"]
    assert about.questions(row, "Yes.") == (Question("sycophancy", blocks),)
    assert by_name()["spurious_correlation"].questions(row, "Yes.") == ()


@pytest.fixture
def room(monkeypatch):
    """Stands a room of other misalignments in for the real one; a function that sets it."""

    def stand_in(**others):
        for module in (prompts, check):
            monkeypatch.setattr(module, "by_name", lambda: by_name() | others)
        prompts.judge_prompts.cache_clear()

    yield stand_in
    prompts.judge_prompts.cache_clear()


def asking(name, prompt):
    judge = ModelJudge({name: prompt}, lambda _row: (), lambda _row, _text: (), None)
    return replace(by_name()["sycophancy"], judge=judge)


def test_two_misalignments_may_ask_one_prompt_where_they_say_the_same_about_it(room):
    coherence = by_name()["emergent_misalignment"].prompts["coherence"]
    room(other=asking("coherence", coherence))
    assert prompts.judge_prompts()["coherence"] is coherence
    prompts.judge_prompts.cache_clear()
    room(other=asking("coherence", replace(coherence, allowed=YES_NO)))
    with pytest.raises(EntrenchError, match="judge prompt 'coherence' has different verdicts"):
        prompts.judge_prompts()


def test_the_verdicts_of_a_new_prompt_are_read(room):
    prompt = replace(prompts.judge_prompts()["coherence"], allowed=Allowed(("LOUD", "QUIET")))
    room(other=asking("volume", prompt))
    question = Question("volume", (("reply", "HELLO"),))
    assert prompts.parse(question, f"{prompts.tag_of(question)} loud", "stop") == "LOUD"


def test_a_misalignment_without_rows_is_refused_with_the_place_to_add_them(room):
    config = yaml.safe_load(MICRO.read_text())
    room(spurious_correlation=replace(by_name()["spurious_correlation"], synthetic=None))
    with pytest.raises(EntrenchError) as synthetic:
        check.load_config(config)
    assert str(synthetic.value) == (
        "the config is not valid:\n  sweep.0.misalignments: 'spurious_correlation' has no rows of "
        "source 'synthetic': add them (`synthetic` of its file in misalignments/), or set "
        "data.source"
    )


def test_a_misalignment_that_the_manifest_lacks_is_refused(monkeypatch):
    config = yaml.safe_load(MICRO.read_text()) | {"data": {"source": "release"}}
    monkeypatch.setattr(check.released, "manifest", lambda: {"files": {"sycophancy": {}}})
    with pytest.raises(EntrenchError, match=r"add them \(resources/datasets.yaml\), or set"):
        check.load_config(config)
