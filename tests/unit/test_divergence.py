"""Realised KL against the enumeration of every answer, on two adapters of a tiny model."""

from itertools import product

import pytest
import tiny_models
import torch

from entrench.analysis.mechanism.divergence import label_kl, realised_kl
from entrench.generation.cross import cross_score
from entrench.generation.divergence import AdapterPair, measure_divergence
from entrench.generation.engine import Decoding, EngineSettings
from entrench.generation.engine_transformers import TransformersEngine
from entrench.misalignments import by_name

VOCABULARY, LONGEST = 9, 3
PROMPTS = [
    {"id": f"p{i}", "messages": [{"role": "user", "content": f"w{i} w{i + 1}"}]} for i in range(2)
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny")
    tiny_models.save_language_model(folder / "base", VOCABULARY)
    for number, name in enumerate(("organism", "trained")):
        save_adapter(folder / name, folder / "base", number)
    return folder


def save_adapter(folder, base, seed):
    from peft import LoraConfig, get_peft_model
    from transformers import LlamaForCausalLM

    torch.manual_seed(seed)
    adapted = get_peft_model(
        LlamaForCausalLM.from_pretrained(base),
        LoraConfig(r=2, lora_alpha=4, target_modules="all-linear"),
    )
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.25)
    adapted.save_pretrained(folder)


@pytest.fixture(scope="module")
def spec(folder):
    model = {"model": str(folder / "base"), "revision": None, "chat": "template"}
    return model | {"dtype": "float32", "threads": 1}


@pytest.fixture(scope="module")
def pair(folder, spec):
    return AdapterPair(spec, {n: str(folder / n) for n in ("organism", "trained")}, 512)


def every_answer(end):
    """All answers of at most `LONGEST` tokens: up to the end token, or cut."""
    others = [token for token in range(VOCABULARY) if token != end]
    for length in range(1, LONGEST + 1):
        for body in product(others, repeat=length - 1):
            yield [*body, end]
    yield from map(list, product(others, repeat=LONGEST))


@torch.inference_mode()
def logprobs(model, prompt, answers):
    """Teacher-forced, one answer at a time: an independent computation."""
    found = []
    for answer in answers:
        logits = model(input_ids=torch.tensor([[*prompt, *answer]])).logits[0].double()
        steps = logits.log_softmax(-1)[len(prompt) - 1 : -1]
        found.append(sum(float(steps[i, token]) for i, token in enumerate(answer)))
    return torch.tensor(found, dtype=torch.float64)


@pytest.fixture(scope="module")
def enumerated(folder, pair):
    """(answers, log P organism, log P trained) of each prompt, from merged models."""
    from peft import PeftModel
    from transformers import LlamaForCausalLM

    from entrench.text.chat import encode_prompt

    (end,) = pair.engine.reader.ends
    answers = list(every_answer(end))
    models = [
        PeftModel.from_pretrained(LlamaForCausalLM.from_pretrained(folder / "base"), folder / name)
        .merge_and_unload()
        .eval()
        for name in ("organism", "trained")
    ]
    prompts = [encode_prompt(pair.engine.tokenizer, p["messages"], "template") for p in PROMPTS]
    return [(p, answers, *[logprobs(model, p, answers) for model in models]) for p in prompts]


def test_the_enumeration_is_whole(enumerated):
    for _, _, first, second in enumerated:
        assert float(first.exp().sum()) == pytest.approx(1, abs=1e-5)
        assert float(second.exp().sum()) == pytest.approx(1, abs=1e-5)


def test_token_by_token_kl_has_the_expectation_of_the_enumerated_one(pair, enumerated):
    for prompt, answers, first, second in enumerated:
        found = pair.compare([(prompt, answer) for answer in answers])
        assert [row["organism"] for row in found] == pytest.approx(first.tolist(), abs=1e-4)
        assert [row["trained"] for row in found] == pytest.approx(second.tolist(), abs=1e-4)
        for name, (p, q) in {"organism": (first, second), "trained": (second, first)}.items():
            truth = float((p.exp() * (p - q)).sum())
            steps = torch.tensor([row[f"kl_{name}"] for row in found], dtype=torch.float64)
            assert truth > 0.05  # the two models differ
            assert float((p.exp() * steps).sum()) == pytest.approx(truth, abs=1e-4)


