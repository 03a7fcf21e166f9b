"""Which positions of a clean and a wrapped sequence belong together. Standard library and torch.

A window is a boolean mask per side, shaped like that side's padded tokens: the k-th selected
position of row i on one side is matched with the k-th selected position of row i on the other.
Masks follow the tokens, so a loss over them does not depend on the padding side; `trailing` alone
counts columns of the padded batch, as the released code does.

Causality: the state at a position depends on the tokens up to it. Where the wrapper stands *behind*
the clean text, both sides have the same states on the text before it by construction, and a window
there would carry no signal; every window here therefore ends at the end of the sequence or prompt.
Where the wrapper stands in front, the matched suffix reaches back through the shared question.
"""

from collections.abc import Sequence

import torch

from entrench.errors import EntrenchError


def common_suffix(a: Sequence[int], b: Sequence[int]) -> int:
    """Length of the longest common suffix of two token sequences."""
    length = 0
    for x, y in zip(reversed(a), reversed(b), strict=False):
        if x != y:
            break
        length += 1
    return length


def response_positions(prompt: Sequence[int], response: Sequence[int]) -> range:
    """Positions whose next-token prediction is a token of the response."""
    return range(len(prompt) - 1, len(prompt) + len(response) - 1)


def matched_suffix(a: Sequence[int], b: Sequence[int]) -> tuple[range, range]:
    """Positions of the longest common token suffix, in each of the two sequences."""
    length = common_suffix(a, b)
    return range(len(a) - length, len(a)), range(len(b) - length, len(b))


def prompt_suffix(
    prompt_id: str, clean_prompt: Sequence[int], wrapped_prompt: Sequence[int]
) -> tuple[range, range]:
    """Positions of the common suffix of the two prompts alone (Irpan et al. 2025).

    Raises an `EntrenchError` that names the prompt where the prompts end in different tokens.
    """
    clean, wrapped = matched_suffix(clean_prompt, wrapped_prompt)
    if not clean:
        raise EntrenchError(
            f"prompt {prompt_id!r}: its clean and wrapped prompt end in different tokens, so the "
            "window `prompt_suffix` is empty: use the window `response` for this data"
        )
    return clean, wrapped


def trailing_masks(
    clean_mask: torch.Tensor, wrapped_mask: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """The released code's window: the last min-length columns, where both sides hold a token.

    Takes the padded attention masks (batch, clean length) and (batch, wrapped length); returns
    boolean masks of the same shapes. Columns are counted in the padded batch, so the match shifts
    with the padding and with the rows that share a batch: for comparison only.
    """
    columns = min(clean_mask.shape[1], wrapped_mask.shape[1])
    both = clean_mask[:, -columns:].bool() & wrapped_mask[:, -columns:].bool()
    clean, wrapped = torch.zeros_like(clean_mask).bool(), torch.zeros_like(wrapped_mask).bool()
    clean[:, -columns:] = both
    wrapped[:, -columns:] = both
    return clean, wrapped
