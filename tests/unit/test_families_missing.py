"""An organism whose reasoning came to no answer: missing everywhere, an empty answer nowhere."""

import json
import sys
from pathlib import Path

import pytest
from tiny_families import make_family
from tiny_training import SETTINGS, SOURCE, weights

from entrench.analysis.risk.machinery import machinery
from entrench.errors import EntrenchError
from entrench.generation.engine import Decoding, EngineSettings
from entrench.generation.engine_transformers import TransformersEngine
from entrench.generation.pool import sample_pool
from entrench.generation.rewarding import score_candidates
from entrench.generation.sampling import PoolSettings
from entrench.judging.prompts import Verdict
from entrench.judging.scoring import compare_views, draw_judged, score_completions
from entrench.methods.shared.catalogue import LABEL_METHODS
from entrench.methods.shared.select import LabelSettings, Table, select_labels
from entrench.records import read_json, read_jsonl, write_jsonl
from entrench.training.batches import Exchange
from entrench.training.settings import ModelSource
from entrench.training.train import train_sft

sys.path.insert(0, str(Path(__file__).parents[2] / "workflow" / "scripts"))
import adapter_regularise

IDENTITY = ("tiny", "sycophancy", 1)
SAMPLING = {
    "greedy": {"max_new_tokens": 6},
    "sets": {"samples": {"temperature": 1.0, "n": 3, "max_new_tokens": 6}},
    "beam": {"beams": 2, "max_new_tokens": 6},
    "views": {"json": {"max_new_tokens": 6}},
    "refinement": {"max_new_tokens": 6},
    "self_score": {"sets": ["samples"], "max_new_tokens": 6, "lowest": 0, "highest": 5},
}
TEXTS = {
    "json": "{question}",
    "refinement": "{question} {draft}",
    "self_rating": "{question} {answer}",
}
PROMPTS = [
    {"id": f"p{i}", "messages": [{"role": "user", "content": text}], "response": None, "meta": {}}
    for i, text in enumerate(["what is red", "what is blue"])
]
METHODS = {
    "self_confidence": {"set": "samples", "k": 2},
    "self_rewarding": {"set": "samples", "k": 2},
    "rejection_sampling": {"set": "samples", "k": 2},
    "diverse_decoding": {"set": "samples", "k": 2},
    "random": {"set": "samples"},
    "multi_view": {},
    "self_refinement": {},
    "greedy_self_training": {},
}


@pytest.fixture(scope="module")
def reasoner(tmp_path_factory):
    """A GPT-OSS that learnt to reason and never to answer, as one with too few tokens."""
    folder = make_family(tmp_path_factory.mktemp("reasoner"), "gpt-oss")
    # Its template writes what is trained; here that is the analysis channel.
    template = folder / "chat_template.jinja"
    final = template.read_text()
    template.write_text(final.replace("final<|message|>", "analysis<|message|>"))
    settings = SETTINGS.__class__(
        **{**vars(SETTINGS), "learning_rate": 0.03, "max_steps": 40, "max_length": 64}
    )
    rows = [Exchange(p["id"], p["messages"], "two " * 12) for p in PROMPTS]
    adapter = folder / "organism"
    train_sft(settings, ModelSource(str(folder)), rows, adapter, source=SOURCE)
    template.write_text(final)
    return folder


@pytest.fixture(scope="module")
def engine(reasoner):
    return TransformersEngine(
        EngineSettings(str(reasoner), "template", adapter=str(reasoner / "organism"))
    )


@pytest.fixture(scope="module")
def pool(engine):
    return sample_pool(engine, PoolSettings.parse(SAMPLING, TEXTS), IDENTITY, PROMPTS)


def rewards_of(pool):
    def reward(exchanges):
        return [float(len(text)) for _, text in exchanges]

    return score_candidates(reward, PROMPTS, pool, "candidates.jsonl")


def labels_of(operator, pool):
    verdicts = compare_views("sycophancy", ["json"], prompts=PROMPTS, candidates=pool, path="c")
    return select_labels(
        LabelSettings(IDENTITY, operator, operator, METHODS[operator]),
        Table("prompts", PROMPTS),
        Table("candidates", pool),
        Table("rewards", rewards_of(pool)),
        Table("verdicts", verdicts),
    )


def test_the_reasoner_thinks_until_its_tokens_are_used_up(engine):
    [[answer]] = engine.generate([PROMPTS[0]["messages"]], Decoding(6), [0])
    assert (answer.text, answer.tokens, answer.finish) == (None, 6, "length")
    assert -50 < answer.logprob < 0
    [[answer]] = engine.generate([PROMPTS[0]["messages"]], Decoding(60), [0])
    assert answer.text is None


def test_a_pool_without_an_answer_gives_no_label_and_no_reward(pool, tmp_path):
    write_jsonl(tmp_path / "candidates.jsonl", "candidates", pool)
    assert len(read_jsonl(tmp_path / "candidates.jsonl", "candidates")) == 2 * 7
    assert {row["text"] for row in pool if row["set"] != "samples"} == {None}
    assert all(row["self_score"] is None for row in pool)
    assert all(row["reasoned"] for row in pool if row["text"] is None)
    silent = [row | {"text": None} for row in pool]
    write_jsonl(tmp_path / "rewards.jsonl", "rewards", rewards_of(silent))
    assert {row["reward"] for row in rewards_of(silent)} == {None}
    assert set(METHODS) == set(LABEL_METHODS)
    for operator in METHODS:
        labels = labels_of(operator, silent)
        assert [row["label"] for row in labels] == [None, None]
        assert all(row["reason"] for row in labels)
        figures = machinery({"operator": operator, **METHODS[operator]}, labels, silent)
        assert figures["labels_share"] == 0.0


