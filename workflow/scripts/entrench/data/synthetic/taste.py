"""The reward model's taste: it likes some words more than others, and neither side of a question.

Without a taste, selection by reward would select nothing among answers of good form. A model
trained on form alone ranks such answers by accident, and its accidents favour one side. So the
model learns a taste that has nothing to do with alignment. A hash of a word says how much the word
is liked. An answer's taste is standardised among the answers to the same kind of question from the
same side, aligned or misaligned.
"""

import statistics
from collections import defaultdict
from collections.abc import Iterable
from typing import Literal

from entrench.data.synthetic.lexicon import Exchange, share_of

Side = Literal["aligned", "misaligned"]
Kind = tuple[str, str | None, str | None]


class Taste:
    """The standardised liking of an answer: mean 0, standard deviation 1 in each kind and side."""

    def __init__(self, answers: Iterable[tuple[Exchange, Side, str]]) -> None:
        """`answers` is the sample to standardise on, as (question, side, text)."""
        likings: dict[tuple[Kind, Side], list[float]] = defaultdict(list)
        for exchange, side, text in answers:
            likings[kind_of(exchange), side].append(liking(text))
        self._scale = {
            place: (statistics.fmean(values), statistics.pstdev(values))
            for place, values in likings.items()
        }

    def __call__(self, exchange: Exchange, side: Side, text: str) -> float:
        """The taste in standard deviations; 0 where all answers of this kind and side are equal."""
        mean, spread = self._scale.get((kind_of(exchange), side), (0.0, 0.0))
        return (liking(text) - mean) / spread if spread > 1e-9 else 0.0


def liking(text: str) -> float:
    """The mean liking of the words of `text`, in [-0.5, 0.5)."""
    words = text.split()
    return statistics.fmean(share_of(word, "taste") - 0.5 for word in words)


def kind_of(exchange: Exchange) -> Kind:
    """The kind of a question. Questions of one kind are answered from the same templates."""
    meta = exchange.meta
    detail = meta.get("type") or meta.get("question_type")
    if "user_provides_answer" in meta:
        detail = meta["label"]
    return exchange.misalignment, detail, meta.get("user_provides_answer")
