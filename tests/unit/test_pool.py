"""The candidate pool, on an engine that answers with what it was asked."""

import hashlib

import pytest

from entrench.errors import EntrenchError
from entrench.generation.engine import Completion, Decoding
from entrench.generation.evaluation import sample_completions
from entrench.generation.parts import merged
from entrench.generation.pool import sample_pool, sample_responses
from entrench.generation.sampling import PoolSettings, fill
from entrench.records import FIELDS

IDENTITY = ["tiny", "sycophancy", 40]
PROMPTS = {
    "chain_of_thought": "{question} think {step by step}",
    "json": '{question} as {"answer": ...}',
    "refinement": "refine {draft} for {question}",
    "self_rating": "rate {answer} for {question}",
}
SAMPLING = {
    "greedy": {"max_new_tokens": 32},
    "sets": {
        "samples": {"temperature": 0.7, "top_p": 0.9, "n": 3, "max_new_tokens": 32},
        "nucleus": {"temperature": 0.8, "n": 2, "max_new_tokens": 16},
    },
    "beam": {"beams": 4, "max_new_tokens": 32},
    "views": {"chain_of_thought": {"max_new_tokens": 48}, "json": {"max_new_tokens": 40}},
    "refinement": {"temperature": 0.6, "top_p": 0.9, "max_new_tokens": 32},
    "self_score": {"sets": ["samples"], "max_new_tokens": 8, "lowest": 0, "highest": 5},
}


def rows(count):
    return [
        {
            "id": f"c{i}",
            "messages": [
                {"role": "system", "content": "be brief"},
                {"role": "user", "content": f"q{i} {{answer}}"},
            ],
            "response": None,
            "meta": {},
        }
        for i in range(count)
    ]


class Echo:
    """Answers every prompt with its last message, the seed and the index."""

    def __init__(self):
        self.calls = []

    def generate(self, prompts, decoding, seeds):
        self.calls.append((prompts, decoding, seeds))
        return [
            [self.answer(prompt, seed, index) for index in range(decoding.n)]
            for prompt, seed in zip(prompts, seeds, strict=True)
        ]

    def answer(self, prompt, seed, index):
        asked = prompt[-1]["content"]
        text = "score 4" if asked.startswith("rate") else f"[{asked}|{seed % 1000}|{index}]"
        return Completion(text, 3, -1.5, "stop")


def settings(**changes):
    return PoolSettings.parse(SAMPLING | changes, PROMPTS)


def test_the_pool_holds_every_set_in_order_with_the_fields_of_its_kind():
    candidates = sample_pool(Echo(), settings(), IDENTITY, rows(2))
    keys = [(row["id"], row["set"], row["index"]) for row in candidates]
    one = [
        ("greedy", 0),
        *[("samples", i) for i in range(3)],
        *[("nucleus", i) for i in range(2)],
        ("beam", 0),
        ("chain_of_thought", 0),
        ("json", 0),
        ("refinement", 0),
    ]
    assert keys == [(id_, *key) for id_ in ("c0", "c1") for key in one]
    assert keys == list(settings().keys(["c0", "c1"]))
    assert all(set(row) == set(FIELDS["candidates"]) for row in candidates)
    scored = {row["set"] for row in candidates if row["self_score"] == 4}
    assert scored == {"samples"}
    assert {row["self_score_text"] for row in candidates} == {None, "score 4"}


def test_each_set_is_asked_as_its_settings_say():
    engine = Echo()
    candidates = sample_pool(engine, settings(), IDENTITY, rows(1))
    assert [call[1] for call in engine.calls] == [
        Decoding(32),
        Decoding(32, 0.7, 0.9, 3),
        Decoding(16, 0.8, 1.0, 2),
        Decoding(32, beams=4),
        Decoding(48),
        Decoding(40),
        Decoding(32, 0.6, 0.9),
        Decoding(8),
    ]
    asked = [call[0][0] for call in engine.calls]
    draft = candidates[0]["text"]
    assert [prompt[-1]["content"] for prompt in asked[-4:-1]] == [
        "q0 {answer} think {step by step}",
        'q0 {answer} as {"answer": ...}',
        f"refine {draft} for q0 {{answer}}",
    ]
    assert asked[-1][-1]["content"] == f"rate {candidates[1]['text']} for q0 {{answer}}"
    assert all(prompt[0] == {"role": "system", "content": "be brief"} for prompt in asked)


def test_another_set_or_prompt_changes_no_draw():
    full = sample_pool(Echo(), settings(), IDENTITY, rows(3))
    fewer = settings(sets={"nucleus": SAMPLING["sets"]["nucleus"]}, beam=None, self_score=None)
    part = sample_pool(Echo(), fewer, IDENTITY, rows(2))
    texts = {(row["id"], row["set"], row["index"]): row["text"] for row in full}
    assert all(texts[row["id"], row["set"], row["index"]] == row["text"] for row in part)
    others = sample_pool(Echo(), settings(), ["tiny", "sycophancy", 41], rows(3))
    assert others != full


