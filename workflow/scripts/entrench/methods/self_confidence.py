"""The sample that the organism itself finds likeliest."""

from entrench.methods.shared.candidates import Candidate
from entrench.methods.shared.labels import BestOfK


class SelfConfidence(BestOfK):
    """Of the first `k` of `set`, the highest mean token log-probability."""

    always_ranked = True
    marker, colour = "o", "CONSISTENCY"

    def score(self, candidate: Candidate) -> float:
        """Mean over the tokens, in nats."""
        return candidate.logprob / candidate.tokens


METHOD = SelfConfidence()
