"""The mechanism's tables of the study, put together from tables of organisms and runs."""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from entrench.analysis.columns import (
    EFFECTIVE,
    ORGANISM,
    RUN,
    Columns,
    count,
    points,
    share,
    yes_no,
)
from entrench.analysis.mechanism.decomposition import DECOMPOSITION_COLUMNS
from entrench.analysis.mechanism.divergence import KL_COLUMNS, realised_kl
from entrench.analysis.mechanism.eta import proposition
from entrench.analysis.mechanism.eta_columns import (
    BIN_COLUMNS,
    ETA_COLUMNS,
    SIGNS_PREDICTED,
    SIGNS_RIGHT,
)
from entrench.analysis.mechanism.flips import FLIP_COLUMNS
from entrench.analysis.mechanism.k_scaling import K_COLUMNS
from entrench.analysis.mechanism.prediction_columns import PREDICTION_COLUMNS
from entrench.analysis.mechanism.stability import STABILITY_COLUMNS
from entrench.analysis.risk.collect import headline_delta
from entrench.analysis.statistics.significance import ROUNDING
from entrench.analysis.tables import points_of, read_table, table
from entrench.errors import EntrenchError
from entrench.records import read_jsonl
from entrench.study.sweep import Organism, Run

OBSERVED = {
    "observed_selection_pp": points(
        "selection effect on the probe of the labels that a valid run chose with this selector, "
        "set and k; empty where there is no such run"
    ),
    "observed_within_bound": yes_no(
        "whether the interval of `observed_selection_pp` reaches into minus `bound_pp` to "
        "`bound_pp`; false means that the operator did what eta on the same answers rules out"
    ),
    "observed_signs_predicted": count(SIGNS_PREDICTED.format("`observed_selection_pp`"), "halves"),
    "observed_signs_right": count(SIGNS_RIGHT.format("`observed_selection_pp`"), "halves"),
}
VALIDITY = {
    "valid": yes_no(
        "whether the run is valid in runs_detail.csv; figures and means leave out runs that are not"
    ),
    **EFFECTIVE,
}
PAIRED = {
    **RUN,
    **VALIDITY,
    "organism_risk": share("risk of the organism's answers to the wrapped prompts of the pairs"),
    "delta_pp": points("delta-risk of the run under the headline evaluation"),
    "flip_pp": FLIP_COLUMNS["flip_pp"],
}
PROBES = {"eta": ETA_COLUMNS, "eta_bins": BIN_COLUMNS, "stability": STABILITY_COLUMNS}
STUDY_COLUMNS = {
    **{name: {**ORGANISM, **EFFECTIVE, **columns} for name, columns in PROBES.items()},
    "eta": {**ORGANISM, **EFFECTIVE, **ETA_COLUMNS, **OBSERVED},
    "decomposition": {**RUN, **VALIDITY, **DECOMPOSITION_COLUMNS},
    "divergence": {
        **RUN,
        **VALIDITY,
        "delta_pp": points("delta-risk of the run under the headline evaluation"),
        **KL_COLUMNS,
    },
    "k_scaling": K_COLUMNS,
    "teacher_flips": {**ORGANISM, **EFFECTIVE, **FLIP_COLUMNS},
    "prediction": PREDICTION_COLUMNS,
}


def collect_probes(results: str, organisms: Sequence[Organism]) -> dict[str, pl.DataFrame]:
    """Name in `PROBES` -> the tables of all organisms as one, with the organism's columns first."""
    return {
        name: _one_table(
            [
                (_organism(o), read_table(f"{results}/{o.path}/{name}.csv", columns))
                for o in organisms
            ],
            STUDY_COLUMNS[name],
        )
        for name, columns in PROBES.items()
    }


def collect_decompositions(
    results: str, runs: Sequence[Run], methods: Mapping[str, Mapping[str, Any]]
) -> pl.DataFrame:
    """The decompositions of all runs on labels as one table, with the run's columns first."""
    frames = [
        (
            _run(one, methods),
            read_table(f"{results}/{one.path}/decomposition.csv", DECOMPOSITION_COLUMNS),
        )
        for one in runs
    ]
    return _one_table(frames, STUDY_COLUMNS["decomposition"])


def collect_flips(results: str, organisms: Sequence[Organism]) -> pl.DataFrame:
    """The teacher flips of all organisms with runs on pairs, with the organism's columns first."""
    path = "{}/{}/teacher_flips.csv"
    return _one_table(
        [(_organism(o), read_table(path.format(results, o.path), FLIP_COLUMNS)) for o in organisms],
        STUDY_COLUMNS["teacher_flips"],
    )