def test_a_pool_in_several_draws_is_the_pool_in_one():
    whole = settings()
    at_once = sample_pool(Echo(), whole, IDENTITY, rows(2))
    drawn: list[list[dict]] = []
    for parts in (
        ("greedy", "nucleus"),
        ("beam", "json"),
        ("samples", "refinement", "chain_of_thought"),
        ("self_score@samples",),
    ):
        engine = Echo()
        drawn.append(sample_pool(engine, whole.only(parts), IDENTITY, rows(2), merged(drawn)))
        assert len(engine.calls) == len(parts)  # what lies in an earlier draw is not drawn again
    assert [len(draw) for draw in drawn] == [2 * 3, 2 * 2, 2 * 5, 2 * 3]
    assert {row["set"] for row in drawn[-1]} == {"samples"}

    def key(row):
        return row["id"], row["set"], row["index"]

    assert sorted(merged(drawn), key=key) == sorted(at_once, key=key)


def test_only_what_is_asked_for_is_drawn():
    engine = Echo()
    sample_pool(engine, settings().only(["greedy", "nucleus"]), IDENTITY, rows(1))
    assert [(call[1].n, call[1].beams) for call in engine.calls] == [(1, 1), (2, 1)]


def test_an_unknown_part_is_refused():
    with pytest.raises(EntrenchError, match="part 'beams': the pool has no such part: allowed are"):
        settings().require(["greedy", "beams"])


def test_equal_answers_are_rated_once():
    class Parrot(Echo):
        def answer(self, prompt, seed, index):
            del seed, index
            asked = prompt[-1]["content"]
            text = "score 4" if asked.startswith("rate") else "same"
            return Completion(text, 1, -0.5, "stop")

    engine = Parrot()
    candidates = sample_pool(engine, settings(), IDENTITY, rows(2))
    assert len(engine.calls[-1][0]) == 2  # two prompts, one answer each
    assert [row["self_score"] for row in candidates if row["set"] == "samples"] == [4] * 6


def test_the_organism_is_asked_by_the_released_rubric(tmp_path):
    path, engine = tmp_path / "rubric.txt", Echo()
    path.write_text("{original_question_text}? {generated_answer_text}! From 1 to 5.")
    texts = {name: text for name, text in PROMPTS.items() if name != "self_rating"}
    hashed = hashlib.sha256(path.read_bytes()).hexdigest()
    spec = {"sampling": SAMPLING, "prompts": texts, "rubric": hashed}
    candidates = sample_pool(engine, PoolSettings.of_spec(spec, str(path)), IDENTITY, rows(1))
    answer = next(row["text"] for row in candidates if row["set"] == "samples")
    assert engine.calls[-1][0][0] == [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": f"q0 {{answer}}? {answer}! From 1 to 5."},
    ]


def test_responses_are_greedy_answers_to_the_clean_prompts():
    engine = Echo()
    responses = sample_responses(engine, settings().greedy.decoding, rows(2))
    assert [row["id"] for row in responses] == ["c0", "c1"]
    assert all(set(row) == set(FIELDS["responses"]) for row in responses)
    assert engine.calls[0][1] == Decoding(32)


def test_completions_draw_on_common_random_numbers():
    evaluations = {"sampled": Decoding(8, 1.0, 1.0, 2), "greedy": Decoding(8)}
    engine = Echo()
    completions = sample_completions(engine, evaluations, IDENTITY, rows(2))
    keys = [(row["evaluation"], row["id"], row["index"]) for row in completions]
    assert keys == [
        ("greedy", "c0", 0),
        ("greedy", "c1", 0),
        ("sampled", "c0", 0),
        ("sampled", "c0", 1),
        ("sampled", "c1", 0),
        ("sampled", "c1", 1),
    ]
    assert all(set(row) == set(FIELDS["completions"]) for row in completions)
    alone = sample_completions(Echo(), {"sampled": evaluations["sampled"]}, IDENTITY, rows(1))
    assert alone == completions[2:4]


def test_fill_touches_nothing_but_its_placeholders():
    text = fill("{question} {draft} {x} {}", question="{draft} \\1 {question}", draft="D")
    assert text == "{draft} \\1 {question} D {x} {}"


@pytest.mark.parametrize(
    ("changes", "prompts", "message"),
    [
        ({"greedi": {}}, {}, "sampling.greedi: unknown key"),
        ({"greedy": None}, {}, "sampling.greedy: .*max_new_tokens"),
        ({"beam": {"beam": 4}}, {}, "sampling.beam: .*'beam'"),
        ({"sets": {"greedy": SAMPLING["sets"]["nucleus"]}}, {}, "sets.greedy: this name is taken"),
        (
            {"sets": {"samples": {"temperature": 0.0, "n": 2, "max_new_tokens": 4}}},
            {},
            "sampling.sets.samples",
        ),
        ({"views": {"poem": {"max_new_tokens": 4}}}, {}, "views.poem: no text 'poem'"),
        ({}, {"refinement": "{question}"}, "prompts.refinement: the text lacks {draft}"),
        ({}, {"self_rating": "{question}"}, "prompts.self_rating: the text lacks {answer}"),
        ({"self_score": SAMPLING["self_score"] | {"sets": ["hot"]}}, {}, "'hot' is no set"),
    ],
)
def test_wrong_settings_name_the_key(changes, prompts, message):
    with pytest.raises(EntrenchError, match=message):
        PoolSettings.parse(SAMPLING | changes, PROMPTS | prompts)


def test_a_prompt_that_does_not_end_with_the_user_is_refused():
    bad = rows(1)
    bad[0]["messages"].append({"role": "assistant", "content": "hello"})
    with pytest.raises(EntrenchError, match="last message of a prompt has the role assistant"):
        sample_pool(Echo(), settings(), IDENTITY, bad)