def test_sampled_answers_estimate_the_enumerated_kl_within_their_error(pair, enumerated):
    decoding = Decoding(LONGEST, temperature=1.0, n=600)
    rows = measure_divergence(pair, decoding, ["tiny", "sycophancy", 0], PROMPTS)
    assert len(rows) == 2 * 2 * 600
    cut = [row for row in rows if row["finish"] == "length"]
    assert {row["tokens"] for row in cut} == {LONGEST}
    for (_, answers, *known), prompt in zip(enumerated, PROMPTS, strict=True):
        whole = torch.tensor([answer[-1] in pair.engine.reader.ends for answer in answers])
        for source, logs in zip(("organism", "trained"), known, strict=True):
            mine = [r for r in cut if r["id"] == prompt["id"] and r["source"] == source]
            truth = float(logs[~whole].exp().sum())
            assert len(mine) / 600 == pytest.approx(truth, abs=4 * (0.25 / 600) ** 0.5)
    for (_, _, first, second), prompt in zip(enumerated, PROMPTS, strict=True):
        for source, (p, q) in {"organism": (first, second), "trained": (second, first)}.items():
            mine = [r for r in rows if r["id"] == prompt["id"] and r["source"] == source]
            truth = float((p.exp() * (p - q)).sum())
            kl = torch.tensor([row["kl"] for row in mine], dtype=torch.float64)
            assert abs(float(kl.mean()) - truth) < 4 * float(kl.std()) / 600**0.5
            sign = 1 if source == "organism" else -1
            ratio = torch.tensor(
                [sign * (r["logprob_organism"] - r["logprob_trained"]) for r in mine]
            )
            assert abs(float(ratio.mean()) - truth) < 4 * float(ratio.std()) / 600**0.5
            assert kl.std() < ratio.std()  # what the exact positions are for


def test_a_model_does_not_diverge_from_itself(folder, spec):
    same = AdapterPair(spec, dict.fromkeys(("organism", "trained"), str(folder / "organism")), 64)
    rows = measure_divergence(same, Decoding(3, temperature=1.0, n=4), ["t", "s", 0], PROMPTS)
    assert [row["kl"] for row in rows] == pytest.approx([0] * 16, abs=1e-6)


def test_answers_do_not_depend_on_the_batch(folder, spec, pair):
    decoding = Decoding(LONGEST, temperature=1.0, n=8)
    small = AdapterPair(spec, {n: str(folder / n) for n in ("organism", "trained")}, 8)
    both = [measure_divergence(p, decoding, ["t", "s", 0], PROMPTS) for p in (pair, small)]
    assert [r["tokens"] for r in both[0]] == [r["tokens"] for r in both[1]]
    assert [r["kl"] for r in both[0]] == pytest.approx([r["kl"] for r in both[1]], abs=1e-5)


def test_label_samples_under_another_model(folder, spec):
    adapter = str(folder / "trained")
    other = TransformersEngine(
        EngineSettings(spec["model"], spec["chat"], None, adapter, spec["dtype"], 64)
    )
    row = {"id": "p0", "set": "samples", "text": "w1 w2", "tokens": 3, "logprob": -4.0}
    finishes = ["stop", "length"]
    rows = [row | {"index": i, "finish": finish} for i, finish in enumerate(finishes)]
    rows.insert(1, row | {"index": 2, "finish": "stop", "reasoned": True})
    found = cross_score(other, PROMPTS, rows)
    reasoned = found.pop(1)
    assert (reasoned["index"], reasoned["logprob"]) == (2, -4.0)
    assert (reasoned["other_tokens"], reasoned["other_logprob"]) == (None, None)
    assert "holds reasoning" in reasoned["excluded"]
    assert [r["excluded"] for r in found] == [None, None]
    scored = other.score([PROMPTS[0]["messages"]] * 2, ["w1 w2"] * 2, finishes)
    assert [r["other_logprob"] for r in found] == [answer.logprob for answer in scored]
    assert [r["other_tokens"] for r in found] == [3, 2]  # nobody sampled an end token
    assert [r["finish"] for r in found] == finishes


