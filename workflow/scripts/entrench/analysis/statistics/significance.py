"""What counts as no change, and p of many rows at once."""

from collections.abc import Sequence

from scipy import stats

# A delta-risk nearer to 0 than this comes from rounding, not from answers.
ROUNDING = 1e-9


def benjamini_hochberg(values: Sequence[float | None]) -> list[float | None]:
    """q of each p (Benjamini & Hochberg 1995); a p of None has no q and does not count."""
    there = [place for place, p in enumerate(values) if p is not None]
    adjusted: list[float | None] = [None] * len(values)
    if there:
        found = stats.false_discovery_control([values[place] for place in there], method="bh")
        for place, q in zip(there, found, strict=True):
            adjusted[place] = float(q)
    return adjusted
