"""The transformers engine against loops and formulas written independently of it."""

import json
import math

import pytest
import torch
from tiny_engine import (
    PROMPTS,
    SEEDS,
    ask,
    copy,
    draw_pairs,
    load,
    logprobs_after,
    pair_law,
    surprise,
)
from tiny_models import END, FAMILY, save_language_model
from transformers import (
    AutoModelForCausalLM,
    Gemma2Config,
    GptOssConfig,
    LlamaForCausalLM,
    MistralConfig,
    PreTrainedTokenizerFast,
)

from entrench.errors import EntrenchError
from entrench.generation import engine_transformers
from entrench.generation.beam import beam_search
from entrench.generation.engine import Decoding, EngineSettings
from entrench.generation.engine_transformers import (
    TransformersEngine,
    gumbel_noise,
    kept_rows,
    truncated,
)


@pytest.fixture(scope="module")
def engine(tiny):
    return TransformersEngine(EngineSettings(str(tiny), "template"))


@pytest.fixture(scope="module")
def reference(tiny):
    return LlamaForCausalLM.from_pretrained(tiny).eval()


def ids_of(folder, prompt, answer=None):
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    text = "".join(f"<{m['role']}> {m['content']} " for m in prompt) + "<assistant>"
    return tokenizer.encode(text if answer is None else f"{text} {answer}")


def greedy_by_hand(model, ids, steps):
    new, total = [], 0.0
    while len(new) < steps and END not in new:
        logprobs = logprobs_after(model, ids + new)
        new.append(int(logprobs.argmax()))
        total += float(logprobs[new[-1]])
    return new, total


def test_greedy_is_the_hand_written_loop(tiny, engine, reference):
    answers = engine.generate(PROMPTS, Decoding(10), SEEDS)
    for prompt, (answer,) in zip(PROMPTS, answers, strict=True):
        new, logprob = greedy_by_hand(reference, ids_of(tiny, prompt), 10)
        stopped = new[-1] == END
        words = engine.tokenizer.convert_ids_to_tokens(new[:-1] if stopped else new)
        assert answer.text == " ".join(w for w in words if not w.startswith("<"))
        assert answer.tokens == len(new)
        assert answer.finish == ("stop" if stopped else "length")
        assert answer.logprob == pytest.approx(logprob, abs=1e-4)


@pytest.mark.parametrize(
    "decoding",
    [
        Decoding(12),
        Decoding(12, temperature=0.9, n=3),
        Decoding(12, temperature=1.3, top_p=0.8, n=2),
        Decoding(8, beams=3),
    ],
)
def test_an_answer_does_not_depend_on_its_batch(tiny, engine, decoding):
    together = engine.generate(PROMPTS, decoding, SEEDS)
    small = TransformersEngine(EngineSettings(str(tiny), "template", batch_size=4))
    backwards = small.generate(PROMPTS[::-1], decoding, SEEDS[::-1])[::-1]
    alone = [engine.generate([p], decoding, [s])[0] for p, s in zip(PROMPTS, SEEDS, strict=True)]
    for other in (backwards, alone):
        for mine, theirs in zip(together, other, strict=True):
            assert [a.text for a in mine] == [a.text for a in theirs]
            assert [a.tokens for a in mine] == [a.tokens for a in theirs]
            for a, b in zip(mine, theirs, strict=True):
                assert a.logprob == pytest.approx(b.logprob, abs=1e-4)


def test_rows_that_have_ended_are_dropped_and_the_others_go_on_unchanged(engine, monkeypatch):
    """Whole blocks are kept, so that every bit stays: 200 rows, answers of 1 to 12 tokens."""
    decoding = Decoding(temperature=1.0, n=4, max_new_tokens=12)
    prompts, seeds = PROMPTS[:1] * 50, range(50)
    sizes = []

    def computed(*_args, input_ids, **_options):
        sizes.append(len(input_ids))

    hook = engine.model.register_forward_pre_hook(
        lambda _, args, options: computed(*args, **options), with_kwargs=True
    )
    found = engine.generate(prompts, decoding, seeds)
    dropped = list(sizes)
    monkeypatch.setattr(engine_transformers, "KEPT_WHILE", 0.0)
    assert engine.generate(prompts, decoding, seeds) == found
    hook.remove()
    assert len({answer.tokens for answers in found for answer in answers}) > 3
    assert dropped[1] == 200
    assert dropped[-1] == 160
    assert all(size % 32 == 0 for size in dropped[1:] if size < 200)
    assert sizes[-1] == 200


def test_a_block_of_rows_is_filled_with_ended_ones():
    unended = torch.zeros(100, dtype=torch.bool)
    unended[[3, 50, 99]] = True
    kept = kept_rows(unended)
    assert kept.tolist() == [*range(30), 50, 99]
    assert kept_rows(torch.ones(7, dtype=torch.bool)).tolist() == list(range(7))


