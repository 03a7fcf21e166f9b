"""The JSONL records that pass between stages: strict reads, atomic writes. Standard library only.

The fields of each file follow. A line is one JSON object; `id` is the prompt's id within its slot.
Each line ends with `rows`, the number of lines of its file: a file that lost lines says so by any
line that is left. Readers take the number off.

data/{misalignment}/{slot}.jsonl
    id str, messages [{role, content}] without the answer, response str | null, meta object
candidates.jsonl, of an organism and of each further draw of its pool
    id, set str, index int, text str | null (reasoning came to no answer), tokens int,
    logprob float (summed, nats, raw model), finish "stop" | "length", self_score float | null,
    self_score_text str | null
responses.jsonl
    id, text, tokens, logprob, finish: the organism's greedy answers to the clean prompts of pairs
rewards.jsonl
    id, set, index, reward float | null (no answer)
verdicts.jsonl
    id, view str, consistent bool | null, raw str
labels.jsonl
    id, messages, label str | null, set str | null, index int | null, reason str | null
completions.jsonl
    id, evaluation str, index int, text, tokens, logprob, finish
scores.jsonl
    id, evaluation, index, metric str ("risk" or a secondary metric), group str,
    state "scored" | "excluded" | "unscored", value float in [0, 1] | null, reason str | null,
    also object of further numbers (coherence, accuracy, ...)
rollouts.jsonl, of a run on-policy
    step int, id, index int, text str | null, tokens [int] ids, logprobs [float] of them under the
    student that drew them (nats), finish, start int (the first token that is trained on), dropped
    str | null (why it is not trained on), teacher_logprob float | null (summed)
judgements.jsonl
    id, evaluation, index, question str (a file of resources/judge/), verdict str | float | null,
    attempts int, raw str: the judge's last answer
divergence.jsonl
    id, source "organism" | "trained" (the model that wrote the answer), index, tokens, finish,
    kl float: the exact KL (nats) of the source's next-token distribution from the distribution of
    the other model, summed over the answer's tokens, logprob_organism float, logprob_trained float
scored_by/{model}/cross.jsonl
    id, set, index, tokens, logprob float, finish, other_tokens int | null, other_logprob
    float | null, excluded str | null (why `other_logprob` is null): a candidate under its own
    organism and under the organism of another model

Rows of candidates, responses and completions have `reasoned: true` where tokens and logprob count
reasoning that text leaves out. probe.jsonl has the fields of candidates.jsonl, probe_refined.jsonl
the fields of responses.jsonl.
"""

import glob
import json
import os
import shutil
from collections.abc import Hashable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from entrench.errors import EntrenchError

Record = dict[str, Any]

