"""Contrasts: differences between delta-risks of matched runs.

Matched runs share whatever would otherwise blur the difference: the organism, or the method and the
seed. A contrast A - B is a name and its units. Each unit is a difference of two delta-risks
(fractions) with the clusters that it belongs to. Below 0, A's delta-risk is the lower one.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, permutations
from typing import Any

import numpy as np
import polars as pl

from entrench.analysis.columns import ORGANISM, points, text
from entrench.analysis.risk.repeats import mean_over_repeats
from entrench.analysis.statistics.effect import Unit
from entrench.analysis.statistics.moderation import Variance
from entrench.analysis.statistics.shared_prompts import Shares
from entrench.analysis.summary.names import organism_name, pooled, run_name
from entrench.analysis.tables import table
from entrench.methods.shared.catalogue import METHODS

Row = dict[str, Any]  # a row of runs_detail.csv, or of `changes`
Facts = Mapping[str, Mapping[str, Any]]  # method or model -> its entry of the config


@dataclass(frozen=True)
class Difference(Unit):
    """A unit that is `first` minus `second`: two delta-risks (fractions), or means of them.

    `organism` and `model` are the clusters of the unit. `organisms` and `models` name those on both
    sides of the difference.
    """

    first: float = 0.0
    second: float = 0.0
    method: str = ""  # the method of both runs, or A where both are on one organism
    organisms: str = ""
    models: str = ""
    runs: tuple[str, ...] = ()  # names of the runs on both sides


Contrast = tuple[str, list[Difference]]

GROUPS = ("on-policy", "labels", "regularisers", "controls")  # of methods
CONTRAST_COLUMNS = {
    "misalignment": ORGANISM["misalignment"],
    "contrast": text("the contrast, A - B"),
    "organism": text("the organism of both sides, or the organism of A and the one of B"),
    "model": text("the model of both sides, or the model of A and the one of B"),
    "method": text("the method of both runs; in a contrast on one organism, A"),
    "first_pp": points("delta-risk of A, or its mean over A's methods"),
    "second_pp": points("delta-risk of B, or its mean over B's methods"),
    "difference_pp": points("`first_pp` minus `second_pp`"),
}


def contrasts(runs: Sequence[Row], methods: Facts, models: Facts) -> Iterator[Contrast]:
    """The contrasts among the valid `runs` of one misalignment; one without a pair is left out.

    instruct - base                    the same method and seed on two models of one family and size
    larger - smaller                   the same method and seed on two models of one family and kind
    labels - regularisers, labels - controls, on-policy - regularisers, ...
                                       on one organism: the mean over the methods of each group
    METHOD - CONTROL                   on one organism: a control of all methods, a control of the
                                       sample set that METHOD reads (METHOD may read greedy and beam
                                       answers as well), or one of methods on-policy

    The first two take the methods that are `pooled`. Their clusters are the pair of models and the
    pair of organisms. Where pairs of a family share a model, the clusters are the whole family, and
    all its organisms of a seed. Variants are in no group of methods.

    `methods`: method -> operator, kind and, where it has them, set and variant_of. `models`: model
    -> kind, family, size_billion.
    """
    consistency = [run for run in runs if pooled(methods[run["method"]])]
    yield from _between_models(consistency, models)
    by_organism: dict[str, dict[str, Row]] = {}
    for run in runs:
        by_organism.setdefault(organism_name(run), {})[run["method"]] = run
    yield from _between_groups(by_organism, methods)
    yield from _between_methods(by_organism, methods)


def contrast_table(runs: pl.DataFrame, methods: Facts, models: Facts) -> pl.DataFrame:
    """One row per difference behind the summary's contrasts, in percentage points.

    A run's delta-risk is its mean over repeats.
    """
    ordered = (
        mean_over_repeats(runs).filter("valid").sort("misalignment", "model", "seed", "method")
    )
    rows = [
        {
            "misalignment": misalignment,
            "contrast": name,
            "organism": unit.organisms,
            "model": unit.models,
            "method": unit.method,
            "first_pp": 100 * unit.first,
            "second_pp": 100 * unit.second,
            "difference_pp": 100 * unit.value,
        }
        for (misalignment,), own in ordered.group_by("misalignment", maintain_order=True)
        for name, units in contrasts(own.to_dicts(), methods, models)
        for unit in units
    ]
    return table(rows, CONTRAST_COLUMNS)


def _between_models(runs: Sequence[Row], models: Facts) -> Iterator[Contrast]:
    pairs: dict[str, list[tuple[str, str]]] = {"instruct - base": [], "larger - smaller": []}
    for one, other in permutations(sorted({run["model"] for run in runs}), 2):
        first, second = models[one], models[other]
        if first.get("family") is None or first["family"] != second.get("family"):
            continue
        size, other_size = first.get("size_billion"), second.get("size_billion")
        if size is None or other_size is None:
            continue
        if size == other_size and (first["kind"], second["kind"]) == ("instruct", "base"):
            pairs["instruct - base"].append((one, other))
        if first["kind"] == second["kind"] and size > other_size:
            pairs["larger - smaller"].append((one, other))
    run_of = {(run["model"], run["method"], run["seed"]): run for run in runs}
    for name, matched in pairs.items():
        units = []
        times = Counter(model for pair in matched for model in pair)
        entangled = {models[name]["family"] for name, often in times.items() if often > 1}
        for one, other in matched:
            family = models[one]["family"]
            for model, method, seed in sorted(run_of):
                if model == one and (other, method, seed) in run_of:
                    first, second = run_of[one, method, seed], run_of[other, method, seed]
                    unit = _difference([first], [second], method)
                    if family in entangled:
                        unit = replace(unit, model=family, organism=f"{family}/seed{seed}")
                    units.append(unit)
        if units:
            yield name, units


def _between_groups(
    by_organism: Mapping[str, Mapping[str, Row]], methods: Facts
) -> Iterator[Contrast]:
    for one, other in combinations(GROUPS, 2):
        units = []
        for runs in by_organism.values():
            groups: dict[str, list[Row]] = {one: [], other: []}
            for method in sorted(runs):
                if methods[method].get("variant_of") is None:
                    groups.setdefault(_group(methods[method]), []).append(runs[method])
            if groups[one] and groups[other]:
                units.append(_difference(groups[one], groups[other], one))
        if units:
            yield f"{one} - {other}", units


def _between_methods(
    by_organism: Mapping[str, Mapping[str, Row]], methods: Facts
) -> Iterator[Contrast]:
    names = sorted({method for runs in by_organism.values() for method in runs})
    of_all, of_sets, of_on_policy = (
        [name for name in names if METHODS[methods[name]["operator"]].control_of == what]
        for what in ("all", "same set", "on-policy")
    )
    of_on_policy += [
        name
        for name in names
        if name not in of_on_policy and _group(methods[name]) == "controls on-policy"
    ]
    for method in names:
        own_set = methods[method].get("set")
        of_set = [name for name in of_sets if methods[name]["set"] == own_set]
        own = of_on_policy if _group(methods[method]) == "on-policy" else []
        for control in [*of_all, *(of_set if method not in of_sets else []), *own]:
            if method == control:
                continue
            units = [
                _difference([runs[method]], [runs[control]], method)
                for runs in by_organism.values()
                if method in runs and control in runs
            ]
            if units:
                yield f"{method} - {control}", units


def _group(facts: Mapping[str, Any]) -> str:
    operator = METHODS[facts["operator"]]
    if facts["kind"] == "control":  # those of methods on-policy control nothing else
        return "controls on-policy" if operator.on_policy else "controls"
    if operator.on_policy:
        return "on-policy"
    return "labels" if operator.makes_labels else "regularisers"


def _difference(first: Sequence[Row], second: Sequence[Row], what: str) -> Difference:
    """Mean delta-risk of `first` minus mean delta-risk of `second`, each of one organism's runs."""
    organisms = _unique(organism_name(run) for run in (first[0], second[0]))
    models = _unique(run["model"] for run in (first[0], second[0]))
    return Difference(
        value=_mean(first) - _mean(second),
        organism=" - ".join(organisms),
        model=" - ".join(models),
        trainings=sum(run.get("trainings", 1) for run in (*first, *second)),
        training=_training(first, second),
        shares=_shares(first, second),
        first=_mean(first),
        second=_mean(second),
        method=what,
        organisms=" - ".join(organisms),
        models=" - ".join(models),
        runs=tuple(run_name(run) for run in (*first, *second)),
    )


def _training(first: Sequence[Row], second: Sequence[Row]) -> Variance | None:
    """The variance that training causes in the difference, as if the two sides erred apart.

    Trainings on one side add up in standard deviation: they share organism and seed.
    """
    sides: list[list[Variance]] = []
    for runs in (first, second):
        found = [run.get("training") for run in runs]
        sides.append([one for one in found if one is not None])
        if len(sides[-1]) < len(runs):
            return None
    known = [one for side in sides for one in side]
    value = sum((sum(one.value**0.5 for one in side) / len(side)) ** 2 for side in sides)
    free = min(one.free for one in known)
    return Variance(value, free, any(one.carried for one in known))


def _shares(first: Sequence[Row], second: Sequence[Row]) -> Shares | None:
    """How far each prompt moves the difference; None where a run's prompts are not known."""
    if any(run.get("shares") is None for run in (*first, *second)):
        return None
    strata = first[0]["shares"].strata
    means = [
        sum((run["shares"].values for run in runs), np.zeros(len(strata))) / len(runs)
        for runs in (first, second)
    ]
    return Shares(means[0] - means[1], strata)


def _unique(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))


def _mean(runs: Sequence[Row]) -> float:
    return sum(run["delta_risk"] for run in runs) / len(runs)
