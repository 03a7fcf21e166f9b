"""Prompts for the tiny models, engines of changed copies of them, and the law of their samples."""

import math
from collections import Counter

import torch
from tiny_models import END

from entrench.generation.answers import AnswerReader
from entrench.generation.engine import Decoding, EngineSettings
from entrench.generation.engine_transformers import TransformersEngine

LENGTHS = [3, 9, 1, 5, 12, 2, 7]
# Of log probabilities summed over up to 25 tokens in float32: each engine's own order of sums costs
# some 1e-6 a token.
CLOSE = 2e-4


def ask(text, system=None):
    before = [{"role": "system", "content": system}] if system else []
    return [*before, {"role": "user", "content": text}]


PROMPTS = [ask(" ".join(f"w{(7 * i + j) % 30}" for j in range(n))) for i, n in enumerate(LENGTHS)]


SEEDS = list(range(100, 100 + len(PROMPTS)))


def copy(source, target):
    for path in source.iterdir():
        (target / path.name).write_bytes(path.read_bytes())
    return target


def load(folder, adapter=None):
    return TransformersEngine(
        EngineSettings(str(folder), "template", adapter=str(adapter) if adapter else None)
    )


@torch.no_grad()
def logprobs_after(model, ids):
    """Log probabilities of the next token, one row at a time, no cache, no padding."""
    return model(torch.tensor([ids])).logits[0, -1].double().log_softmax(-1)


def pair_law(model, start, temperature, top_p):
    """Probability of every first pair of tokens, by enumeration over the model's own logits."""

    def step(ids):
        p = (logprobs_after(model, ids) / temperature).softmax(-1)
        kept, mass = torch.zeros_like(p), 0.0
        for token in p.argsort(descending=True).tolist():
            if mass >= top_p:
                break
            kept[token], mass = p[token], mass + float(p[token])
        return (kept / kept.sum()).tolist()

    law = Counter()
    for first, p in enumerate(step(start)):
        if first == END:
            law[(first,)] += p
        elif p:
            for second, q in enumerate(step([*start, first])):
                law[first, second] += p * q
    return law


def draw_pairs(engine, prompt, temperature, top_p):
    """How often each first pair of tokens comes in 4,000 seeded draws."""
    drawn = Counter()

    class Counting(AnswerReader):
        def completion(self, tokens, logprob):
            drawn.update([tuple(tokens)])
            return super().completion(tokens, logprob)

    engine.reader = Counting(engine.settings, engine.tokenizer, engine.reader.ends)
    engine.generate([prompt], Decoding(2, temperature, top_p, n=4000), [5])
    assert drawn.total() == 4000
    return drawn


def surprise(drawn, law):
    """Pearson's chi-square against a law, in standard deviations above its mean."""
    draws = sum(drawn.values())
    likely = [pair for pair, p in law.items() if p * draws >= 5]
    rest = 1 - sum(law[pair] for pair in likely)
    terms = [(drawn[pair], draws * law[pair]) for pair in likely]
    terms.append((draws - sum(seen for seen, _ in terms), max(draws * rest, 1e-9)))
    chi2 = sum((seen - expected) ** 2 / expected for seen, expected in terms if expected > 1)
    return (chi2 - len(likely)) / math.sqrt(2 * len(likely))
