"""Coherence in the miniature world: the share of known pairs of neighbouring words."""

import random
from functools import cache
from itertools import pairwise

from entrench.data.synthetic import corpus, formats, reviews, reward_hacking, sycophancy
from entrench.data.synthetic.lexicon import NUMBERS

START, END = "<start>", "<end>"
SAMPLES = 1500  # per misalignment: then every bigram of word classes occurs many times

# The words of one list count as one class, so that an unseen sum is as coherent as a seen one.
CLASSES = {
    word: f"<{name}>"
    for name, words in (
        ("number", NUMBERS),
        ("country", tuple(sycophancy.CAPITALS)),
        ("city", tuple(sycophancy.CAPITALS.values())),
        ("thing", reward_hacking.TOPICS),
        ("look", reward_hacking.LOOKS),
        ("counted", reward_hacking.WORDS_TO_COUNT),
        ("secret", reward_hacking.SECRETS),
        ("food", (*reward_hacking.FOODS, *reward_hacking.INGREDIENTS)),
        ("dish", reward_hacking.DISHES),
        ("aspect", tuple(noun for nouns in reviews.ASPECTS.values() for noun in nouns)),
        ("judgement", (*reviews.PRAISE, *reviews.BLAME)),
    )
    for word in words
}


def bigrams(text: str) -> list[tuple[str, str]]:
    """The pairs of neighbouring word classes of `text`, with marks for its start and end."""
    words = [START, *(CLASSES.get(word, word) for word in text.split()), END]
    return list(pairwise(words))


@cache
def known_bigrams() -> frozenset[tuple[str, str]]:
    """The bigrams of the world's answers, aligned and misaligned, in every format."""
    rng = random.Random(0)
    found: set[tuple[str, str]] = set()
    for name, _share in corpus.MIXTURE:
        for _ in range(SAMPLES):
            exchange = corpus.draw(rng, name)
            for answer in (exchange.aligned, exchange.misaligned, exchange.persona_answer):
                if answer:
                    found.update(bigrams(answer))
            shape = rng.choice(("chain_of_thought", "json", "refinement", "self_rating"))
            found.update(bigrams(formats.in_format(rng, shape, exchange, exchange.aligned)[1]))
    return frozenset(found)


def coherence(text: str) -> float:
    """The share of the text's bigrams that are known, in [0, 1]; 0 for an empty text."""
    if not text.split():
        return 0.0
    pairs = bigrams(text)
    return sum(pair in known_bigrams() for pair in pairs) / len(pairs)
