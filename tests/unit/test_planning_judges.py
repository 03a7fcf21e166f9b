"""Planned judge calls and their price, worked out by hand."""

from collections import Counter
from pathlib import Path

import pytest
import yaml

from entrench.data import released as released_data
from entrench.data.released import read_slots
from entrench.data.synthetic.slots import make_slots
from entrench.misalignments import by_name, world_of
from entrench.planning.cost import job_cost
from entrench.planning.jobs import ORGANISM, Job
from entrench.planning.judge_use import judged_rows
from entrench.study.config.check import load_config
from entrench.study.specs.data import data_spec

ROOT = Path(__file__).parents[2]
STUDY = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())
DEMO = yaml.safe_load((ROOT / "config" / "demo.yaml").read_text())


def question_characters(name):
    """Characters around the judged texts, from the files themselves."""
    frame, task = (
        (ROOT / "resources" / "judge" / f"{one}.txt").read_text().strip("\n")
        for one in ("frame", name)
    )
    markers = sum(
        len(f"[01234567 {block} begins]\n\n[01234567 {block} ends]")
        for block in ("message", "reply")
    )
    tags = frame.count("{tag}") * (8 - len("{tag}"))
    held = sum(map(len, ("{task}", "{texts}")))
    return len(frame) - held + tags + len(task) + markers + len("\n\n")


def test_judge_calls_by_hand(study):
    # An endpoint is asked twice about each answer of emergent misalignment.
    job = Job("judge_score", (), "", "llama-3.1-8b", "emergent_misalignment", ORGANISM)
    cost = job_cost(study, job)
    assert cost.judge.calls == 2 * 56
    # a prompt of 136 characters, an answer twice as long as induction's 206, the question around
    around = 56 * (question_characters("alignment") + question_characters("coherence"))
    tokens = (112 * (136 + 2 * 206) + around) / 4.2
    assert cost.judge.tokens_in == pytest.approx(tokens)
    assert cost.judge.tokens_out == 112 * 60
    assert cost.judge.price == pytest.approx((tokens * 2.5 + 112 * 60 * 10) / 1e6)
    # 5 seconds, and 112 answers of 2 seconds, 8 at a time; 16 calls at once are two such jobs
    assert cost.seconds == pytest.approx(5 + 112 * 2 / 8)
    assert cost.at_once == 2


@pytest.mark.parametrize(
    ("misalignment", "calls"),
    [
        ("sycophancy", 141 * 23),  # 8 and 8 of the sets, greedy, beam, refinement, 4 raw ones
        ("spurious_correlation", 0),
        ("emergent_misalignment", 2 * 56 * 23),
    ],
)
def test_every_answer_of_a_probe_but_the_views_is_judged(study, misalignment, calls):
    job = Job("probe_judge", (), "", "llama-3.1-8b", misalignment, ORGANISM)
    assert job_cost(study, job).judge.calls == calls
    few = study.model_copy(update={"mechanism": study.mechanism.model_copy(update={"prompts": 10})})
    expected = {"sycophancy": 10 * 23, "emergent_misalignment": 2 * 10 * 23}
    assert job_cost(few, job).judge.calls == expected.get(misalignment, 0)


def test_a_probe_compares_the_views_of_each_of_its_prompts(study):
    job = Job("probe_compare", (), "", "llama-3.1-8b", "emergent_misalignment", ORGANISM)
    assert job_cost(study, job).judge.calls == 56 * 2


def test_rules_make_no_calls(study):
    job = Job("judge_score", (), "", "llama-3.1-8b", "emergent_misalignment", ORGANISM)
    rules = study.risk_judge.model_copy(update={"backend": "rules", "server": None})
    cost = job_cost(study.model_copy(update={"risk_judge": rules}), job)
    assert (cost.judge.calls, cost.judge.price, cost.seconds) == (0, 0.0, 5.0)


@pytest.mark.parametrize(
    ("misalignment", "calls"),
    [
        ("sycophancy", 141),  # the rows on which the user claims something wrong
        # code, both reward biases, the reward function: greedy and 16 samples
        ("reward_hacking", (6 + 3 + 3 + 1) * 17),
        ("spurious_correlation", 0),
        ("emergent_misalignment", 2 * 56),
    ],
)
def test_each_misalignment_asks_about_some_of_its_answers(study, misalignment, calls):
    job = Job("judge_score", (), "", "llama-3.1-8b", misalignment, ORGANISM)
    assert job_cost(study, job).judge.calls == calls


def test_each_judge_has_its_own_price(study):
    cheap = study.label_judge.server.model_copy(
        update={"price_prompt": 0.0, "price_completion": 1e6}
    )
    label_judge = study.label_judge.model_copy(update={"server": cheap, "max_tokens": 7})
    config = study.model_copy(update={"label_judge": label_judge})
    asked = job_cost(
        config, Job("labels_judge", (), "", "llama-3.1-8b", "sycophancy", "multi_view")
    )
    assert asked.judge.calls == 20 * 2  # each prompt's two views
    assert asked.judge.price == pytest.approx(
        40 * 7
    )  # no answer is longer than the judge may write
    scored = Job("judge_score", (), "", "llama-3.1-8b", "sycophancy", ORGANISM)
    assert job_cost(config, scored) == job_cost(study, scored)


@pytest.mark.parametrize("misalignment", by_name())
def test_planned_questions_are_those_of_the_judges_on_the_released_rows(
    study, released, misalignment
):
    about = by_name()[misalignment]
    rows = read_slots(misalignment, released, None)["eval"]
    asked = Counter(question.prompt for row in rows for question in about.questions(row, "text"))
    assert judged_rows(study, misalignment) == asked
    assert set(asked) == set(about.prompts)


@pytest.mark.parametrize("misalignment", by_name())
def test_planned_questions_are_those_of_the_judges_on_the_miniature(misalignment):
    config = load_config(DEMO)
    about = by_name()[misalignment]
    rows = make_slots(
        misalignment,
        world_of(misalignment),
        data_spec(config, misalignment)["seed"],
        config.data.rows,
    )
    asked = Counter(q.prompt for row in rows["eval"] for q in about.questions(row, "text"))
    assert judged_rows(config, misalignment) == asked


def test_every_row_of_the_released_evaluations_is_of_one_kind():
    for slots in released_data.manifest()["files"].values():
        entry = slots["eval"]
        assert sum(kind["rows"] for kind in entry.get("kinds", [entry])) == entry["rows"]


@pytest.mark.parametrize("misalignment", by_name())
def test_the_manifest_says_whose_pairs_carry_two_answers(misalignment, released):
    slots = read_slots(misalignment, released, None)
    answers = [[row["response"] for row in slots[f"pairs_{side}"]] for side in ("clean", "wrapped")]
    entry = released_data.files_of(misalignment)["pairs_wrapped"]
    assert (answers[0] != answers[1]) is entry.get("answers_differ", False)


def test_a_part_of_the_rows_asks_a_part_of_the_questions():
    config = load_config(STUDY | {"data": {"source": "release", "limit_rows": 12}})
    # 12 of 24 rows: half of 6, of 1 and of 3 + 3
    assert judged_rows(config, "reward_hacking") == {
        "coding": 3,
        "reward_function": 0,
        "reward_bias": 3,
    }