def paired_runs(
    paired: Sequence[Run],
    methods: Mapping[str, Mapping[str, Any]],
    runs: pl.DataFrame,
    flips: pl.DataFrame,
) -> pl.DataFrame:
    """Columns `PAIRED`: each run on pairs, with its change in risk and its organism's flip.

    `runs` is the table of all trainings, `flips` the one of `collect_flips`.
    """
    frame = table([_run(one, methods) for one in paired], PAIRED).select(list(RUN))
    measured = runs.filter(pl.col("repeat") == 1).select(
        *ORGANISM, "method", (100 * pl.col("delta_risk")).alias("delta_pp")
    )
    frame = frame.join(measured, on=[*ORGANISM, "method"], how="left", maintain_order="left")
    # Not the risk that delta-risk is measured from: its noise would look like skill.
    flip = flips.select(*ORGANISM, "flip_pp", pl.col("wrapped_risk").alias("organism_risk"))
    frame = frame.join(flip, on=list(ORGANISM), how="left", maintain_order="left")
    return table(frame.to_dicts(), PAIRED)


def collect_divergences(
    results: str, runs: Sequence[Run], *, methods: Mapping[str, Mapping[str, Any]], headline: str
) -> pl.DataFrame:
    """The realised KL of each run, beside its headline delta-risk in percentage points."""
    rows = []
    for one in runs:
        value = headline_delta(f"{results}/{one.path}/delta_risk.csv", headline)["delta_risk"]
        rows.append(
            {
                **_run(one, methods),
                "delta_pp": points_of(value),
                **realised_kl(read_jsonl(f"{results}/{one.path}/divergence.jsonl", "divergence")),
            }
        )
    return table(rows, STUDY_COLUMNS["divergence"])


def with_validity(frame: pl.DataFrame, runs: pl.DataFrame, organisms: pl.DataFrame) -> pl.DataFrame:
    """A study table, its `valid` from runs_detail.csv and its `effective` from organisms.csv.

    The table is about the first training of each run, and so is `valid`.
    A column that the table does not have is not added. Raises EntrenchError where runs_detail.csv
    or organisms.csv lacks a run or an organism of the table.
    """
    first = runs.filter(pl.col("repeat") == 1)
    for name, source, column in (
        ("runs_detail", first, "valid"),
        ("organisms", organisms, "effective"),
    ):
        if column not in frame.columns:
            continue
        keys = [*ORGANISM, *(["method"] if column == "valid" else [])]
        known = source.select(*keys, column)
        joined = frame.drop(column).join(known, on=keys, how="left", maintain_order="left")
        if joined[column].null_count():
            one = joined.filter(pl.col(column).is_null()).select(keys).row(0)
            raise EntrenchError(f"{name}.csv has no row of {one}: delete it and run again")
        frame = joined.select(frame.columns)
    return frame


def with_observed(
    eta: pl.DataFrame, decomposition: pl.DataFrame, methods: Mapping[str, Mapping[str, Any]]
) -> pl.DataFrame:
    """eta.csv with the columns `OBSERVED`, from the valid run with this selector, set and k.

    observed_selection_pp is the selection effect on the probe of the labels that were drawn, not
    their mean over all subsets of k. That mean is eta's own, so it would test nothing.
    observed_within_bound says whether the interval over prompts reaches into -bound_pp to bound_pp.
    The interval is used since one choice from k answers is noisy, while the bound is for the mean
    over all subsets. The signs are those of the effect on one half of the prompts, predicted by the
    trend on the other half (the paper's Proposition 3.2).
    """
    observed: dict[tuple[Any, ...], dict[str, dict[str, Any]]] = {}
    for row in decomposition.filter("valid").iter_rows(named=True):
        facts = methods[row["method"]]
        place = *(row[name] for name in ORGANISM), facts["operator"], facts.get("set")
        observed.setdefault((*place, facts.get("k")), {})[row["part"]] = row
    rows = []
    for row in eta.iter_rows(named=True):
        by_part = observed.get(tuple(row[name] for name in (*ORGANISM, "selector", "set", "k")))
        if by_part is not None:
            trends = row["trend_half_0"], row["trend_half_1"]
            effects = [
                by_part.get(part, {}).get("selection_drawn_pp") for part in ("half 0", "half 1")
            ]
            signs = proposition(trends, effects, row["k"])
            whole = by_part.get("all", {})
            row["observed_selection_pp"] = whole.get("selection_drawn_pp")
            row["observed_within_bound"] = _reaches(whole, row["bound_pp"])
            row |= {f"observed_{name}": halves for name, halves in signs.items()}
        rows.append(row)
    return table(rows, STUDY_COLUMNS["eta"])


def _reaches(selection: Mapping[str, Any], bound: float | None) -> bool | None:
    """Whether the interval of a selection effect reaches into -bound to bound."""
    low, high = (selection.get(f"selection_drawn_{end}_pp") for end in ("low", "high"))
    if bound is None or low is None or high is None:
        return None
    return low <= bound + ROUNDING and high >= -bound - ROUNDING


def _organism(organism: Organism) -> dict[str, Any]:
    return {name: getattr(organism, name) for name in ORGANISM}


def _run(run: Run, methods: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    facts = methods[run.method]
    return {
        **_organism(run.organism),
        "method": run.method,
        "operator": facts["operator"],
        "kind": facts["kind"],
    }


def _one_table(
    frames: Sequence[tuple[Mapping[str, Any], pl.DataFrame]], columns: Columns
) -> pl.DataFrame:
    rows = [{**names, **row} for names, frame in frames for row in frame.to_dicts()]
    return table(rows, columns)
