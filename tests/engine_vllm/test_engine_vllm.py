"""The vLLM engine against the transformers engine and exact laws, on vLLM's real CPU build.

One engine, loaded with room for two adapters, serves the module.
"""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from tiny_models import FAMILY, save_adapter, save_language_model

pytest.importorskip(
    "vllm._version", reason="vLLM is not installed here: `make test-vllm` runs these"
)

import torch
from other_adapter import with_adapter
from tiny_engine import CLOSE, ask, draw_pairs, pair_law, surprise
from transformers import Gemma2Config, Gemma2ForCausalLM, LlamaForCausalLM, PreTrainedTokenizerFast

from entrench.errors import EntrenchError
from entrench.generation.engine import Completion, Decoding, EngineSettings
from entrench.generation.engine_transformers import TransformersEngine
from entrench.generation.engine_vllm import CPU_ENVIRONMENT, VllmEngine
from entrench.text.chat import encode_prompt

LENGTHS = [3, 9, 1, 5, 12, 2, 7, 4, 6, 8, 11, 10]
PROMPTS = [
    ask(" ".join(f"w{(7 * i + j) % 30}" for j in range(n)), system="w9 w3" if i % 2 else None)
    for i, n in enumerate(LENGTHS)
]
SEEDS = list(range(100, 100 + len(PROMPTS)))
NUMBERS = {None: 0, "one": 1, "two": 2}  # of the adapters in the one load
ANSWERS = ["w1", "w2 w3 w4 w5 w6", "", "w9 w9", "w1 w2", "w3", *["w0 w1 w2 w3"] * 6]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("language_model")
    save_language_model(path, head_dim=32)  # the CPU kernels know multiples of 32
    return path


@pytest.fixture(scope="module")
def adapters(folder, tmp_path_factory):
    paths = {None: None}
    for name, seed in (("one", 2), ("two", 3)):
        path = tmp_path_factory.mktemp(name)
        save_adapter(path, folder, seed)
        paths[name] = str(path)
    return paths


@pytest.fixture(scope="module")
def loaded(folder, adapters):
    return VllmEngine(EngineSettings(str(folder), "template", adapter=adapters["one"]))


@pytest.fixture(scope="module", params=[None, "one", "two"], ids=["bare", "one", "two"])
def engines(request, folder, adapters, loaded):
    """vLLM and transformers on the same weights: no adapter, and two of one load."""
    adapter = adapters[request.param]
    other = TransformersEngine(EngineSettings(str(folder), "template", adapter=adapter))
    return with_adapter(loaded, adapter, NUMBERS[request.param]), other


@pytest.mark.parametrize(
    "decoding", [Decoding(25), Decoding(12, beams=2), Decoding(12, beams=4)], ids=str
)
def test_greedy_and_beam_answers_are_those_of_transformers(engines, decoding):
    one, other = (engine.generate(PROMPTS, decoding, SEEDS) for engine in engines)
    for (mine,), (theirs,) in zip(one, other, strict=True):
        assert (mine.text, mine.tokens, mine.finish) == (theirs.text, theirs.tokens, theirs.finish)
        assert mine.logprob == pytest.approx(theirs.logprob, abs=CLOSE)


def test_scores_of_given_text_are_those_of_transformers(engines):
    one, other = (engine.score(PROMPTS, ANSWERS) for engine in engines)
    for mine, theirs in zip(one, other, strict=True):
        assert (mine.text, mine.tokens, mine.finish) == (theirs.text, theirs.tokens, "stop")
        assert mine.logprob == pytest.approx(theirs.logprob, abs=CLOSE)


def test_a_cut_answer_is_scored_without_an_end_token(engines):
    finishes = ["length"] * len(PROMPTS)
    one, other = (engine.score(PROMPTS, ANSWERS, finishes) for engine in engines)
    for mine, theirs in zip(one, other, strict=True):
        assert (mine.text, mine.tokens, mine.finish) == (theirs.text, theirs.tokens, "length")
        assert mine.logprob == pytest.approx(theirs.logprob, abs=CLOSE)


def test_the_three_models_differ(loaded, adapters):
    answers = [
        [row[0].text for row in engine.generate(PROMPTS, Decoding(8), SEEDS)]
        for engine in (with_adapter(loaded, adapters[name], NUMBERS[name]) for name in adapters)
    ]
    assert answers[0] != answers[1] != answers[2] != answers[0]


def test_an_answer_depends_on_its_prompt_seed_and_index_alone(loaded):
    few = loaded.generate(PROMPTS, Decoding(8, temperature=1.0, n=2), SEEDS)
    many = loaded.generate(PROMPTS[::-1], Decoding(8, temperature=1.0, n=5), SEEDS[::-1])[::-1]
    assert [[a.text for a in row] for row in few] == [[a.text for a in row[:2]] for row in many]
    other = loaded.generate(PROMPTS, Decoding(8, temperature=1.0, n=2), [s + 1 for s in SEEDS])
    pairs = [
        (a.text, b.text) for x, y in zip(few, other, strict=True) for a, b in zip(x, y, strict=True)
    ]
    assert sum(a == b for a, b in pairs) <= 2  # of 24, by chance: short answers
    assert sum(row[0].text == row[1].text for row in few) <= 2


def test_more_prompts_than_fit_into_a_step_are_sampled_by_their_seeds(loaded):
    """vLLM reads some thousand tokens at a time; a prompt that it cut would lose its seed."""
    long = ask(" ".join(f"w{number}" for number in range(30)))
    seeds = list(range(400))
    decoding = Decoding(2, temperature=1.0)
    together = loaded.generate([long] * 400, decoding, seeds)
    some = loaded.generate([long] * 10, decoding, seeds[195:205])
    assert [row[0].text for row in together[195:205]] == [row[0].text for row in some]