def test_a_sample_depends_on_its_seed_and_index_alone(engine):
    few = engine.generate(PROMPTS, Decoding(8, temperature=1.0, n=2), SEEDS)
    many = engine.generate(PROMPTS, Decoding(8, temperature=1.0, n=5), SEEDS)
    assert [[a.text for a in row] for row in few] == [[a.text for a in row[:2]] for row in many]
    other = engine.generate(PROMPTS, Decoding(8, temperature=1.0, n=2), [s + 1 for s in SEEDS])
    assert few != other
    assert any(row[0].text != row[1].text for row in few)


@pytest.mark.parametrize(("temperature", "top_p"), [(1.0, 1.0), (0.7, 0.9), (1.5, 0.6)])
def test_sampling_law_against_exact_enumeration(tmp_path, temperature, top_p):
    """Two tokens of a 12-word model: 4,000 draws against the probability of every pair."""
    save_language_model(tmp_path, vocabulary=12)
    engine = TransformersEngine(EngineSettings(str(tmp_path), "template", batch_size=4000))
    model = LlamaForCausalLM.from_pretrained(tmp_path).eval()
    prompt = ask("w1 w2 w3")
    drawn = draw_pairs(engine, prompt, temperature, top_p)
    law = pair_law(model, ids_of(tmp_path, prompt), temperature, top_p)
    assert set(drawn) <= {pair for pair, p in law.items() if p > 0}
    assert surprise(drawn, law) < 4


def test_gumbel_max_is_an_exact_sample_to_the_far_tail():
    rows, words = 2000, 500
    generators = [torch.Generator().manual_seed(i) for i in range(rows)]
    logits = torch.linspace(0, -12, words)
    counts = torch.zeros(words, dtype=torch.float64)
    for _ in range(40):
        noise = gumbel_noise(generators, torch.empty(rows, words))
        counts += torch.bincount((logits + noise).argmax(-1), minlength=words)
    expected = logits.double().softmax(-1) * 40 * rows
    likely = expected >= 5
    chi2 = float(((counts - expected) ** 2 / expected)[likely].sum())
    freedom = int(likely.sum())
    assert abs(chi2 - freedom) < 4 * math.sqrt(2 * freedom)
    rest, rest_expected = float(counts[~likely].sum()), float(expected[~likely].sum())
    assert abs(rest - rest_expected) < 4 * math.sqrt(rest_expected)


FAMILIES = {
    "mistral": MistralConfig(**FAMILY),
    "gemma2": Gemma2Config(
        **FAMILY, query_pre_attn_scalar=16, attn_logit_softcapping=0.5, final_logit_softcapping=4.0
    ),
    "gpt_oss": GptOssConfig(**FAMILY, num_local_experts=2, num_experts_per_tok=1),
}


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_every_model_family_of_the_study(family, tiny, tmp_path):
    """Sliding windows shorter than the prompts, soft caps, experts: generated and scored right."""
    torch.manual_seed(3)
    # Other attention than "eager" leaves Gemma's soft cap out.
    config = FAMILIES[family]
    reference = AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
    reference.save_pretrained(tmp_path)
    PreTrainedTokenizerFast.from_pretrained(tiny).save_pretrained(tmp_path)
    engine = TransformersEngine(EngineSettings(str(tmp_path), "template"))
    for prompt, (answer,) in zip(
        PROMPTS, engine.generate(PROMPTS, Decoding(6), SEEDS), strict=True
    ):
        new, logprob = greedy_by_hand(reference, ids_of(tiny, prompt), 6)
        assert answer.tokens == len(new)
        assert answer.logprob == pytest.approx(logprob, abs=1e-3)
    sampled = Decoding(6, temperature=1.0, n=3)
    together = engine.generate(PROMPTS, sampled, SEEDS)
    alone = [engine.generate([p], sampled, [s])[0] for p, s in zip(PROMPTS, SEEDS, strict=True)]
    assert [[a.text for a in row] for row in together] == [[a.text for a in row] for row in alone]
    scored = engine.score(PROMPTS, ["w1 w2"] * len(PROMPTS))
    for prompt, found in zip(PROMPTS, scored, strict=True):
        ids, new = ids_of(tiny, prompt), [*ids_of(tiny, prompt, "w1 w2")[-2:], END]
        by_hand = sum(
            float(logprobs_after(reference, ids + new[:i])[token]) for i, token in enumerate(new)
        )
        assert found.logprob == pytest.approx(by_hand, abs=1e-3)