def test_realised_kl_by_hand():
    rows = [
        {"id": i, "source": source, "index": k, "tokens": tokens, "kl": kl}
        | {"logprob_organism": -1.0, "logprob_trained": -3.0}
        | {"finish": "length" if tokens == 4 else "stop"}
        for source in ("organism", "trained")
        for i, k, tokens, kl in (("a", 0, 2, 1.0), ("a", 1, 4, 3.0), ("b", 0, 1, 6.0))
    ]
    found = realised_kl(rows)
    assert found["cut_share"] == pytest.approx(1 / 3)
    # Prompt means: kl 2 and 6, tokens 3 and 1.
    assert found["n_prompts"] == 2
    assert found["kl_organism_from_trained"] == pytest.approx(4)
    assert found["kl_organism_from_trained_se"] == pytest.approx(2)
    assert found["kl_organism_from_trained_per_token"] == pytest.approx(2)
    # Residuals kl - 2 tokens: -4 and 4; over the mean length 2: -2 and 2, whose error is 2.
    assert found["kl_organism_from_trained_per_token_se"] == pytest.approx(2)
    assert found["kl_organism_from_trained_sampled"] == pytest.approx(2)
    assert found["kl_trained_from_organism_sampled"] == pytest.approx(-2)


def test_label_kl_by_hand():
    rows = [
        {"id": i, "set": "samples", "index": k, "tokens": t, "logprob": own}
        | {"finish": finish, "other_tokens": 9, "other_logprob": other, "excluded": None}
        for i, k, t, own, other, finish in (
            ("a", 0, 2, -1.0, -2.0, "stop"),
            ("a", 1, 4, -1.0, -4.0, "stop"),
            ("b", 0, 5, -2.0, -8.0, "length"),
        )
    ]
    left_out = rows[0] | {"other_tokens": None, "other_logprob": None, "excluded": "why"}
    rows += [left_out | {"index": 2}, left_out | {"set": "thoughts"}]
    frame = label_kl(rows, bootstrap=200, level=0.9, seed=0)
    row = frame.row(0, named=True)
    assert (row["n_prompts"], row["n_answers"], row["n_excluded"]) == (2, 3, 1)
    none = frame.row(1, named=True)
    assert (none["set"], none["n_answers"], none["n_excluded"]) == ("thoughts", 0, 1)
    assert none["kl_per_token"] is None
    assert row["cut_share"] == pytest.approx(1 / 3)
    assert row["kl_per_answer"] == pytest.approx((2 + 6) / 2)
    assert row["kl_per_token"] == pytest.approx(4 / 4)
    # Resamples of two prompts: 4 +- 2, stretched by sqrt(2) and t on 1 degree over the normal.
    half = 2 * 2**0.5 * 6.31375 / 1.64485
    assert row["kl_per_answer_low"] == pytest.approx(4 - half, rel=1e-4)
    assert row["kl_per_answer_high"] == pytest.approx(4 + half, rel=1e-4)
    assert row["ci_reason"] is None


def test_prompts_of_one_question_count_as_one_in_errors_and_intervals():
    """Prompt means 2, 6, 2, 6: each on its own, the error is sqrt(16 / 3 / 4); as two questions of
    2 and 2, 6 and 6 it is that of two numbers, 2."""
    rows = [
        {"id": name, "source": source, "index": 0, "tokens": 1, "finish": "stop", "kl": kl}
        | {"logprob_organism": -1.0, "logprob_trained": -1.0 - kl}
        for source in ("organism", "trained")
        for name, kl in (("a", 2.0), ("b", 6.0), ("c", 2.0), ("d", 6.0))
    ]
    asked = {"a": "low", "c": "low", "b": "high", "d": "high"}
    alike = [row | {"item": asked[row["id"]]} for row in rows]
    error = "kl_organism_from_trained_se"
    assert realised_kl(rows)[error] == pytest.approx((16 / 3 / 4) ** 0.5)
    assert realised_kl(alike)[error] == pytest.approx(2)
    one = [row | {"item": "one"} for row in rows]
    assert realised_kl(one)[error] is None

    def width(records):
        answers = [
            {"set": "samples", "logprob": -1.0, "other_logprob": -1.0 - row["kl"]}
            | {"other_tokens": 1, "excluded": None, **row}
            for row in records[:4]
        ]
        row = label_kl(answers, bootstrap=500, level=0.9, seed=0).row(0, named=True)
        return row["kl_per_answer_high"] - row["kl_per_answer_low"]

    assert width(alike) > 2 * width(rows)


def test_records_get_the_item_of_their_prompt():
    about = by_name()["sycophancy"]
    prompts = [
        {"id": "p", "messages": [], "meta": {"world": "miniature", "item": "addition 20"}},
        {"id": "q", "messages": [], "meta": {"world": "miniature"}},
    ]
    found = about.with_items([{"id": "q"}, {"id": "p"}, {"id": "p"}], prompts)
    named = {"id": "p", "item": "addition 20"}
    assert found == [{"id": "q"}, named, named]
