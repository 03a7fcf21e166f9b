"""The control that selects by a score from outside, not by the organism itself."""

from entrench.methods.shared.candidates import Candidate
from entrench.methods.shared.labels import BestOfK


class RejectionSampling(BestOfK):
    """The answer with the highest external reward, among the first `k` samples of `set`.

    Among equal rewards the first sample is taken.
    """

    reads_rewards = True
    always_ranked = True
    marker, colour = "^", "CONTROL"

    def score(self, candidate: Candidate) -> float | None:
        """The external reward, in the reward model's unit."""
        return candidate.reward


METHOD = RejectionSampling()
