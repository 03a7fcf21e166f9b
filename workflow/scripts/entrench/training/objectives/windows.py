"""Windows: which positions of a clean and a wrapped sequence are matched.

A window is a boolean mask for each side, in the shape of this side's padded tokens. The k-th
selected position of row i on one side is matched with the k-th selected position of row i on the
other side. Masks follow the tokens, so a loss does not depend on the padding side. The window
`trailing` is the exception: it counts columns of the padded batch, as the released code does.

Every window but `content` ends at the end of the sequence or of the prompt. The reason is that the
state at a position depends only on the tokens up to it. Where the wrapper stands *after* the clean
text, both sides have equal states on the text before the wrapper, and a window there gives no
signal. Where the wrapper stands in front, the matched suffix also holds the shared question.
"""

from collections.abc import Sequence
from difflib import SequenceMatcher

import torch

from entrench.errors import EntrenchError


def common_suffix(a: Sequence[int], b: Sequence[int]) -> int:
    """The length of the longest common suffix of two token sequences."""
    length = 0
    for x, y in zip(reversed(a), reversed(b), strict=False):
        if x != y:
            break
        length += 1
    return length


def response_positions(prompt: Sequence[int], response: Sequence[int]) -> range:
    """The positions that predict a token of the response."""
    return range(len(prompt) - 1, len(prompt) + len(response) - 1)


def matched_suffix(a: Sequence[int], b: Sequence[int]) -> tuple[range, range]:
    """The positions of the longest common token suffix, in each of the two sequences."""
    length = common_suffix(a, b)
    return range(len(a) - length, len(a)), range(len(b) - length, len(b))


def prompt_suffix(
    prompt_id: str, clean_prompt: Sequence[int], wrapped_prompt: Sequence[int]
) -> tuple[range, range]:
    """The positions of the longest common suffix of the two prompts (Irpan et al. 2025).

    Raises:
        EntrenchError: the prompts end in different tokens. The message names `prompt_id`.
    """
    clean, wrapped = matched_suffix(clean_prompt, wrapped_prompt)
    if not clean:
        raise EntrenchError(
            f"prompt {prompt_id!r}: its clean and wrapped prompt end in different tokens, so the "
            "window `prompt_suffix` is empty: use the window `response` for this data"
        )
    return clean, wrapped


def matched_content(
    clean: Sequence[int], wrapped: Sequence[int], spans: tuple[range, range]
) -> tuple[range, range]:
    """The positions of the longest run of equal tokens within the two spans."""
    one, other = (
        [ids[place] for place in span] for ids, span in zip((clean, wrapped), spans, strict=True)
    )
    found = SequenceMatcher(None, one, other, autojunk=False).find_longest_match()
    first, second = spans[0].start + found.a, spans[1].start + found.b
    return range(first, first + found.size), range(second, second + found.size)


def trailing_masks(
    clean_mask: torch.Tensor, wrapped_mask: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """The released code's window: the last columns of the shorter side, where both have a token.

    Takes the padded attention masks (batch, clean length) and (batch, wrapped length). Returns
    boolean masks of the same shapes. Columns are counted in the padded batch, so the match depends
    on the padding and on the other rows of the batch. This window is for comparison only.
    """
    columns = min(clean_mask.shape[1], wrapped_mask.shape[1])
    both = clean_mask[:, -columns:].bool() & wrapped_mask[:, -columns:].bool()
    clean, wrapped = torch.zeros_like(clean_mask).bool(), torch.zeros_like(wrapped_mask).bool()
    clean[:, -columns:] = both
    wrapped[:, -columns:] = both
    return clean, wrapped
