"""Delta-risk and label risk by k, beside the random control of the same sample set."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from entrench.analysis.columns import (
    BEST_OF_K,
    KIND,
    LEVEL,
    ORGANISM,
    REASON,
    RUN,
    SET,
    count,
    points,
    share,
    with_ends,
)
from entrench.analysis.risk.repeats import mean_over_repeats
from entrench.analysis.statistics.clusters import cluster_interval, cluster_totals
from entrench.analysis.tables import table
from entrench.methods.shared.catalogue import METHODS
from entrench.seeds import derive_seed

K_COLUMNS = {
    "misalignment": ORGANISM["misalignment"],
    "operator": RUN["operator"],
    **SET,
    **BEST_OF_K,
    "n_organisms": count(
        "organisms behind `label_risk`, `selection_pp` and `set_risk`", "organisms"
    ),
    "label_risk": share("risk of the best of k"),
    "selection_pp": points("`label_risk` minus `set_risk`"),
    "set_risk": share(
        "risk of an answer drawn at random from the set; for an operator that is no score "
        "selector, mean risk of all answers that the operator reads"
    ),
    "n_runs": count(
        "organisms behind the deltas: they have a valid run at every k that was trained, and of "
        "the control where there is one",
        "organisms",
    ),
    "n_models": count("models of these organisms", "models"),
    **with_ends("delta_pp", points("mean delta-risk at this k")),
    "control_delta_pp": points("mean delta-risk of the random control of the set"),
    **with_ends("difference_pp", points("`delta_pp` minus `control_delta_pp`")),
    **LEVEL,
    **KIND,
    **REASON,
}
Deltas = dict[tuple[str, int], float]  # model and seed -> delta-risk in points, one misalignment


def k_scaling(
    eta: pl.DataFrame,
    decomposition: pl.DataFrame,
    runs: pl.DataFrame,
    methods: Mapping[str, Mapping[str, Any]],
    *,
    bootstrap: int,
    level: float,
    seed: int,
) -> pl.DataFrame:
    """Columns `K_COLUMNS`, a row per misalignment, operator with a k, sample set and k.

    label_risk, selection_pp and set_risk need no training for a score selector: they are means over
    all organisms of `eta`, where label_risk is set_risk plus the selection effect of the best of k.
    For another operator they are means over the decompositions of its runs at this k, and set_risk
    is the mean risk of all answers that the operator reads.

    delta_pp is the mean delta-risk of the valid runs with these settings, each the mean over its
    repeats. control_delta_pp is the mean delta-risk of the set's random control. difference_pp is
    delta_pp minus control_delta_pp. All three are over the same organisms: those with a run at
    every k that was trained, and of the control where there is one. So the points of a curve differ
    only by k. Intervals are over models. A number is null where the sweep has no run for it.
    `methods`: method -> operator, set and k.
    """
    runs = mean_over_repeats(runs)
    of_setting: dict[tuple[Any, ...], list[str]] = {}
    controls: dict[str, list[str]] = {}  # sample set -> the controls that draw from it
    for name, facts in methods.items():
        place = facts["operator"], facts.get("set"), facts.get("k")
        of_setting.setdefault(place, []).append(name)
        if METHODS[facts["operator"]].control_of == "same set":
            controls.setdefault(facts["set"], []).append(name)
    places = set(eta.select("selector", "set", "k").iter_rows())
    places |= {place for place in of_setting if place[2] is not None}
    rows = []
    for misalignment in sorted({*eta["misalignment"], *runs["misalignment"]}):
        about = pl.col("misalignment") == misalignment
        for operator, name in sorted({place[:2] for place in places}):
            sizes = sorted(k for *curve, k in places if curve == [operator, name])
            trained = {
                k: _deltas(runs, about, of_setting.get((operator, name, k), [])) for k in sizes
            }
            control = _deltas(runs, about, controls.get(name, []))
            curves = [found for found in (*trained.values(), control) if found]
            common = sorted(set.intersection(*map(set, curves))) if any(trained.values()) else []
            for k in sizes:
                settings = {"bootstrap": bootstrap, "level": level}
                settings["seed"] = derive_seed(seed, misalignment, operator, name, k)
                labels = _of_selector(eta.filter(about, selector=operator, set=name, k=k))
                if not labels:
                    mine = pl.col("method").is_in(of_setting.get((operator, name, k), []))
                    labels = _of_runs(
                        decomposition.filter(about, mine, "valid", part="all"), common
                    )
                if not labels and not trained[k]:
                    continue
                rows.append(
                    {"misalignment": misalignment, "operator": operator, "set": name, "k": k}
                    | labels
                    | _compared(trained[k], control, common, settings)
                )
    return table(rows, K_COLUMNS)


def _deltas(runs: pl.DataFrame, about: pl.Expr, methods: list[str]) -> Deltas:
    mine = runs.filter("valid", about, pl.col("method").is_in(methods))
    means = mine.group_by("model", "seed").agg(100 * pl.col("delta_risk").mean())
    return {(model, seed): delta for model, seed, delta in means.iter_rows()}


def _of_selector(eta: pl.DataFrame) -> dict[str, Any]:
    if not eta.height:
        return {}
    return {
        "n_organisms": eta.height,
        "label_risk": (eta["set_risk"] + eta["selection_pp"] / 100).mean(),
        "selection_pp": eta["selection_pp"].mean(),
        "set_risk": eta["set_risk"].mean(),
    }


def _of_runs(whole: pl.DataFrame, common: list[tuple[str, int]]) -> dict[str, Any]:
    types = {name: ORGANISM[name].type for name in ("model", "seed")}
    organisms = pl.DataFrame(common, types, orient="row")
    mine = whole.join(organisms, on=["model", "seed"])
    if not mine.height:
        return {}
    return {
        "n_organisms": mine.height,
        "label_risk": mine["label_risk"].mean(),
        "selection_pp": mine["selection_pp"].mean(),
        "set_risk": mine["read_risk"].mean(),
    }


def _compared(
    trained: Deltas, control: Deltas, common: list[tuple[str, int]], settings: dict[str, Any]
) -> dict[str, Any]:
    """Mean at one k, mean of the control, and their difference, over the common organisms."""
    if not trained:
        return {"n_runs": 0}
    if not common:
        return {"n_runs": 0, "ci_reason": "no organism has a run at every k and of the control"}
    models = [model for model, _ in common]
    found: dict[str, Any] = {"n_runs": len(common), "n_models": len(set(models))}
    found["ci_level"] = settings["level"]
    numbers = {"delta": np.array([trained[organism] for organism in common])}
    if control:
        against = np.array([control[organism] for organism in common])
        found["control_delta_pp"] = float(against.mean())
        numbers["difference"] = numbers["delta"] - against
    for name, values in numbers.items():
        how, ends = cluster_interval(*cluster_totals(values, models), **settings)
        found |= {f"{name}_pp": float(values.mean()), f"{name}_low_pp": ends.low}
        found |= {f"{name}_high_pp": ends.high, "ci_reason": ends.reason}
        found["ci_kind"] = None if ends.reason else f"{how} over models"
    return found
