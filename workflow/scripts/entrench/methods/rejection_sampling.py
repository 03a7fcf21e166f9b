"""The control that selects from outside: the sample with the highest external reward."""

from entrench.methods.shared.candidates import Candidate
from entrench.methods.shared.labels import BestOfK


class RejectionSampling(BestOfK):
    """Of the first `k` of `set`, the highest external reward."""

    reads_rewards = True
    always_ranked = True
    marker, colour = "^", "CONTROL"

    def score(self, candidate: Candidate) -> float | None:
        """In the reward model's unit."""
        return candidate.reward


METHOD = RejectionSampling()
