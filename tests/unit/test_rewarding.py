"""External rewards: independent of the batch, and what they are meant to be."""

import pytest
import torch
from tiny_models import save_language_model, save_reward_model
from transformers import LlamaForSequenceClassification, PreTrainedTokenizerFast

from entrench.errors import EntrenchError
from entrench.generation.engine import EngineSettings
from entrench.generation.engine_transformers import TransformersEngine
from entrench.generation.rewarding import BaseLikelihood, SequenceClassifier, score_candidates

PROMPTS = [
    {
        "id": f"p{i}",
        "messages": [{"role": "user", "content": " ".join(["w1", "w2", "w3"][: i + 1])}],
        "response": None,
        "meta": {},
    }
    for i in range(3)
]
TEXTS = [["w4", "w5 w6 w7 w8", "w4"], ["w9 w9", "w5", "w0 w1"], ["w3 w2 w1", "w4", "w8"]]
CANDIDATES = [
    {
        "id": prompt["id"],
        "set": "samples",
        "index": index,
        "text": text,
        "tokens": 3,
        "logprob": -1.0,
        "finish": "stop",
        "self_score": None,
        "self_score_text": None,
    }
    for prompt, texts in zip(PROMPTS, TEXTS, strict=True)
    for index, text in enumerate(texts)
]


@pytest.fixture(scope="module", params=[0, None], ids=["pad", "no_pad"])
def folder(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("reward")
    save_reward_model(path, pad=request.param)
    return path


def rewards_of(model):
    return [row["reward"] for row in score_candidates(model, PROMPTS, CANDIDATES, "c.jsonl")]


def test_rewards_are_those_of_each_text_alone(folder):
    reference = LlamaForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    by_hand = []
    for prompt, texts in zip(PROMPTS, TEXTS, strict=True):
        for text in texts:
            ids = tokenizer.encode(
                f"<user> {prompt['messages'][0]['content']} <assistant> {text} <end>"
            )
            with torch.no_grad():
                by_hand.append(float(reference(torch.tensor([ids])).logits[0, 0]))
    for batch_size in (1, 2, 64):
        model = SequenceClassifier(str(folder), None, "float32", batch_size)
        assert rewards_of(model) == pytest.approx(by_hand, abs=1e-5)
    assert len(set(by_hand)) == 8  # one text stands there twice


def test_bfloat16(folder):
    model = SequenceClassifier(str(folder), None, "bfloat16", 4)
    full = SequenceClassifier(str(folder), None, "float32", 4)
    assert rewards_of(model) == pytest.approx(rewards_of(full), abs=0.3)


def test_rewards_keep_the_order_of_the_candidates(folder):
    model = SequenceClassifier(str(folder), None, "float32", 4)
    forward = score_candidates(model, PROMPTS, CANDIDATES, "c.jsonl")
    assert [(r["id"], r["set"], r["index"]) for r in forward] == [
        (c["id"], c["set"], c["index"]) for c in CANDIDATES
    ]
    backward = score_candidates(model, PROMPTS, CANDIDATES[::-1], "c.jsonl")[::-1]
    assert [r["reward"] for r in forward] == pytest.approx([r["reward"] for r in backward])


def test_base_likelihood_is_the_mean_log_probability_of_the_answer(tmp_path):
    save_language_model(tmp_path)
    engine = TransformersEngine(EngineSettings(str(tmp_path), "template"))
    (scored,) = engine.score([PROMPTS[1]["messages"]], ["w9 w9"])
    rewards = rewards_of(BaseLikelihood(engine, str(tmp_path)))
    assert rewards[3] == pytest.approx(scored.logprob / 3, abs=1e-5)


def test_candidates_cut_short_are_refused(folder):
    model = SequenceClassifier(str(folder), None, "float32", 4)
    with pytest.raises(EntrenchError, match=r"^c.jsonl: 1 of 9 records are missing"):
        score_candidates(model, PROMPTS, CANDIDATES[:-1], "c.jsonl")


def test_a_model_of_another_kind_is_refused(tmp_path):
    save_reward_model(tmp_path / "two", labels=2)
    with pytest.raises(EntrenchError, match="the model has 2 outputs"):
        SequenceClassifier(str(tmp_path / "two"), None, "float32", 4)
    save_language_model(tmp_path / "language")
    with pytest.raises(EntrenchError, match=r"'score.weight'"):
        SequenceClassifier(str(tmp_path / "language"), None, "float32", 4)


def test_a_reward_that_is_no_number_is_refused():
    class Broken:
        name = "broken"

        def __call__(self, exchanges):
            return [float("nan")] * len(exchanges)

    with pytest.raises(EntrenchError, match="broken: the reward of an answer to prompt 'p0' is"):
        score_candidates(Broken(), PROMPTS, CANDIDATES, "c.jsonl")
