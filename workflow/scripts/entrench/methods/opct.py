"""On-policy consistency training: the student's own answers to wrapped prompts, and a teacher.

The teacher reads the clean prompt and the student's answer, token by token.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge, Gt, Le, doc

from entrench.methods.shared.on_policy import OnPolicyLoss, OnPolicyMethod

if TYPE_CHECKING:
    import torch

    from entrench.training.objectives.output_head import Head
    from entrench.training.objectives.passes import Batch, TeacherAndStudent


@dataclass(frozen=True, kw_only=True)
class OpctSettings(OnPolicyLoss):
    """The loss is `coefficient` times the reverse KL from the teacher, on the student's answers.

    For a clean prompt c, a wrapped prompt w and an answer y drawn from the student, a term is the
    KL at a position t of log pi(y_t | w, y_<t) from log pi_0(y_t | c, y_<t), in nats. The mean is
    over positions (Han et al. 2026, arXiv 2605.21834).
    """

    estimator: Annotated[
        Literal["exact", "sampled"],
        doc(
            "`exact`: the KL over the whole vocabulary at each position, with its gradient. "
            "`sampled`: the log ratio of the drawn token as a reward to be lowered, without a "
            "gradient of its own, times the ratio of student and sampler."
        ),
    ] = "exact"
    coefficient: Annotated[float, Gt(0), doc("Factor of the loss.")] = 1.0
    discount: Annotated[
        float,
        Ge(0),
        Le(1),
        doc(
            "Weight of the KL of the next position, for the choice of a token; squared for the one "
            "after it. 0: a token answers for its own position. 1 with temperature 1: the gradient "
            "of the KL of whole answers."
        ),
    ] = 0.0
    teacher: Annotated[
        Literal["organism", "base"],
        doc(
            "The model that the student follows on the clean prompt. `organism`: the frozen "
            "organism. `base`: the bare model. It does not misbehave, so it removes the "
            "misbehaviour by its own answers: a control."
        ),
    ] = "organism"

    @property
    def follows(self) -> str:
        """The teacher."""
        return self.teacher

    def loss(
        self, models: "TeacherAndStudent", model: "torch.nn.Module", batch: "Batch"
    ) -> "tuple[torch.Tensor, torch.Tensor, dict[str, torch.Tensor]]":
        """The sum of `opct_terms` over the batch, times `coefficient`."""
        wrapped = batch["wrapped"]
        states = models.final_states(model, wrapped)[wrapped["positions"]]
        total, sums = opct_terms(
            states,
            batch["teacher_states"].to(states.device),
            batch["tokens"],
            batch["sampler_logprobs"],
            batch["lengths"].tolist(),
            models.head,
            estimator=self.estimator,
            discount=self.discount,
            lagging=self.sampler_lag > 0,
        )
        return self.coefficient * total, wrapped["positions"].sum(), sums


def opct_terms(
    student: "torch.Tensor",
    teacher: "torch.Tensor",
    tokens: "torch.Tensor",
    sampler_logprobs: "torch.Tensor",
    lengths: list[int],
    head: "Head",
    *,
    estimator: str,
    discount: float,
    lagging: bool,
) -> "tuple[torch.Tensor, dict[str, torch.Tensor]]":
    """The sum over positions of the loss's terms, and the sums `kl`, `entropy`, `disagreement`.

    `student` and `teacher` are states (n, hidden), `tokens` (n) the answers' tokens, and `lengths`
    the numbers of positions of the answers, which lie one after the other. With k_t the reverse KL
    at position t (`exact`), or its one-sample estimate log pi(y_t) - log pi_0(y_t) (`sampled`):

        exact     k_t + ratio_t * future_t,      future_t = sum over s > t of discount^(s-t) k_s
        sampled   ratio_t * (k_t + future_t),    ratio_t = pi(y_t) / sampler(y_t)

    No gradient reaches the teacher, `future_t`, and the k_t of `sampled`. Where the sampler is the
    student itself (not `lagging`), the ratio is 1 with the gradient of log pi(y_t). `entropy` is
    the student's, in nats; `disagreement` counts positions where the two have different likeliest
    tokens. Sums are in float32.
    """
    import torch

    from entrench.training.objectives.chunks import chunked_sum

    found = {name: student.new_zeros((), dtype=torch.float32) for name in SUMS}

    def both(own: torch.Tensor, other: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        with torch.no_grad():
            target = head(other).float().log_softmax(-1)
        return head(own).float().log_softmax(-1), target

    def divergences(
        logs: torch.Tensor, target: torch.Tensor, said: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The KL of each position by the estimator, and the log probability of its token."""
        chosen = logs.gather(-1, said.unsqueeze(-1)).squeeze(-1)
        if estimator == "exact":
            return (logs.exp() * (logs - target)).sum(-1), chosen
        return chosen.detach() - target.gather(-1, said.unsqueeze(-1)).squeeze(-1), chosen

    future = torch.zeros_like(sampler_logprobs)
    if discount > 0:
        values = torch.zeros_like(future)
        with torch.no_grad():
            for rows in _chunks(len(student), head.positions):
                own, target = both(student[rows], teacher[rows])
                values[rows] = divergences(own, target, tokens[rows])[0]
        future = discounted_future(values, lengths, discount)

    def terms(
        own: torch.Tensor,
        other: torch.Tensor,
        said: torch.Tensor,
        drawn: torch.Tensor,
        later: torch.Tensor,
    ) -> torch.Tensor:
        logs, target = both(own, other)
        kl, chosen = divergences(logs, target, said)
        with torch.no_grad():
            found["kl"] += kl.sum()
            found["entropy"] -= (logs.exp() * logs).sum()
            found["disagreement"] += (logs.argmax(-1) != target.argmax(-1)).sum()
        if estimator == "exact" and discount == 0:
            return kl.sum()
        ratio = (chosen - (drawn if lagging else chosen.detach())).exp()
        return (kl + ratio * later if estimator == "exact" else ratio * (kl + later)).sum()

    total = chunked_sum(
        terms, student, teacher, tokens, sampler_logprobs, future, positions=head.positions
    )
    return total, found


SUMS = ("kl", "entropy", "disagreement")


def discounted_future(
    values: "torch.Tensor", lengths: list[int], discount: float
) -> "torch.Tensor":
    """For each position t the sum over later positions s of its row of discount^(s-t) values_s.

    `values` (n) holds the rows one after the other, `lengths` their numbers of positions.
    """
    import torch

    found = torch.zeros_like(values)
    end = 0
    for length in lengths:
        end += length
        for place in range(end - 2, end - length - 1, -1):
            found[place] = discount * (values[place + 1] + found[place + 1])
    return found


def _chunks(rows: int, size: int) -> list[slice]:
    return [slice(start, start + size) for start in range(0, rows, size)]


METHOD = OnPolicyMethod(OpctSettings)