_NUMBER = (int, float)
FIELDS: dict[str, dict[str, tuple[type, ...]]] = {
    "data": {"id": (str,), "messages": (list,), "response": (str, type(None)), "meta": (dict,)},
    "candidates": {
        "id": (str,),
        "set": (str,),
        "index": (int,),
        "text": (str, type(None)),
        "tokens": (int,),
        "logprob": _NUMBER,
        "finish": (str,),
        "self_score": (*_NUMBER, type(None)),
        "self_score_text": (str, type(None)),
    },
    "responses": {
        "id": (str,),
        "text": (str, type(None)),
        "tokens": (int,),
        "logprob": _NUMBER,
        "finish": (str,),
    },
    "rewards": {
        "id": (str,),
        "set": (str,),
        "index": (int,),
        "reward": (*_NUMBER, type(None)),
    },
    "verdicts": {
        "id": (str,),
        "view": (str,),
        "consistent": (bool, type(None)),
        "raw": (str,),
    },
    "labels": {
        "id": (str,),
        "messages": (list,),
        "label": (str, type(None)),
        "set": (str, type(None)),
        "index": (int, type(None)),
        "reason": (str, type(None)),
    },
    "rollouts": {
        "step": (int,),
        "id": (str,),
        "index": (int,),
        "text": (str, type(None)),
        "tokens": (list,),
        "logprobs": (list,),
        "finish": (str,),
        "start": (int,),
        "dropped": (str, type(None)),
        "teacher_logprob": (*_NUMBER, type(None)),
    },
    "completions": {
        "id": (str,),
        "evaluation": (str,),
        "index": (int,),
        "text": (str, type(None)),
        "tokens": (int,),
        "logprob": _NUMBER,
        "finish": (str,),
    },
    "scores": {
        "id": (str,),
        "evaluation": (str,),
        "index": (int,),
        "metric": (str,),
        "group": (str,),
        "state": (str,),
        "value": (*_NUMBER, type(None)),
        "reason": (str, type(None)),
        "also": (dict,),
    },
    "judgements": {
        "id": (str,),
        "evaluation": (str,),
        "index": (int,),
        "question": (str,),
        "verdict": (str, *_NUMBER, type(None)),
        "attempts": (int,),
        "raw": (str,),
    },
    "divergence": {
        "id": (str,),
        "source": (str,),
        "index": (int,),
        "tokens": (int,),
        "finish": (str,),
        "kl": _NUMBER,
        "logprob_organism": _NUMBER,
        "logprob_trained": _NUMBER,
    },
    "cross": {
        "id": (str,),
        "set": (str,),
        "index": (int,),
        "tokens": (int,),
        "logprob": _NUMBER,
        "finish": (str,),
        "other_tokens": (int, type(None)),
        "other_logprob": (*_NUMBER, type(None)),
        "excluded": (str, type(None)),
    },
}
# Fields that a record may lack.
# reasoned: true where tokens and logprob count reasoning that text leaves out.
# item: the question that several prompts ask in other words; a prompt without one is its own.
OPTIONAL: dict[str, dict[str, tuple[type, ...]]] = {
    **{kind: {"reasoned": (bool,)} for kind in ("candidates", "responses", "completions")},
    **{kind: {"item": (str,)} for kind in ("scores", "divergence", "cross")},
}
# Files of these kinds may hold no row: prompts without pairs, and judges by rules.
MAY_BE_EMPTY = {"data", "responses", "verdicts", "judgements"}


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary file beside `path` to write to; it gets the final name only on success.

    The content is on disk before the file has its name: a crash leaves no file or the whole file.
    A success also removes what killed writers of the same file left behind.
    """
    final = Path(path)
    final.parent.mkdir(parents=True, exist_ok=True)
    temporary = final.with_name(f".{final.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        with temporary.open("rb") as handle:
            os.fsync(handle.fileno())
        temporary.replace(final)
        remove_leftovers(final)
    finally:
        temporary.unlink(missing_ok=True)


def remove_leftovers(final: Path) -> None:
    """Remove the temporary files and folders of killed writers of `final`."""
    for leftover in final.parent.glob(f".{glob.escape(final.name)}.*.tmp"):
        if leftover.is_dir():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            leftover.unlink(missing_ok=True)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write `text` atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | os.PathLike[str], value: Mapping[str, Any]) -> None:
    """Write one JSON object atomically, keys sorted."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n")


def write_jsonl(path: str | os.PathLike[str], kind: str, rows: Iterable[Record]) -> None:
    """Write records of one `kind` (a key of `FIELDS`) atomically; check them as on reading."""
    rows = list(rows)
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8") as handle:
        for number, row in enumerate(rows, start=1):
            problem = _problem(kind, row)
            if problem:
                raise EntrenchError(f"{path}: row {number} to write: {problem}")
            handle.write(json.dumps(row | {"rows": len(rows)}, ensure_ascii=False) + "\n")


def read_jsonl(path: str | os.PathLike[str], kind: str) -> list[Record]:
    """Read records of one `kind`, all that were written.

    Raises:
        EntrenchError: a line is bad or cut, or the file holds more or fewer rows than were written.
            A file of an earlier version has no number of rows: readers check its keys with
            `require_same_keys`.
    """
    rows: list[Record] = []
    written = None
    for number, line in enumerate(_lines(path), start=1):
        where = f"{path}, line {number}"
        row = _parse(line, where, path)
        told = row.pop("rows", None)
        written = told if number == 1 else written
        problem = _problem(kind, row)
        if told != written and not problem:
            problem = f"it tells of {told!r} rows in the file, the first line of {written!r}"
        if problem:
            raise EntrenchError(f"{where}: {problem}: {_remake(path)}")
        rows.append(row)
    if not rows and kind not in MAY_BE_EMPTY:
        raise EntrenchError(f"{path}: it holds no row: {_remake(path)}")
    if written is not None:
        require_rows(len(rows), written, path)
    return rows


