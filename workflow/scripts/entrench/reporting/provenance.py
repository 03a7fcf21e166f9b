"""Provenance of the results: commits, versions, data, judges, engines, counts of completions.

All facts are read from files beside the results. A report must also be possible from copied tables,
so files that are not there are left out and counted.
"""

import hashlib
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from entrench.analysis.risk.risk import STATES
from entrench.data import released
from entrench.execution.provenance import run_record
from entrench.judging.prompts import judge_prompts, wording_hashes
from entrench.records import Record, read_json
from entrench.reporting.formatting import Column, Table, text, whole, written
from entrench.study import paths

_PACKAGES = (
    *("docutils", "jinja2", "matplotlib", "numpy", "polars", "scipy", "snakemake", "statsmodels"),
)
Facts = list[tuple[str, str]]


@dataclass(frozen=True)
class Provenance:
    """`facts` are (name, text); `data` lists the data files; `scores` counts completions."""

    facts: Facts
    data: Table
    scores: Table


def provenance(
    results: Path, runs: pl.DataFrame, organisms: pl.DataFrame, config: Mapping[str, Any]
) -> Provenance:
    """The provenance of the organisms and runs in these tables, from files below `results`."""
    organism_folders = [_folder(row) for row in organisms.iter_rows(named=True)]
    run_folders = [
        f"{_folder(row)}/{row['method']}{paths.repeat(row['repeat'])}"
        for row in runs.iter_rows(named=True)
    ]
    bases = sorted({f"base/{m}/{a}" for m, a in organisms.select("model", "misalignment").rows()})
    trained = organism_folders + run_folders
    measured = bases + trained
    seconds = [f"judges/{name}" for name in sorted(set(organisms["misalignment"]))]
    analysis = run_record({}, _PACKAGES, time.time())
    facts = [
        ("Report made by", f"{_commit(analysis)}, Python {analysis['python']}"),
        ("Its packages", _versions(analysis["versions"])),
        *_training_facts(_found(results, trained, "run.json"), len(trained)),
        *_engine_facts(_found(results, measured, "engine.json")),
        *_judge_facts(
            config,
            risk=_found(results, measured, "judge_usage.json"),
            label=_found(results, run_folders, "verdict_usage.json"),
            second=_found(results, seconds, "judge_usage.json"),
        ),
        ("Data", _source(config)),
    ]
    return Provenance(
        facts,
        _data_files(results, sorted(set(organisms["misalignment"]))),
        _scores(
            results,
            {"base models": bases, "organisms": organism_folders, "trained models": run_folders},
            organisms,
        ),
    )


def _folder(row: Mapping[str, Any]) -> str:
    return f"organisms/{row['model']}/{row['misalignment']}/seed{row['seed']}"


def _found(results: Path, folders: Iterable[str], name: str) -> list[Record]:
    paths = [results / folder / name for folder in folders]
    return [read_json(path) for path in paths if path.is_file()]


def _commit(record: Mapping[str, Any]) -> str:
    if record.get("commit") is None:
        return "no git checkout"
    return f"commit {record['commit']}" + (
        ", with changes not committed" if record["dirty"] else ""
    )


def _versions(versions: Mapping[str, str | None]) -> str:
    return ", ".join(f"{name} {version or 'absent'}" for name, version in versions.items())


def _counted(values: Iterable[str]) -> str:
    """The different values, most frequent first; with counts where there are several."""
    counts = Counter(values).most_common()
    if len(counts) == 1:
        return counts[0][0]
    return "; ".join(f"{value} ({count})" for value, count in counts)


def _training_facts(records: Sequence[Record], expected: int) -> Facts:
    if not records:
        return [("Training", "no run.json lies beside the results")]
    if marks := [record["simulated"] for record in records if "simulated" in record]:
        return [("Training", _counted(marks))]
    facts = [
        ("Trainings recorded", f"{len(records)} of {expected}"),
        ("Trained by", _counted(map(_commit, records))),
        ("Its packages", _counted(_versions(record["versions"]) for record in records)),
        ("On", _counted(f"{record['platform']}, Python {record['python']}" for record in records)),
        ("Between", f"{min(r['started'] for r in records)} and {max(r['ended'] for r in records)}"),
    ]
    hours = sum(record["seconds"] for record in records) / 3600
    return [*facts, ("Training time, all jobs", f"{hours:.2f} hours")]


