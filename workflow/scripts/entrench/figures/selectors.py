"""Marker and colour of the methods that score answers: each method's file sets its own."""

from entrench.figures import style
from entrench.methods.shared.catalogue import SELECTORS


def look(operator: str) -> tuple[str, str]:
    """Marker and colour of an operator's curve; operators without a score share one look.

    The colour says consistency or control, as in all figures.
    """
    if operator not in SELECTORS:
        return "D", style.CONSISTENCY
    return SELECTORS[operator].marker, getattr(style, SELECTORS[operator].colour)