def test_log_probability_is_of_the_raw_model(engines):
    """Of samples drawn hot and truncated: what teacher forcing on the same text gives."""
    vllm, other = engines
    decoding = Decoding(20, temperature=1.4, top_p=0.7, n=4)
    answers = vllm.generate(PROMPTS, decoding, SEEDS)
    finished = [
        (prompt, a)
        for prompt, row in zip(PROMPTS, answers, strict=True)
        for a in row
        if a.finish == "stop"
    ]
    scored = other.score([prompt for prompt, _ in finished], [a.text for _, a in finished])
    same = [
        (a, again)
        for (_, a), again in zip(finished, scored, strict=True)
        if a.tokens == again.tokens  # else a special token stands within the answer
    ]
    assert len(same) >= 3
    for a, again in same:
        assert a.logprob == pytest.approx(again.logprob, abs=CLOSE)


@pytest.mark.parametrize(("temperature", "top_p"), [(1.0, 1.0), (0.7, 0.9), (1.5, 0.6)])
def test_sampling_follows_the_exact_law(folder, loaded, temperature, top_p):
    """4,000 seeded draws of two tokens; a law 20% hotter is told apart."""
    engine, prompt = with_adapter(loaded, None), ask("w1 w2 w3")
    drawn = draw_pairs(engine, prompt, temperature, top_p)
    model = LlamaForCausalLM.from_pretrained(folder).eval()
    start = encode_prompt(engine.tokenizer, prompt, "template")
    law = pair_law(model, start, temperature, top_p)
    assert set(drawn) <= {pair for pair, p in law.items() if p > 0}
    assert surprise(drawn, law) < 4
    assert surprise(drawn, pair_law(model, start, 1.2 * temperature, top_p)) > 6


SPLIT = """
import json, sys
from entrench.generation.engine import Decoding, EngineSettings
from entrench.generation.engine_vllm import VllmEngine
model, adapter, prompts, seeds, answers = json.loads(sys.argv[1])
engine = VllmEngine(EngineSettings(model, "template", adapter=adapter, gpus=2))
rows = [*engine.generate(prompts, Decoding(12), seeds), engine.score(prompts, answers)]
print(json.dumps([vars(completion) for row in rows for completion in row]))
"""


def test_a_model_split_in_two_answers_as_a_whole_one(folder, adapters, loaded):
    """Tensor parallelism with an adapter, in two processes of the CPU build."""
    given = [str(folder), adapters["one"], PROMPTS, SEEDS, ANSWERS]
    scripts = str(Path(__file__).parents[2] / "workflow" / "scripts")
    # As for `gpus: 0`; the settings for two GPUs are otherwise those that a GPU node has.
    env = os.environ | CPU_ENVIRONMENT | {"PYTHONPATH": scripts, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", SPLIT, json.dumps(given)],
        capture_output=True,
        text=True,
        env=env,
        timeout=400,
    )
    assert done.returncode == 0, done.stderr
    split = [Completion(**row) for row in json.loads(done.stdout.splitlines()[-1])]
    rows = [*loaded.generate(PROMPTS, Decoding(12), SEEDS), loaded.score(PROMPTS, ANSWERS)]
    for mine, theirs in zip(split, [one for row in rows for one in row], strict=True):
        assert replace(mine, logprob=0.0) == replace(theirs, logprob=0.0)
        assert mine.logprob == pytest.approx(theirs.logprob, abs=CLOSE)


def test_a_broken_adapter_is_refused_before_the_model_is_loaded(folder, tmp_path):
    (tmp_path / "adapter_config.json").write_text('{"r": 4, "target_modules": ["q_proj"]')
    settings = EngineSettings(str(folder), "template", adapter=str(tmp_path))
    with pytest.raises(EntrenchError, match=r"adapter_model.safetensors: no such file"):
        VllmEngine(settings)
    (tmp_path / "adapter_model.safetensors").write_bytes(b"x")
    with pytest.raises(EntrenchError, match=r"adapter_config.json: .*delete .* and run the same"):
        VllmEngine(settings)


def test_what_does_not_fit_is_refused(loaded):
    with pytest.raises(EntrenchError, match="a prompt of 5 tokens and 124 new ones do not fit"):
        loaded.generate([ask("w1 w2 w3")], Decoding(124), [0])


def test_no_prompts(loaded):
    assert loaded.generate([], Decoding(4), []) == []
    assert loaded.score([], []) == []


def test_gemma_2_and_the_plain_format(folder, tmp_path):
    """Soft caps, a sliding window shorter than the prompts, one BOS, answers without a template."""
    torch.manual_seed(3)
    config = Gemma2Config(
        **FAMILY | {"head_dim": 32, "bos_token_id": 2},
        query_pre_attn_scalar=32,
        max_position_embeddings=128,
    )
    Gemma2ForCausalLM(config).save_pretrained(tmp_path)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    tokenizer.chat_template = None
    tokenizer.save_pretrained(tmp_path)
    settings = EngineSettings(str(tmp_path), "plain")
    one, other = VllmEngine(settings), TransformersEngine(settings)
    for decoding in (Decoding(12), Decoding(8, beams=2)):
        for (mine,), (theirs,) in zip(
            one.generate(PROMPTS, decoding, SEEDS),
            other.generate(PROMPTS, decoding, SEEDS),
            strict=True,
        ):
            assert (mine.text, mine.finish) == (theirs.text, theirs.finish)
            assert mine.logprob == pytest.approx(theirs.logprob, abs=CLOSE)
    for mine, theirs in zip(
        one.score(PROMPTS, ANSWERS), other.score(PROMPTS, ANSWERS), strict=True
    ):
        assert mine.logprob == pytest.approx(theirs.logprob, abs=CLOSE)