def _engine_facts(records: Sequence[Record]) -> Facts:
    if not records:
        return []
    return [("Generated with", _counted(map(_engine, records)))]


def _engine(record: Mapping[str, Any]) -> str:
    named = {key: value for key, value in record.items() if isinstance(value, str)}
    shown = ", ".join(f"{key} {value}" for key, value in named.items())
    versions = record.get("versions")
    return f"{shown} ({_versions(versions)})" if versions else shown


def _judge_facts(
    config: Mapping[str, Any],
    *,
    risk: Sequence[Record],
    label: Sequence[Record],
    second: Sequence[Record],
) -> Facts:
    """The judges that the accounts beside the results name, and how many questions they had."""
    facts = [
        ("Risk judge", _judges(config["risk_judge"], risk)),
        ("Label judge", _judges(config["label_judge"], label)),
        ("Second judge", _judges(config["judging"].get("second"), second)),
    ]
    if risk:
        questions, calls, without = (
            sum(record[name] for record in risk) for name in ("questions", "calls", "no_verdict")
        )
        asked = f"{questions:,} in {calls:,} calls, {without:,} without a verdict"
        facts.append(("Questions to the risk judge", asked if questions else "none: rules alone"))
    return facts


def _judges(wanted: Mapping[str, Any] | None, accounts: Sequence[Record]) -> str:
    """The judges that made the results; the config's judge where no result names one."""
    recorded = [account["judge"] for account in accounts if "judge" in account]
    if not recorded:
        return f"{_judge(wanted)} (of the config: no result names its judge)" if wanted else "none"
    shown = _counted(_judge(judge) + _difference(judge, wanted) for judge in recorded)
    silent = len(accounts) - len(recorded)
    return f"{shown}; not recorded ({silent})" if silent else shown


def _difference(judge: Mapping[str, Any], wanted: Mapping[str, Any] | None) -> str:
    """A mark where the judge, or the wording of its prompts, is not the present one."""
    settings = {name: value for name, value in judge.items() if name != "prompts"}
    if settings != {name: value for name, value in (wanted or {}).items() if value is not None}:
        return " [NOT the config's judge]"
    prompts = judge.get("prompts", {})
    return "" if prompts == _present_wording(prompts) else " [asked in another wording]"


def _present_wording(prompts: Mapping[str, str]) -> dict[str, str]:
    return wording_hashes(set(prompts) & set(judge_prompts())) if prompts else {}


def _judge(judge: Mapping[str, Any]) -> str:
    shown = {key: value for key, value in judge.items() if not isinstance(value, dict | None)}
    return ", ".join(f"{key} {value}" for key, value in shown.items())


def _source(config: Mapping[str, Any]) -> str:
    if config["data"]["source"] == "synthetic":
        return "synthetic: the miniature world, generated from the config"
    release = released.manifest()
    return f"released data of {release['repository']} at commit {release['commit']}, verified"


def _data_files(results: Path, misalignments: Iterable[str]) -> Table:
    rows = [
        {"file": f"data/{name}/{path.name}", "bytes": path.stat().st_size, "sha256": _sha256(path)}
        for name in misalignments
        for path in sorted((results / "data" / name).glob("*.jsonl"))
    ]
    columns = [
        Column("file", text("file"), numeric=False),
        Column("bytes", whole("bytes")),
        Column("SHA-256", text("sha256"), numeric=False),
    ]
    return written("data/", columns, rows)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _scores(results: Path, folders: Mapping[str, Sequence[str]], organisms: pl.DataFrame) -> Table:
    """Completions by state under the headline evaluation, a row per kind of model."""
    headline = organisms["evaluation"][0] if organisms.height else None
    rows = []
    for about, own in folders.items():
        records = [record.get("evaluations", {}) for record in _found(results, own, "risk.json")]
        risks = [record[headline] for record in records if headline in record]
        row: dict[str, Any] = {"about": about, "subjects": f"{len(risks)} of {len(own)}"}
        row["completions"] = sum(risk["n_completions"] for risk in risks)
        for state in STATES:
            row[state] = sum(
                round(risk[f"{state}_share"] * risk["n_completions"]) for risk in risks
            )
        rows.append(row)
    numbers = ("completions", *STATES)
    columns = [
        Column("of", text("about"), numeric=False),
        Column("measured", text("subjects")),
        *(Column(name, whole(name)) for name in numbers),
    ]
    return written("risk.json of each subject", columns, rows)