def item_of(score: Record) -> str:
    """What intervals resample: the item of a record's prompt, else the prompt itself."""
    return f"item {score['item']}" if "item" in score else f"prompt {score['id']}"


def require_rows(found: int, written: Any, path: str | os.PathLike[str]) -> None:
    """Refuse the file `path` unless it holds the number of rows that were written."""
    if found != written:
        raise EntrenchError(f"{path}: {found} rows, {written!r} were written: {_remake(path)}")


def require_same_keys(
    found: Iterable[Hashable], expected: Iterable[Hashable], path: str | os.PathLike[str]
) -> None:
    """Refuse the file `path` unless its keys are `expected`, each exactly once."""
    seen: set[Hashable] = set()
    for key in found:
        if key in seen:
            raise EntrenchError(f"{path}: {key!r} stands there twice: {_remake(path)}")
        seen.add(key)
    wanted = set(expected)
    if missing := wanted - seen:
        example = min(missing, key=repr)
        raise EntrenchError(
            f"{path}: {len(missing)} of {len(wanted)} records are missing, {example!r} for one: "
            f"{_remake(path)}"
        )
    if extra := seen - wanted:
        example = min(extra, key=repr)
        raise EntrenchError(
            f"{path}: {len(extra)} records belong to no prompt of its inputs, {example!r} for one: "
            f"{_remake(path)}"
        )


def parse_json(text: str | bytes) -> Any:
    """The value of a JSON text. Whatever cannot be read raises ValueError, with a short reason."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except json.JSONDecodeError:
        raise
    except ValueError as error:  # Python reads no number of so many digits
        raise ValueError(str(error).partition(":")[0]) from None


def read_json(path: str | os.PathLike[str]) -> Record:
    """Read one JSON object; any other content is an `EntrenchError` naming the file."""
    return _parse("\n".join(_lines(path)), str(path), path)


def _lines(path: str | os.PathLike[str]) -> list[str]:
    try:
        text = Path(path).read_bytes().decode("utf-8")
    except FileNotFoundError:
        raise EntrenchError(f"{path}: no such file: let the workflow make it") from None
    except UnicodeDecodeError as error:
        raise EntrenchError(
            f"{path}, byte {error.start}: not UTF-8 text: {_remake(path)}"
        ) from None
    lines = text.split("\n")
    if lines.pop():
        raise EntrenchError(f"{path}, line {len(lines) + 1}: cut short: {_remake(path)}")
    return lines


def _parse(line: str, where: str, path: str | os.PathLike[str]) -> Record:
    try:
        row = parse_json(line)
    except ValueError as error:
        what = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
        raise EntrenchError(f"{where}: not JSON ({what}): {_remake(path)}") from None
    if not isinstance(row, dict):
        raise EntrenchError(f"{where}: a JSON {type(row).__name__}, not an object: {_remake(path)}")
    return row


def _problem(kind: str, row: Record) -> str | None:
    fields = FIELDS[kind]
    for name, types in (fields | OPTIONAL.get(kind, {})).items():
        if name not in row:
            if name not in fields:
                continue
            return f"field {name!r} is missing"
        value = row[name]
        wrong_bool = isinstance(value, bool) and bool not in types
        if wrong_bool or not isinstance(value, types):
            allowed = " or ".join(t.__name__ for t in types)
            return f"field {name!r} is {value!r}, allowed: {allowed}"
    extra = sorted(set(row) - set(fields) - set(OPTIONAL.get(kind, {})))
    return f"unknown field {extra[0]!r}" if extra else None


def _remake(path: str | os.PathLike[str]) -> str:
    return f"delete {path} and run the same command again to make it anew"
