"""variance.csv: where the uncertainty of a change in risk comes from, and what would lessen it.

The mean change of a method over M models, N organisms, T trainings, P items and D draws of an
answer has about the variance

    model^2 / M + organism^2 / N + training^2 / T + item^2 / P + draw^2 / (N D)

with the standard deviations of this table. More of a kind lessens its own summand alone.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from entrench.analysis.columns import count, points, share, text
from entrench.analysis.statistics.effect import common_items, organism_means
from entrench.analysis.statistics.pooling import pool
from entrench.analysis.summary.changes import (
    Prompts,
    Row,
    changes,
    common_organism_variance,
    common_training_variance,
    unit_of,
)
from entrench.analysis.summary.names import organism_name
from entrench.analysis.tables import table

SLACK = 0.05  # how much larger a standard error with fewer items may be
COMPONENTS = ("models", "organisms", "trainings", "items", "draws")
VARIANCE_COLUMNS = {
    "misalignment": text("the misalignment that phase 1 induced"),
    "component": text(
        "`models`; `organisms` of a model; `trainings` of an organism; `items`, which move all "
        "runs alike; `draws` of answers to a prompt"
    ),
    "sd_pp": points("standard deviation of the change in risk between two of them"),
    "n": count("how many of them a method's mean rests on, as the median over methods"),
    "variance_share": share("share of the variance of this mean that they cause"),
    "se_pp": points("standard error of this mean as it is"),
    "se_doubled_pp": points("its standard error with twice as many of them, all else equal"),
    "note": text("why there is no number, or what else a number holds"),
}


def variance_table(runs: pl.DataFrame, prompts: Prompts) -> pl.DataFrame:
    """A row per misalignment and component; columns `VARIANCE_COLUMNS`.

    `prompts`: name of a training -> its changes by prompt. A component that the runs cannot show
    has a note in place of numbers, and counts as 0 in the others' shares.
    """
    training = common_training_variance(runs)
    redrawn = set(runs.filter(pl.col("pool") > 1)["misalignment"])
    rows: list[dict[str, Any]] = []
    for misalignment, measured in changes(runs, prompts).items():
        valid = [row for row in measured if row["valid"]]
        if valid:
            rows += _rows(misalignment, valid, training.get(misalignment), misalignment in redrawn)
    return table(rows, VARIANCE_COLUMNS)


def advice(variances: pl.DataFrame) -> list[str]:
    """A sentence for each misalignment: what would lessen the standard error of a method's mean."""
    sentences = []
    for (misalignment,), own in variances.group_by("misalignment", maintain_order=True):
        known = own.filter(pl.col("se_doubled_pp").is_not_null()).sort("se_doubled_pp")
        if not known.height:
            continue
        options = ", ".join(
            f"{row['component']} {row['se_doubled_pp']:.1f}" for row in known.iter_rows(named=True)
        )
        now = known["se_pp"][0]
        told = f"{misalignment}: standard error {now:.1f} points; with twice the {options}"
        sentences.append(". ".join([told, *_exchanges(known)]))
    return sentences


def _exchanges(known: pl.DataFrame) -> Iterator[str]:
    """What one more model is worth in organisms, and how few items would nearly do."""
    shares = dict(known.select("component", "variance_share").iter_rows())
    numbers = dict(known.select("component", "n").iter_rows())
    on_models = sum(share for name, share in shares.items() if name not in ("models", "items"))
    if "models" in shares and "organisms" in shares:
        # One more model, with as many organisms, lessens all but the items' part.
        saved = (shares["models"] + on_models) / (numbers["models"] + 1)
        left = on_models - saved
        if left > 0:
            more = numbers["organisms"] * saved / left
            yield f"One more model is worth {more:.2g} more organisms of these models"
        else:
            yield "No number of organisms of these models is worth one more model"
    if item_share := shares.get("items"):
        enough = item_share / (item_share + (1 + SLACK) ** 2 - 1)
        yield f"With {enough:.0%} of the items it would be {SLACK:.0%} larger"


