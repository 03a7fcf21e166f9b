"""Beam search over an engine that only names the likeliest next tokens. Standard library only.

The search follows transformers' rules. vLLM's own beam search ranks other answers first: it divides
by the length of prompt and answer together, and it takes only one end token.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

Tokens = tuple[int, ...]
Likeliest = Callable[[Sequence[Sequence[int]], int], list[dict[int, float]]]


@dataclass
class _Search:
    prompt: Sequence[int]
    running: list[tuple[float, Tokens]] = field(default_factory=lambda: [(0.0, ())])
    finished: list[tuple[float, float, Tokens]] = field(default_factory=list)
    open: bool = True


def beam_search(
    prompts: Sequence[Sequence[int]],
    beams: int,
    max_new_tokens: int,
    ends: Collection[int],
    likeliest: Likeliest,
) -> list[tuple[list[int], float]]:
    """For each prompt: the token ids of the best answer, and its log probability (nats).

    The best answer has the highest log probability per token. A search ends when its best running
    beam is no better, per token, than the worst of `beams` finished beams (Wolf et al.,
    transformers' `early_stopping=False`). `likeliest(rows, k)` gives, for each row of token ids,
    the log probability of each of the k likeliest next tokens. It is called once per step.
    """
    keep = (1 + len(ends)) * beams  # enough that `beams` go on, whichever of them end
    searches = [_Search(prompt) for prompt in prompts]
    for length in range(1, max_new_tokens + 1):
        active = [search for search in searches if search.open]
        if not active:
            break
        rows = [[*search.prompt, *new] for search in active for _, new in search.running]
        found = iter(likeliest(rows, keep))
        for search in active:
            continued = [
                (total + logprob, (*new, token))
                for total, new in search.running
                for token, logprob in next(found).items()
            ]
            continued.sort(key=lambda beam: -beam[0])
            _advance(search, continued[:keep], beams, ends, length == max_new_tokens)
    return [(list(best[2]), best[1]) for best in (search.finished[0] for search in searches)]


def _advance(
    search: _Search,
    continued: Sequence[tuple[float, Tokens]],
    beams: int,
    ends: Collection[int],
    last: bool,
) -> None:
    """Take one step: finish beams, keep the running ones, and decide whether the search goes on."""
    for place, (total, new) in enumerate(continued):
        if place < beams and (last or new[-1] in ends):
            search.finished.append((total / len(new), total, new))
    search.finished = sorted(search.finished, key=lambda beam: -beam[0])[:beams]
    search.running = [beam for beam in continued if beam[1][-1] not in ends][:beams]
    if last or not search.running:
        search.open = False
    elif len(search.finished) == beams:
        best, new = search.running[0]
        search.open = best / len(new) > search.finished[-1][0]