def test_log_probability_is_of_the_raw_model(tiny, engine, reference):
    """Whatever the temperature and truncation, the recorded value is the raw model's."""
    answers = engine.generate(PROMPTS, Decoding(6, temperature=1.4, top_p=0.7, n=2), SEEDS)
    for prompt, row in zip(PROMPTS, answers, strict=True):
        for answer in row:
            ids = ids_of(tiny, prompt)
            words = ids_of(tiny, prompt, answer.text)[len(ids) :]
            if len(words) + (answer.finish == "stop") != answer.tokens:
                continue  # a special token inside the answer, which its text does not show
            new = words + [END] * (answer.finish == "stop")
            by_hand = sum(
                float(logprobs_after(reference, ids + new[:i])[token])
                for i, token in enumerate(new)
            )
            assert answer.logprob == pytest.approx(by_hand, abs=1e-4)


def test_score_is_teacher_forcing_with_the_end_token(tiny, engine, reference, monkeypatch):
    answers = ["w1", "w2 w3 w4 w5 w6", "", "w9 w9", "w1 w2", "w3", "w0 w1 w2 w3"]
    scored = engine.score(PROMPTS, answers)
    for prompt, answer, found in zip(PROMPTS, answers, scored, strict=True):
        ids = ids_of(tiny, prompt)
        new = [*ids_of(tiny, prompt, answer)[len(ids) :], END]
        by_hand = sum(
            float(logprobs_after(reference, ids + new[:i])[token]) for i, token in enumerate(new)
        )
        assert (found.tokens, found.finish) == (len(new), "stop")
        assert found.logprob == pytest.approx(by_hand, abs=1e-4)
    monkeypatch.setattr(engine_transformers, "LOGITS_AT_ONCE", 1)  # one row at a time
    for one, all_ in zip(engine.score(PROMPTS, answers), scored, strict=True):
        assert one.logprob == pytest.approx(all_.logprob, abs=1e-4)


def test_a_cut_answer_is_scored_without_an_end_token(engine):
    answers = ["w1 w2", "w1 w2", "", "w9"]
    whole, cut, empty, _ = engine.score(
        [PROMPTS[0]] * 4, answers, ["stop", "length", "length", "stop"]
    )
    assert (whole.tokens, cut.tokens, empty.tokens) == (3, 2, 0)
    assert (whole.finish, cut.finish) == ("stop", "length")
    assert cut.logprob > whole.logprob
    assert empty.logprob == 0
    assert engine.score(PROMPTS[:1], [""], ["length"]) == [empty]


def test_generation_and_scoring_agree_on_cut_and_whole_answers(engine):
    prompts = [ask(f"w{i % 30} w{(i * 3) % 30}", system="w5") for i in range(60)]
    seeds = list(range(60))
    answers = [row[0] for row in engine.generate(prompts, Decoding(12, temperature=2.0), seeds)]
    finishes = [answer.finish for answer in answers]
    scored = engine.score(prompts, [answer.text for answer in answers], finishes)
    same = dict.fromkeys(("stop", "length"), 0)
    for answer, again in zip(answers, scored, strict=True):
        if again.tokens == answer.tokens:  # else a special token stands within the answer
            assert again.logprob == pytest.approx(answer.logprob, abs=1e-3)
            assert again.finish == answer.finish
            same[answer.finish] += 1
    assert min(same.values()) >= 3


def test_top_p_keeps_the_smallest_sufficient_set():
    logits = torch.tensor([[0.1, 0.5, 0.15, 0.25], [0.97, 0.01, 0.01, 0.01]]).log()
    kept = truncated(logits, 0.7).isfinite().tolist()
    assert kept == [[False, True, False, True], [True, False, False, False]]
    assert truncated(logits, 1.0) is logits
    flat = torch.zeros(1, 1000)
    assert truncated(flat, 0.5).isfinite().all()  # all are equally likely: none is outside
    ramp = torch.arange(1000.0).flip(0)[None] * -0.001
    share = ramp.softmax(-1).sort(descending=True).values.cumsum(-1)
    assert int(truncated(ramp, 0.9).isfinite().sum()) == int((share < 0.9).sum()) + 1


def test_beam_search_finds_no_less_than_greedy(engine):
    greedy = engine.generate(PROMPTS, Decoding(6), SEEDS)
    beam = engine.generate(PROMPTS, Decoding(6, beams=6), SEEDS)
    assert [len(row) for row in beam] == [1] * len(PROMPTS)
    mean = [[row[0].logprob / row[0].tokens for row in answers] for answers in (greedy, beam)]
    assert sum(mean[1]) > sum(mean[0])
    assert greedy != beam


