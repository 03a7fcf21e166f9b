"""The columns of tables: type in the CSV, unit and meaning, each said once.

A table is described by a mapping of column names to `Column`. Columns that several tables share,
and the ends of intervals, are made here, so that their meaning stands in one place.
"""

from collections.abc import Mapping
from dataclasses import dataclass

# Types that polars reads as its own. It is not imported here: a job that only counts starts without
# it three times as fast.
TEXT, NUMBER, COUNT, YES_NO = str, float, int, bool


@dataclass(frozen=True)
class Column:
    """A column of a table. `unit` is empty for names, yes or no, and plain numbers."""

    type: type
    meaning: str
    unit: str = ""

    def __str__(self) -> str:
        """The meaning with the unit behind it; a count has no unit there, its meaning names it."""
        return f"{self.meaning} ({self.unit})" if self.unit and self.type != COUNT else self.meaning


Columns = Mapping[str, Column]


def text(meaning: str) -> Column:
    """A column of names, words or sentences."""
    return Column(TEXT, meaning)


def yes_no(meaning: str) -> Column:
    """A column of true and false."""
    return Column(YES_NO, meaning)


def count(meaning: str, unit: str = "") -> Column:
    """A column of whole numbers; `unit` names the things counted."""
    return Column(COUNT, meaning, unit)


def number(meaning: str, unit: str = "") -> Column:
    """A column of numbers in any unit, or without one."""
    return Column(NUMBER, meaning, unit)


def share(meaning: str) -> Column:
    """A column of shares and rates."""
    return number(meaning, "share, 0 to 1")


def probability(meaning: str) -> Column:
    """A column of p or q."""
    return number(meaning, "probability, 0 to 1")


def change(meaning: str) -> Column:
    """A column of differences of two shares."""
    return number(meaning, "difference of shares, -1 to 1")


def points(meaning: str) -> Column:
    """A column of percentage points; its name ends in _pp."""
    return number(meaning, "percentage points")


def ends(name: str, of: str, unit: str) -> dict[str, Column]:
    """The ends of an interval, NAME_low and NAME_high; a name in _pp keeps it: NAME_low_pp.

    `of` names the number that the interval belongs to: "the mean over organisms".
    """
    stem = name.removesuffix("_pp")
    last = name.removeprefix(stem)
    return {
        f"{stem}_{end}{last}": number(f"{word} end of the interval of {of}", unit)
        for end, word in (("low", "lower"), ("high", "upper"))
    }


def with_ends(name: str, column: Column, stem: str | None = None) -> dict[str, Column]:
    """A number and the ends of its interval, named after `stem`, by default after the number."""
    return {name: column, **ends(stem or name, f"`{name}`", column.unit)}


LEVEL = {"ci_level": share("level of the row's intervals: 0.95 for a 95% interval")}
KIND = {
    "ci_kind": text(
        "how the interval was made, and over which units: `bootstrap over organisms`, `t over "
        "models` (Student's t), `exact over models` (for a share), `prompts of one run`"
    )
}
REASON = {"ci_reason": text("why there is no interval; empty where there is one")}


def over_prompts(of: str, unit: str) -> dict[str, Column]:
    """The columns of a number's interval over prompts: ends, level, and why there is none."""
    about = f"{of}, over prompts and about these weights: a repeat may lie outside"
    return {**ends("ci", about, unit), **LEVEL, **REASON}


ORGANISM = {
    "model": text("the model that the organism was made from, by its name in the config"),
    "misalignment": text("the misalignment that phase 1 induced"),
    "seed": count("the organism's seed"),
}
RUN = {
    **ORGANISM,
    "method": text("the method of the run, by its name in the config"),
    "operator": text("the operator behind the method; methods can share one"),
    "kind": text("`consistency`, or `control`: trained without any selection for consistency"),
}
REPEAT = {
    "repeat": count(
        "1 for the first training of a run, 2 and more for its repeats, which have another "
        "training seed"
    )
}
POOL = {
    "pool": count(
        "number of the pool that labels come from: 1, or that of the repeat where a block of "
        "`sweep` has `redraw`"
    )
}
EVALUATION = {"evaluation": text("the decoding under which risk was measured")}
EFFECTIVE = {
    "effective": yes_no(
        "whether induction was shown to work: `induction_effect` in organisms.csv is at least "
        "`statistics.min_induction_effect`, and its interval lies above 0"
    )
}
SET = {"set": text("the sample set that answers come from")}
BEST_OF_K = {"k": count("number of answers of the set that one is chosen from", "answers")}
