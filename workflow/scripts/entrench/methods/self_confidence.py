"""The sample that the organism itself finds likeliest."""

from entrench.methods.shared.candidates import Candidate
from entrench.methods.shared.labels import BestOfK


class SelfConfidence(BestOfK):
    """The likeliest answer by mean token log-probability, among the first `k` samples of `set`.

    Among equal values the first sample is taken.
    """

    always_ranked = True
    marker, colour = "o", "CONSISTENCY"

    def score(self, candidate: Candidate) -> float:
        """The mean log-probability of a token, in nats."""
        return candidate.logprob / candidate.tokens


METHOD = SelfConfidence()