def _rows(
    misalignment: str, runs: Sequence[Row], training: float | None, redrawn: bool
) -> list[dict[str, Any]]:
    methods: dict[str, list[Row]] = {}
    for row in runs:
        methods.setdefault(row["method"], []).append(row)
    notes: dict[str, str] = {}
    known: dict[str, float] = {}  # component -> variance between two of them
    draws = [row["draws_se"] for row in runs if row["draws_se"] is not None]
    if draws:
        known["draws"] = float(np.mean(np.square(draws)))
    else:
        notes["draws"] = "each prompt has one answer"
    if training is None:
        notes["trainings"] = "no run is repeated"
    else:
        known["trainings"] = training
        if redrawn:
            notes["trainings"] = "repeats draw the organism's pool again: the luck of it is in here"
    items = [found for own in methods.values() if (found := _items(own)) is not None]
    if items:
        variances, numbers = zip(*items, strict=True)
        known["items"] = float(np.mean(variances)) * float(np.median(numbers))
    else:
        notes["items"] = "the changes of each prompt are not known"
    fitted = pool(
        [row["delta_risk"] for row in runs],
        [row["model"] for row in runs],
        [organism_name(row) for row in runs],
        [row["method"] for row in runs],
    )
    between: float | None
    if isinstance(fitted, str):
        notes["models"] = fitted
        between = common_organism_variance([list(map(unit_of, own)) for own in methods.values()])
    else:
        known["models"] = fitted.sd["model"] ** 2 + fitted.sd["model_and_method"] ** 2
        between = fitted.sd["organism"] ** 2 + fitted.sd["rest"] ** 2
    if between is None:
        notes["organisms"] = "no model has two organisms"
    else:  # organisms differ by trainings and draws too: these have rows of their own
        rest = between - known.get("trainings", 0.0) - known.get("draws", 0.0)
        known["organisms"] = max(rest, 0.0)
    numbers_of = _numbers(methods, items)
    weights = dict(numbers_of)
    weights["draws"] = numbers_of["organisms"]  # a run's draws are averaged in its own error
    parts = {name: known[name] / weights[name] for name in known if weights[name]}
    whole = sum(parts.values())
    rows = []
    for name in COMPONENTS:
        row = {"misalignment": misalignment, "component": name, "note": notes.get(name)}
        row |= {"n": numbers_of[name] or None}
        if name in parts:
            sd = known[name] ** 0.5
            row |= {
                "sd_pp": 100 * sd * (numbers_of["draws"] ** 0.5 if name == "draws" else 1),
                "variance_share": parts[name] / whole if whole else 0.0,
                "se_pp": 100 * whole**0.5,
                "se_doubled_pp": 100 * max(whole - parts[name] / 2, 0.0) ** 0.5,
            }
        rows.append(row)
    return rows


def _items(runs: Sequence[Row]) -> tuple[float, int] | None:
    """The variance that items cause in a method's mean, and how many items there are."""
    units = organism_means([unit_of(row) for row in runs])
    if any(unit.shares is None for unit in units):
        return None
    found = common_items(units)
    return None if found is None else (found, len(units[0].shares.values))  # type: ignore[union-attr]


def _numbers(
    methods: Mapping[str, Sequence[Row]], items: Sequence[tuple[float, int]]
) -> dict[str, int]:
    """How many of each component a method's mean rests on: the median over methods."""

    def median(of: Sequence[float]) -> int:
        return int(np.median(of)) if len(of) else 0

    own = list(methods.values())
    draws = [row["draws"] for runs in own for row in runs if row["draws"] is not None]
    return {
        "models": median([len({row["model"] for row in runs}) for runs in own]),
        "organisms": median([len({organism_name(row) for row in runs}) for runs in own]),
        "trainings": median([sum(row["trainings"] for row in runs) for runs in own]),
        "items": median([number for _, number in items]),
        "draws": median(draws),
    }