@pytest.mark.parametrize("beams", [2, 4])
@pytest.mark.parametrize("ends", [[END], [END, 7, 9]])
def test_beam_search_over_likeliest_tokens_is_that_of_transformers(
    tiny, reference, tmp_path, beams, ends
):
    """What serves engines without a beam search of their own, against transformers' `generate`."""
    changed = copy(tiny, tmp_path)
    path = changed / "generation_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"eos_token_id": ends}))
    engine = load(changed)
    prompts = [ask(f"w{i % 30} w{(i * 7) % 30}") for i in range(24)]
    expected = [row[0] for row in engine.generate(prompts, Decoding(10, beams=beams), [0] * 24)]

    def likeliest(rows, k):
        tops = [logprobs_after(reference, row).topk(min(k, 40)) for row in rows]
        return [dict(zip(t.indices.tolist(), t.values.tolist(), strict=True)) for t in tops]

    rows = [ids_of(tiny, prompt) for prompt in prompts]
    found = [
        engine.reader.completion(*best) for best in beam_search(rows, beams, 10, ends, likeliest)
    ]
    assert {one.finish for one in expected} == {"stop", "length"}
    assert [one.text for one in found] == [one.text for one in expected]
    for mine, theirs in zip(found, expected, strict=True):
        assert (mine.tokens, mine.finish) == (theirs.tokens, theirs.finish)
        assert mine.logprob == pytest.approx(theirs.logprob, abs=1e-3)


def test_adapter_changes_the_answers_and_equals_the_merged_weights(tiny, adapter, engine, tmp_path):
    settings = EngineSettings(str(tiny), "template", adapter=str(adapter))
    adapted = TransformersEngine(settings)
    answers = adapted.generate(PROMPTS, Decoding(8), SEEDS)
    assert answers != engine.generate(PROMPTS, Decoding(8), SEEDS)

    from safetensors.torch import load_file

    base = LlamaForCausalLM.from_pretrained(tiny)
    lora = load_file(adapter / "adapter_model.safetensors")
    for key, a in lora.items():
        if "lora_A" in key:
            name = key.removeprefix("base_model.model.").removesuffix(".lora_A.weight")
            b = lora[key.replace("lora_A", "lora_B")]
            base.get_submodule(name).weight.data += 8 / 4 * b @ a
    base.save_pretrained(tmp_path)
    adapted.tokenizer.save_pretrained(tmp_path)
    merged = TransformersEngine(EngineSettings(str(tmp_path), "template"))
    for mine, theirs in zip(answers, merged.generate(PROMPTS, Decoding(8), SEEDS), strict=True):
        assert mine[0].text == theirs[0].text
        assert mine[0].logprob == pytest.approx(theirs[0].logprob, abs=1e-3)


def test_adapter_in_bfloat16_stays_apart(tiny, adapter):
    settings = EngineSettings(str(tiny), "template", adapter=str(adapter), dtype="bfloat16")
    engine = TransformersEngine(settings)
    assert any("lora_A" in name for name, _ in engine.model.named_parameters())
    answers = engine.generate(PROMPTS, Decoding(4, temperature=1.0, n=2), SEEDS)
    assert [len(row) for row in answers] == [2] * len(PROMPTS)
    assert len(engine.score(PROMPTS, ["w1"] * len(PROMPTS))) == len(PROMPTS)


def test_the_models_own_generation_defaults_do_not_leak_in(tiny, engine, tmp_path):
    changed = copy(tiny, tmp_path)
    config = json.loads((changed / "generation_config.json").read_text())
    config |= {"repetition_penalty": 5.0, "do_sample": True, "temperature": 3.0, "max_length": 4}
    (changed / "generation_config.json").write_text(json.dumps(config))
    assert load(changed).generate(PROMPTS, Decoding(8), SEEDS) == engine.generate(
        PROMPTS, Decoding(8), SEEDS
    )


def test_plain_chat_for_models_without_a_template(tiny, tmp_path):
    path = copy(tiny, tmp_path) / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"chat_template": None}))
    (tmp_path / "chat_template.jinja").unlink(missing_ok=True)
    with pytest.raises(EntrenchError, match="set `chat: plain`"):
        load(tmp_path)
    engine = TransformersEngine(EngineSettings(str(tmp_path), "plain"))
    answers = engine.generate(PROMPTS, Decoding(5), SEEDS)
    assert [len(row) for row in answers] == [1] * len(PROMPTS)
    assert all(not row[0].text.startswith(" ") for row in answers)


def test_no_prompts(engine):
    assert engine.generate([], Decoding(4), []) == []
    assert engine.score([], []) == []


def test_an_answer_ends_at_the_templates_end_token_and_at_the_models_own(tiny, tmp_path):
    changed = copy(tiny, tmp_path)
    for name in ("config.json", "generation_config.json"):
        config = json.loads((changed / name).read_text())
        (changed / name).write_text(json.dumps(config | {"eos_token_id": [7, 9]}))
    assert load(changed).reader.ends == {END, 7, 9}
