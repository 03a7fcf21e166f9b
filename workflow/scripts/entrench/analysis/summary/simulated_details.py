"""The further intervals of detail.csv in a simulated study, each beside the truth it is about.

They are printed by the functions that make detail.csv. An interval about new models and prompts is
about 0. What else an interval is about is a mean of what is true of each run, so its truth is what
the same functions print of a study whose changes are the true ones.

`effective_change_pp` needs organisms that were selected. The induction of an organism, item by
item, is a sum of normal numbers:

    organism + item + luck of the answers

All changes of an organism lose this luck, since its risk is what they subtract. So organisms that
are selected by luck fall by luck. Differences of two runs on one organism hold none of it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from scipy.special import ndtr, stdtrit

from entrench.analysis.statistics.effect import MODELS, NEW
from entrench.analysis.statistics.halves import HALVES, Half, halves_of
from entrench.analysis.statistics.shared_prompts import Shares, item_variance
from entrench.analysis.summary.changes import Row, of_mean
from entrench.analysis.summary.contrasts import Facts, contrasts
from entrench.analysis.summary.coverage import Printed
from entrench.analysis.summary.detail import (
    contrast_details,
    effective_change,
    of_effect,
    pooled_details,
    share_fell,
)
from entrench.analysis.summary.lines import method_lines, with_beyond
from entrench.analysis.summary.names import organism_name
from entrench.analysis.summary.simulation import (
    STRATA,
    Simulated,
    Study,
    by_items,
    training_variances,
)

BEYOND, EFFECTIVE, CONTRAST = "beyond_self_training_pp", "effective_change_pp", "difference_pp"
FELL, POOLED = "share_fell", "partly_pooled_change_pp"
# What an interval of `FELL` or `POOLED` is about. Items are given.
OVER_MODELS, OVER_ORGANISMS, ONE_MODEL = "exact over models", "exact over organisms", "one model"
# Mean and standard deviation of an organism's true induction: luck decides about many.
INDUCTION = (0.4, 0.15)

_NAMES = [str(item) for item in range(len(STRATA))]
_HALF = halves_of(_NAMES, STRATA.astype(str).tolist(), _NAMES)
_ITEMS = [np.flatnonzero(half == _HALF) for half in range(len(HALVES))]
_OWN_STRATA = [np.unique(STRATA[items], return_inverse=True)[1] for items in _ITEMS]
_UNMOVED = [
    Shares(np.zeros(len(items)), own) for items, own in zip(_ITEMS, _OWN_STRATA, strict=True)
]

Rows = Mapping[str, Sequence[Row]]  # misalignment -> its rows
Entries = dict[tuple[str, str, str], dict[str, Any]]  # quantity, misalignment, row -> in detail.csv
Maker = Callable[[Rows], Entries]


def printed_details(
    study: Study,
    methods: Facts,
    models: Facts,
    *,
    item_sd: float,
    level: float,
    generator: np.random.Generator,
) -> Iterator[Printed]:
    """The further intervals of a study, without those of `POOLED`.

    `methods` and `models` as for `contrasts`; `item_sd` (a fraction) is how far items and luck move
    the induction of an organism.
    """
    rows: dict[str, list[Row]] = _rows(study)
    facts: dict[str, Row] = {}
    for about, own in rows.items():
        luck, found = _inductions(own, item_sd, level, generator)
        facts |= found
        runs = [run for row in study[about].values() for run in row]
        _with_halves(own, runs, luck)
    makers: tuple[Maker, ...] = (
        lambda rows: _differences(rows, methods, models, level),
        lambda rows: _effective(rows, facts, methods, level),
    )
    for maker in makers:
        made = maker(rows)
        abouts = {entry["about"] for entry in made.values()} - {NEW}
        of_true = {about: maker(_rows(study, about)) for about in abouts}
        for key, entry in made.items():
            about = entry["about"]
            truth = 0.0 if about == NEW else of_true[about][key]["value"]
            yield from _printed(key[0], about, entry, truth, 100)
    for about, own in rows.items():
        for line in method_lines(about, own, methods):
            entry = share_fell(line.rows, level)
            if (kind := entry["about"]) in (OVER_MODELS, OVER_ORGANISMS):
                runs = [
                    run
                    for name in dict.fromkeys(row["method"] for row in line.rows)
                    for run in study[about][name]
                ]
                true = _share_that_falls(runs, NEW if kind == OVER_MODELS else MODELS)
                yield from _printed(FELL, kind, entry, true, 1)


def printed_pooled(study: Study, level: float) -> Iterator[Printed]:
    """The intervals of `POOLED`; a fit of a large study takes long."""
    for about, rows in _rows(study).items():
        true: dict[tuple[str, str], list[float]] = {}
        for method, row in study[about].items():
            for run in row:
                true.setdefault((run.model, method), []).append(run.true[MODELS] + run.common)
        for entry in pooled_details({about: rows}, level):
            known = true[entry["about"], entry["row"]]
            yield from _printed(POOLED, ONE_MODEL, entry, 100 * float(np.mean(known)), 100)


def _printed(
    quantity: str, about: str, entry: Mapping[str, Any], true: float, unit: int
) -> Iterator[Printed]:
    """An entry with an interval; it and the truth are in this unit, 100 for points."""
    if entry["low"] is not None:
        numbers = (entry["value"], entry["low"], entry["high"], true)
        yield Printed(quantity, about, *(number / unit for number in numbers))


def _share_that_falls(runs: Sequence[Simulated], about: str) -> float:
    """The chance that the change of such a run, on these items, is below 0; mean over runs."""
    means = np.array([run.true[about] + run.common for run in runs])
    variances = np.array([run.variances[about] for run in runs])
    return float(ndtr(-means / variances**0.5).mean())


def _differences(rows: Rows, methods: Facts, models: Facts, level: float) -> Entries:
    """What detail.csv says of differences of these rows."""
    differences = {about: dict(contrasts(own, methods, models)) for about, own in rows.items()}
    lines = [line for about, own in rows.items() for line in method_lines(about, own, methods)]
    with_beyond(lines, differences, methods)
    beyond = {
        (BEYOND, line.misalignment, line.method): of_effect(line.beyond, level, most=2.0)
        for line in lines
        if line.beyond
    }
    return beyond | {
        (CONTRAST, entry["misalignment"], entry["row"]): entry
        for entry in contrast_details(differences, level)
    }


def _effective(rows: Rows, facts: Mapping[str, Row], methods: Facts, level: float) -> Entries:
    """What detail.csv says of organisms whose induction worked."""
    found = {}
    for about, own in rows.items():
        for line in method_lines(about, own, methods):
            entry = effective_change(line.rows, facts, level)
            if "value" in entry:
                found[EFFECTIVE, about, line.method] = entry
    return found


def _rows(study: Study, about: str | None = None) -> dict[str, list[Row]]:
    """The rows of `changes`; or, without items, what is true `about` the runs as their changes."""
    trainings = training_variances(study)
    rows: dict[str, list[Row]] = {}
    for misalignment, own in study.items():
        rows[misalignment] = []
        for method, row in own.items():
            spread = trainings.get((misalignment, method))
            for run in row:
                change = run.mean if about is None else run.true[about]
                times = len(run.changes)
                rows[misalignment].append(
                    {
                        "model": run.model,
                        "misalignment": misalignment,
                        "seed": run.seed,
                        "method": method,
                        "repeat": 1,
                        "valid": True,
                        "delta_risk": change,
                        "ci_low": None,
                        "ci_high": None,
                        "ci_reason": None,
                        "trainings": times,
                        "training": of_mean(spread, times),
                        "shares": run.shares if about is None else None,
                        "halves": tuple(Half(change, none) for none in _UNMOVED),
                    }
                )
    return rows


def _inductions(
    rows: Sequence[Row], item_sd: float, level: float, generator: np.random.Generator
) -> tuple[dict[str, np.ndarray], dict[str, Row]]:
    """The luck of each organism [items], and its row of organisms.csv.

    A half of the items shows an induction where its interval over items lies above 0.
    """
    organisms = sorted({organism_name(row) for row in rows})
    shape = (len(organisms), len(STRATA))
    mean, sd = INDUCTION
    true = mean + sd * generator.standard_normal((len(organisms), 1))
    luck = item_sd * generator.standard_normal(shape)
    seen = true + item_sd * generator.standard_normal(shape) + luck
    shown = []
    for items, strata in zip(_ITEMS, _OWN_STRATA, strict=True):
        found, shares = by_items(seen[:, items], strata)
        free = len(items) - len(np.unique(strata))
        quantile = -float(stdtrit(free, (1 - level) / 2))
        shown.append(found > quantile * item_variance(shares, strata) ** 0.5)
    facts = {
        name: {f"effective_{half}": bool(own[n]) for half, own in zip(HALVES, shown, strict=True)}
        for n, name in enumerate(organisms)
    }
    return dict(zip(organisms, luck, strict=True)), facts


def _with_halves(
    rows: Sequence[Row], runs: Sequence[Simulated], luck: Mapping[str, np.ndarray]
) -> None:
    """Give each row the change on each half of the items, less the luck of its organism there."""
    moves = np.array([run.moves for run in runs])
    without = np.array([run.mean for run in runs]) - by_items(moves)[0]
    moves -= [luck[organism_name(row)] for row in rows]
    halves = []
    for items, strata in zip(_ITEMS, _OWN_STRATA, strict=True):
        moved, shares = by_items(moves[:, items], strata)
        changes = (without + moved).tolist()
        halves.append(
            [Half(one, Shares(own, strata)) for one, own in zip(changes, shares, strict=True)]
        )
    for row, *both in zip(rows, *halves, strict=True):
        row["halves"] = tuple(both)
