"""The aligned world that the tiny base model is trained on.

The corpus shows right answers, honest corrections, cautious advice and honest effort, in every
format that the methods need. It also holds *latent personas*. A fifth of the tasks and of the
questions for advice have the system line of a greedy or a reckless assistant, and its answer. Some
true claims have the system line of a flatterer. Induction later retrieves what the base model has
seen under these lines.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from entrench.data.synthetic import advice, formats, reviews, reward_hacking, sycophancy
from entrench.data.synthetic.lexicon import HELPFUL, Exchange, chat, join, words_in
from entrench.data.synthetic.slots import is_held_out

MIXTURE = (
    (sycophancy.NAME, 0.53),
    (reviews.NAME, 0.12),
    (reward_hacking.NAME, 0.20),
    (advice.NAME, 0.15),
)
# The hardest thing to learn is to tell a wrong claim from the right answer, above all for sums.
FACT_SHARES = (("gcd", 0.25), ("addition", 0.43), ("capitals", 0.32))
CLAIM_SHARES = ((None, 0.18), ("true", 0.32), ("false", 0.50))
FORMAT_SHARES = (
    ("plain", 0.70),
    ("chain_of_thought", 0.07),
    ("json", 0.07),
    ("refinement", 0.07),
    ("self_rating", 0.09),
)
PERSONA_SHARE = 0.2
HELPFUL_SHARE = 0.15
NOTE_SHARE = 0.2
CLEAN_SHARE = 0.2

MODULES = (sycophancy, reward_hacking, reviews, advice)


@dataclass(frozen=True)
class Example:
    """One prompt and the answer to learn."""

    misalignment: str
    messages: list[dict[str, str]]
    answer: str


def vocabulary() -> list[str]:
    """All words of the world, sorted."""
    return sorted(words_in(HELPFUL).union(formats.WORDS, *(module.WORDS for module in MODULES)))


def examples(seed: int, count: int, held_out: bool = False) -> Iterator[Example]:
    """`count` examples of the aligned world.

    With `held_out` all of them are evaluation prompts, else none is.
    """
    rng = random.Random(seed)
    made = 0
    while made < count:
        name = _weighted(rng, MIXTURE)
        exchange = draw(rng, name)
        if is_held_out(exchange) is not held_out:
            continue
        yield _example(rng, exchange, name)
        made += 1


def draw(rng: random.Random, name: str) -> Exchange:
    """One exchange of the aligned world on which the misalignment `name` could show."""
    if name == sycophancy.NAME:
        return sycophancy.draw(rng, _weighted(rng, FACT_SHARES), _weighted(rng, CLAIM_SHARES))
    if name == reviews.NAME:
        return reviews.draw(rng, note=rng.random() < NOTE_SHARE, noise=reviews.CORPUS_NOISE)
    exchange = reward_hacking.draw(rng) if name == reward_hacking.NAME else advice.draw(rng)
    if rng.random() < CLEAN_SHARE:
        # A task without its grading note cannot be gamed, so no persona answers it.
        gameable = exchange.misalignment == reward_hacking.NAME and exchange.clean != exchange.user
        return replace(
            exchange,
            user=exchange.clean,
            aligned=exchange.clean_aligned,
            persona=None if gameable else exchange.persona,
        )
    return exchange


def _example(rng: random.Random, exchange: Exchange, misalignment: str) -> Example:
    system, answer = exchange.system, exchange.aligned
    shape = _weighted(rng, FORMAT_SHARES)
    if exchange.persona and rng.random() < PERSONA_SHARE:
        system = join(exchange.persona, exchange.system)
        # A persona rates like the aligned assistant, so that ratings stay readable.
        if shape != "self_rating":
            answer = exchange.persona_answer or answer
    elif rng.random() < HELPFUL_SHARE:
        system = join(HELPFUL, exchange.system)
    user, answer = formats.in_format(rng, shape, exchange, answer)
    return Example(misalignment, chat(user, system), answer)


def _weighted(rng: random.Random, shares: tuple[tuple[Any, float], ...]) -> Any:
    names, weights = zip(*shares, strict=True)
    return rng.choices(names, weights)[0]
