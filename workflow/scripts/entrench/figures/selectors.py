"""How a method that scores answers looks in figures: the method says it."""

from entrench.figures import style
from entrench.methods.shared.catalogue import SELECTORS


def look(operator: str) -> tuple[str, str]:
    """Marker and colour of its curve; one look for all operators without a score."""
    if operator not in SELECTORS:
        return "D", style.DOT
    return SELECTORS[operator].marker, getattr(style, SELECTORS[operator].colour)
