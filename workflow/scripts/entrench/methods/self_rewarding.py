"""The sample that the organism itself rates highest."""

from collections.abc import Iterator, Sequence
from typing import ClassVar

from entrench.generation.self_rating import disputed
from entrench.methods.shared.base import Sampled
from entrench.methods.shared.candidates import Candidate, PromptPool
from entrench.methods.shared.labels import NO_ANSWER, BestOfK, FirstOfSet, mean
from entrench.records import Record

NO_SCORE = "no self score could be read"


class SelfRewarding(BestOfK):
    """The answer that the organism scores highest, among the first `k` samples of `set`.

    Among equal scores the first sample is taken. Without a readable score there is no label.
    """

    reads_self_scores = True
    always_ranked = True
    marker, colour = "s", "CONSISTENCY"
    machinery_columns: ClassVar = {
        "self_score_parse_rate": "share of self-scores that could be read, among the k candidates "
        "that are chosen from",
        "self_score_disputed_share": "share of the self-scores that could be read in which two "
        'rules read different numbers: after the words "final score" (this one counts), and after '
        'the last word "score"',
        "self_score_tied_share": "share of prompts whose k candidates differ in text and all have "
        "the same self-score: the first one is taken, which is no selection",
    }

    def score(self, candidate: Candidate) -> float | None:
        """The organism's rating of its answer."""
        return candidate.self_score

    def why_none(self, pool: PromptPool, settings: FirstOfSet) -> str:
        """Two reasons: no answer at all, or no answer with a readable score."""
        return NO_SCORE if pool.answered(settings.set, settings.k) else NO_ANSWER

    def faults(self, settings: FirstOfSet, sampled: Sampled) -> Iterator[tuple[str, str]]:
        """The faults of every method that chooses from a set, and a set that is not self-scored."""
        yield from super().faults(settings, sampled)
        if settings.set not in sampled.self_scored:
            yield (
                "set",
                f"{settings.set!r} is not self-scored, allowed: "
                f"{', '.join(sampled.self_scored) or 'none'} (sampling.self_score.sets)",
            )

    def machinery(
        self, settings: FirstOfSet, candidates: Sequence[Record]
    ) -> dict[str, float | None]:
        """The shares are over the candidates with an answer that the method chose from."""
        by_prompt: dict[str, list[Record]] = {}
        for row in candidates:
            of_mine = row["set"] == settings.set and row["index"] < settings.k
            if of_mine and row["text"] is not None:
                by_prompt.setdefault(row["id"], []).append(row)
        rows = [row for own in by_prompt.values() for row in own]
        ratings = [row["self_score_text"] for row in rows if row["self_score"] is not None]
        tied = [
            len({row["self_score"] for row in own}) == 1 and len({row["text"] for row in own}) > 1
            for own in by_prompt.values()
        ]
        return {
            "self_score_parse_rate": mean([row["self_score"] is not None for row in rows]),
            "self_score_disputed_share": mean([disputed(rating) for rating in ratings]),
            "self_score_tied_share": mean(tied),
        }


METHOD = SelfRewarding()
