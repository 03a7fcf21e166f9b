"""Sums over positions, a few positions at a time, to save memory."""

from collections.abc import Callable
from typing import Any

import torch
from torch.autograd.graph import saved_tensors_hooks


def chunked_sum(
    terms: Callable[..., torch.Tensor],
    states: torch.Tensor,
    *others: torch.Tensor,
    positions: int,
) -> torch.Tensor:
    """The sum of `terms(states[i:j], *(other[i:j]))` over chunks of `positions` rows, in float32.

    `states` is (n, hidden). `terms` must sum over the rows that it is given. Then the chunks give
    the same number as one call, up to rounding.

    The intermediate results of a chunk (e.g. logits over a vocabulary) are freed before the next
    chunk starts. The chunk's gradient by `states` is computed at once. Only this gradient,
    (n, hidden) for all chunks, is kept for the backward pass. So nothing else may need a gradient:
    all that `terms` reads beside `states` counts as constant.
    """
    return _ChunkedSum.apply(states, terms, positions, *others)


def _as_it_is(tensor: torch.Tensor) -> torch.Tensor:
    """What a chunk saves is read before it ends: a checkpoint around it need not keep it."""
    return tensor


class _ChunkedSum(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        states: torch.Tensor,
        terms: Callable[..., torch.Tensor],
        positions: int,
        *others: torch.Tensor,
    ) -> torch.Tensor:
        total = states.new_zeros((), dtype=torch.float32)
        wanted = ctx.needs_input_grad[0]
        gradient = torch.empty_like(states) if wanted else None
        for start in range(0, len(states), positions):
            rows = slice(start, start + positions)
            with torch.set_grad_enabled(wanted), saved_tensors_hooks(_as_it_is, _as_it_is):
                chunk = states[rows].detach().requires_grad_(wanted)
                value = terms(chunk, *(other[rows].detach() for other in others))
                if gradient is not None:
                    gradient[rows] = torch.autograd.grad(value, chunk)[0]
            total += value.detach()
        ctx.save_for_backward(gradient)
        ctx.others = len(others)
        return total

    @staticmethod
    def backward(ctx: Any, upstream: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (gradient,) = ctx.saved_tensors
        return (upstream * gradient, None, None, *[None] * ctx.others)
