"""Adapters, scores and verdicts in the results that were made with settings of another config.

Snakemake compares a job's settings with the settings that it recorded when the job ran. Results
that were copied without Snakemake's records have no recorded settings, and Snakemake takes them as
they are. But an adapter's settings stand in the run.json beside it, and the judge of scores or
verdicts stands in their account. So files of another config are found all the same.
"""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from entrench.records import parse_json
from entrench.study.config import Config
from entrench.study.specs.measurement import judge_spec
from entrench.study.specs.mechanism import probe_judge_spec, probe_verdict_spec
from entrench.study.specs.organisms import (
    induction_spec,
    last_training_spec,
    reads_verdicts,
    verdict_spec,
)
from entrench.study.sweep import Run, Subject, Sweep

# The record, its key that holds the settings of a file, and the file.
ADAPTER = ("run.json", "spec", "adapter/adapter_model.safetensors")
SCORES = ("judge_usage.json", "judge", "scores.jsonl")
VERDICTS = ("verdict_usage.json", "judge", "verdicts.jsonl")
About = TypeVar("About", Run, Subject)
Made = tuple[
    str, tuple[str, str, str], Callable[[], dict[str, Any]]
]  # folder, one of the above, settings


def foreign_files(config: Config, sweep: Sweep) -> list[str]:
    """Files of the sweep that were made with another spec, or by another judge, than planned."""
    results = Path(config.pathvars.results)
    found = []
    for folder, (record, key, file), spec in _recorded(config, sweep):
        path = results / folder / record
        if path.is_file() and _read(path, key) not in (None, spec()):
            found.append(f"{results / folder / file}")
    return found


def _recorded(config: Config, sweep: Sweep) -> Iterator[Made]:
    """Every recorded file of the sweep, with the settings that its job has now."""
    bases = dict.fromkeys(
        Subject(organism.model, organism.misalignment, None, None) for organism in sweep.organisms
    )
    for base in bases:
        yield from _judged(config, base)
    for organism in sweep.organisms:
        yield organism.path, ADAPTER, partial(induction_spec, config, organism)
        subject = Subject(organism.model, organism.misalignment, organism.seed, None)
        yield from _judged(config, subject)
    for run in sweep.runs:
        yield run.path, ADAPTER, partial(last_training_spec, config, run)
        if reads_verdicts(config, run.method) and run == run.labelled:
            yield run.path, VERDICTS, partial(_judge_of, verdict_spec, config, run)
        yield from _judged(config, run.subject)


def _judged(config: Config, subject: Subject) -> Iterator[Made]:
    """Scores and verdicts of one subject and of its probe."""
    yield subject.path, SCORES, partial(_judge_of, judge_spec, config, subject)
    for record, spec in (
        (SCORES, probe_judge_spec),
        (VERDICTS, probe_verdict_spec),
    ):
        account, key, file = record
        names = f"probe_{account}", key, f"probe_{file}"
        yield subject.path, names, partial(_judge_of, spec, config, subject)


def _judge_of(
    builder: Callable[[Config, About], dict[str, Any]], config: Config, about: About
) -> dict[str, Any]:
    return builder(config, about)["judge"]


def _read(path: Path, key: str) -> Any:
    """The value of a key in a record; None where the record cannot be read or lacks the key."""
    try:
        return parse_json(path.read_text(encoding="utf-8")).get(key)
    except (OSError, ValueError, AttributeError):
        return None
