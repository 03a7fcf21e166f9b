"""The mechanism's tables of single organisms and runs, put together for the study."""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from entrench.analysis.decomposition import DECOMPOSITION_COLUMNS
from entrench.analysis.delta import DELTA_COLUMNS
from entrench.analysis.divergence import KL_COLUMNS, realised_kl
from entrench.analysis.eta import BIN_COLUMNS, ETA_COLUMNS
from entrench.analysis.k_scaling import K_COLUMNS
from entrench.analysis.prediction import PREDICTION_COLUMNS
from entrench.analysis.stability import STABILITY_COLUMNS
from entrench.analysis.tables import COUNT, NUMBER, TEXT, YES_NO, read_table, table
from entrench.errors import EntrenchError
from entrench.records import read_jsonl
from entrench.sweep import Organism, Run

ORGANISM = {"model": TEXT, "misalignment": TEXT, "seed": COUNT}
RUN = {**ORGANISM, "method": TEXT, "operator": TEXT, "kind": TEXT}
MARKS = {"valid": YES_NO, "effective": YES_NO}  # of runs.csv and of organisms.csv
PROBES = {"eta": ETA_COLUMNS, "eta_bins": BIN_COLUMNS, "stability": STABILITY_COLUMNS}
STUDY_COLUMNS = {
    **{name: {**ORGANISM, "effective": YES_NO, **columns} for name, columns in PROBES.items()},
    "decomposition": {**RUN, **MARKS, **DECOMPOSITION_COLUMNS},
    "divergence": {**RUN, **MARKS, "delta_pp": NUMBER, **KL_COLUMNS},
    "k_scaling": K_COLUMNS,
    "prediction": PREDICTION_COLUMNS,
}


def collect_probes(results: str, organisms: Sequence[Organism]) -> dict[str, pl.DataFrame]:
    """The tables of all probes, each with its organism's columns in front."""
    return {
        name: _together(
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
    """The decompositions of all runs on labels."""
    frames = [
        (
            _run(one, methods),
            read_table(f"{results}/{one.path}/decomposition.csv", DECOMPOSITION_COLUMNS),
        )
        for one in runs
    ]
    return _together(frames, STUDY_COLUMNS["decomposition"])


def collect_divergences(
    results: str, runs: Sequence[Run], *, methods: Mapping[str, Mapping[str, Any]], headline: str
) -> pl.DataFrame:
    """The realised KL of each run, beside its headline delta-risk in percentage points."""
    rows = []
    for one in runs:
        delta = read_table(f"{results}/{one.path}/delta_risk.csv", DELTA_COLUMNS)
        value = delta.filter(pl.col("evaluation") == headline)["delta_risk"][0]
        rows.append(
            {
                **_run(one, methods),
                "delta_pp": None if value is None else 100 * value,
                **realised_kl(read_jsonl(f"{results}/{one.path}/divergence.jsonl", "divergence")),
            }
        )
    return table(rows, STUDY_COLUMNS["divergence"])


def marked(frame: pl.DataFrame, runs: pl.DataFrame, organisms: pl.DataFrame) -> pl.DataFrame:
    """A study table with `valid` of runs.csv and `effective` of organisms.csv, where it has them.

    Raises `EntrenchError` where those tables lack one of its runs or organisms.
    """
    for name, source, column in (("runs", runs, "valid"), ("organisms", organisms, "effective")):
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


def _together(
    frames: Sequence[tuple[Mapping[str, Any], pl.DataFrame]], columns: Mapping[str, Any]
) -> pl.DataFrame:
    rows = [{**names, **row} for names, frame in frames for row in frame.to_dicts()]
    return table(rows, columns)
