"""The texts of a figure as they are drawn: their places, and which of them touch."""

from collections.abc import Iterator
from itertools import combinations

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

TOUCH = 1.0  # pixels that two boxes may share: a box is a little larger than its letters


def places(figure: Figure) -> list[tuple[str, Bbox]]:
    """Each text that is drawn, with its box in pixels; the lines of arrows are left aside."""
    figure.canvas.draw()
    texts = [*figure.texts, *(text for legend in figure.legends for text in legend.get_texts())]
    for axis in figure.axes:
        texts += _texts(axis)
    return [
        (text.get_text(), Text.get_window_extent(text))
        for text in texts
        if text.get_visible() and text.get_text().strip()
    ]


def _texts(axis: Axes) -> Iterator[Text]:
    yield from axis.texts
    for side in ("left", "center", "right"):
        yield {"left": axis._left_title, "center": axis.title, "right": axis._right_title}[side]
    yield from (axis.xaxis.label, axis.yaxis.label)
    for one, limits in ((axis.xaxis, axis.get_xlim()), (axis.yaxis, axis.get_ylim())):
        low, high = sorted(limits)
        for place, label in zip(one.get_ticklocs(), one.get_ticklabels(), strict=False):
            if low <= place <= high:
                yield label


def overlapping(figure: Figure) -> list[tuple[str, str]]:
    """Pairs of texts whose boxes overlap."""
    found = []
    for (one, box), (other, beside) in combinations(places(figure), 2):
        shared = Bbox.intersection(box, beside)
        if shared is not None and min(shared.width, shared.height) > TOUCH:
            found.append((one, other))
    return found


def cut(figure: Figure) -> list[str]:
    """Texts that reach over the edge of the figure."""
    whole = figure.bbox.padded(TOUCH)
    return [
        text
        for text, box in places(figure)
        if box.x0 < whole.x0 or box.y0 < whole.y0 or box.x1 > whole.x1 or box.y1 > whole.y1
    ]


def smallest(figure: Figure) -> float:
    """The size of the smallest text, in points."""
    texts = [*figure.texts, *(text for axis in figure.axes for text in _texts(axis))]
    return min(text.get_fontsize() for text in texts if text.get_text().strip())