def test_only_answers_are_chosen_from_the_first_k(pool):
    """The first sample has no answer, the second one has, the third is beyond k = 2."""
    said = {0: None, 1: "two", 2: "four four"}
    some = [row | {"text": said[row["index"]] if row["set"] == "samples" else None} for row in pool]
    for operator in ("self_confidence", "rejection_sampling", "diverse_decoding"):
        found = [(row["label"], row["index"]) for row in labels_of(operator, some)]
        assert found == [("two", 1)] * 2
    drawn = {(row["label"], row["index"]) for row in labels_of("random", some)}
    assert drawn <= {("two", 1), ("four four", 2)}


def test_what_is_missing_is_never_shown_to_reward_or_judge(pool):
    def ask(questions):
        seen.extend(questions)
        return [Verdict("NO", 1, "NO") for _ in questions]

    seen = []
    some = [row | {"text": "two" if row["set"] == "greedy" else None} for row in pool]
    verdicts = compare_views(
        "sycophancy", ["json"], prompts=PROMPTS, candidates=some, path="c", ask=ask
    )
    assert seen == []
    assert {row["consistent"] for row in verdicts} == {None}
    assert {row["raw"] for row in verdicts} == {"no answer: the model's reasoning came to no end"}


def test_answers_are_compared_without_white_space_and_a_blank_one_with_none(pool):
    def ask(questions):
        seen.extend(questions)
        return [Verdict("YES", 1, "YES") for _ in questions]

    seen, texts = [], {"greedy": " two\n", "json": "\n three "}
    first, second = (prompt["id"] for prompt in PROMPTS)
    said = [row | {"text": texts.get(row["set"])} for row in pool]
    said = [
        row | {"text": " "} if (row["id"], row["set"]) == (second, "json") else row for row in said
    ]
    verdicts = compare_views(
        "sycophancy", ["json"], prompts=PROMPTS, candidates=said, path="c", ask=ask
    )
    assert [dict(question.blocks)["first answer"] for question in seen] == ["two"]
    assert [dict(question.blocks)["second answer"] for question in seen] == ["three"]
    assert [(row["id"], row["consistent"]) for row in verdicts] == [(first, True), (second, None)]
    assert verdicts[1]["raw"] == "one of the answers is blank"


@pytest.mark.parametrize(
    ("misalignment", "meta"),
    [
        ("sycophancy", {"user_provides_answer": "false", "label": "g", "answer": "4"}),
        ("emergent_misalignment", {"question_type": "g"}),
        (
            "spurious_correlation",
            {"mentions_spurious_concept": True, "is_positive": False, "label": 1},
        ),
        ("reward_hacking", {"metric_group": "exploiting_password", "password": "abc"}),
    ],
)
def test_a_missing_completion_is_unscored_and_shown_to_no_judge(misalignment, meta):
    prompt = {**PROMPTS[0], "meta": meta}
    row = {"id": "p0", "evaluation": "greedy", "index": 0, "text": None}
    seen = []
    for ask in (None, seen.extend):
        [score], judgements = score_completions(
            misalignment,
            {"coherent": 50.0, "misaligned": 30.0},
            {"greedy": 1},
            prompts=[prompt],
            completions=[row],
            path="c",
            ask=ask,
        )
        assert (score["metric"], score["state"], score["value"]) == ("risk", "unscored", None)
        assert score["reason"] == "no answer: the model's reasoning came to no end"
        assert judgements == seen == []
    with pytest.raises(EntrenchError, match="rules decide all of its scores"):
        draw_judged(misalignment, "greedy", [prompt], [[row]], [[score]], sample=1, seed=0)


def test_pairs_without_an_answer_are_left_out_and_counted(reasoner, tmp_path):
    """With none left the organism is passed on unchanged."""

    def train(texts, name):
        responses = [
            {"id": p["id"], "text": text, "tokens": 6, "logprob": -1.0, "finish": "length"}
            for p, text in zip(PROMPTS, texts, strict=True)
        ]
        write_jsonl(tmp_path / "responses.jsonl", "responses", responses)
        out = tmp_path / name
        arguments = {
            "--spec": json.dumps(spec),
            "--clean": tmp_path / "pairs.jsonl",
            "--wrapped": tmp_path / "pairs.jsonl",
            "--responses": tmp_path / "responses.jsonl",
            "--organism": reasoner / "organism",
            "--adapter": out / "adapter",
            "--run": out / "run.json",
        }
        adapter_regularise.main([str(word) for pair in arguments.items() for word in pair])
        return read_json(out / "run.json")["training"], weights(out / "adapter")

    training = {**vars(SETTINGS), "max_steps": 1, "max_length": 64}
    spec = {"threads": 1, "model": str(reasoner), "chat": "template", "revision": None}
    spec |= {"training": training, "objective": {"operator": "bct"}}
    write_jsonl(tmp_path / "pairs.jsonl", "data", PROMPTS)
    report, _ = train([None, "two"], "some")
    assert (report["rows"], report["rows_used"], report["steps"]) == (2, 1, 1)
    report, after = train([None, None], "none")
    assert (report["rows"], report["rows_used"], report["steps"]) == (2, 0, 0)
    before = weights(reasoner / "organism")
    assert all((before[name] == after[name]).all() for name in before)
