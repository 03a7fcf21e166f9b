"""Reading a risk.json: a file that lacks something is refused by name."""

import os
from types import NoneType

from entrench.analysis.risk.risk import STATES
from entrench.errors import EntrenchError
from entrench.records import Record, read_json

NUMBER = (int, float, NoneType)
RECORD = {"headline": str, "grouped": bool, "evaluations": dict}
EVALUATION = {
    **dict.fromkeys(("risk", "risk_lower", "risk_upper"), NUMBER),
    **{f"{state}_share": NUMBER for state in STATES},
    "n_completions": int,
    "metrics": dict,
    "valid": bool,
    "reason": (str, NoneType),
}
FACTS = {"answers": dict, "chance": dict}  # risks of simulated scores have no answers, nor these


def read_risk(path: str | os.PathLike[str], headline: str | None = None) -> Record:
    """The content of a risk.json, which `risk_record` made.

    Raises EntrenchError where a field that is read again is missing or of another type, or where
    there is no evaluation `headline`.
    """
    record = read_json(path)
    problem = _problem(record, RECORD)
    if problem is None:
        evaluations = record["evaluations"]
        found = (
            _problem(one, EVALUATION | _present(one), f"evaluations.{name}.")
            for name, one in evaluations.items()
        )
        wanted = record["headline"] if headline is None else headline
        problem = next(filter(None, found), None)
        if wanted not in evaluations:
            problem = f"evaluation {wanted!r} is missing"
    if problem:
        raise EntrenchError(
            f"{path}: {problem}: delete {path} and run the same command again to make it anew"
        )
    return record


def _present(evaluation: object) -> dict:
    """Those of `FACTS` that the record of an evaluation has."""
    names = evaluation if isinstance(evaluation, dict) else {}
    return {name: types for name, types in FACTS.items() if name in names}


def _problem(record: object, fields: dict, place: str = "") -> str | None:
    if not isinstance(record, dict):
        return f"{place.rstrip('.')} is no object"
    for name, types in fields.items():
        if name not in record:
            return f"field {place}{name} is missing"
        if not isinstance(record[name], types):
            return f"field {place}{name} is {str(record[name])[:40]!r}"
    return None
