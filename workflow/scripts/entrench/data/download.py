"""A released file is fetched over HTTP or copied from a folder, verified, and put in its place."""

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import requests
import tenacity

from entrench.errors import EntrenchError
from entrench.records import atomic_path

CHUNK_BYTES = 1 << 16
PASSING_STATUS = {408, 425, 429, *range(500, 600)}
ADVICE = "check `data.url`, or name a folder with the released files as `data.mirror`"


@dataclass(frozen=True)
class Patience:
    """How long a download is tried. All times are in seconds."""

    attempts: int = 6
    connect: float = 10.0
    silence: float = 60.0  # an attempt ends after so long without a byte
    first_wait: float = 1.0  # the wait is drawn below a limit; this is the first, then it doubles
    longest_wait: float = 60.0  # even where the server asks for more


class _Interrupted(Exception):
    """An attempt that ended early. The server asks for a wait of `wait` seconds."""

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.wait = wait


def fetch(url: str, path: Path, sha256: str, patience: Patience = Patience()) -> None:
    """Download `url` to `path`. The bytes must have this SHA-256.

    What has arrived is kept in a hidden file beside `path`, and a later attempt resumes there.

    Raises:
        EntrenchError: the server refuses, answers in no attempt, or serves other bytes.
    """
    part = path.with_name(f".{path.name}.part")
    part.parent.mkdir(parents=True, exist_ok=True)

    def attempt() -> None:
        resumed = _receive(url, part, patience)
        found = hashlib.sha256(part.read_bytes()).hexdigest()
        if found == sha256:
            return
        part.unlink()
        if resumed:
            raise _Interrupted("the resumed file has another checksum, so it starts over")
        raise EntrenchError(
            f"{path}: SHA-256 expected {sha256}, found {found}: {url} serves another file; check "
            "`data.url`, or name a folder with the released files as `data.mirror`"
        )

    _persist(attempt, url, patience)
    with part.open("rb") as handle:
        os.fsync(handle.fileno())
    part.replace(path)


def take(source: Path, path: Path, sha256: str) -> None:
    """Copy `source`, a file of `data.mirror`, to `path`.

    Raises:
        EntrenchError: `source` is missing or has another checksum.
    """
    content = verified(
        source,
        sha256,
        missing="`data.mirror` must hold the release's files under their released paths "
        "(resources/datasets.yaml)",
    )
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def verified(path: Path, sha256: str, missing: str = "fetch this file") -> bytes:
    """The bytes of a released file. `missing` says in the message what to do without the file.

    Raises:
        EntrenchError: the file is missing or has another checksum.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise EntrenchError(f"{path}: no such file: {missing}") from None
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise EntrenchError(
            f"{path}: SHA-256 expected {sha256}, found {found}: delete this file and fetch it again"
        )
    return content


def _persist(attempt: Callable[[], None], url: str, patience: Patience) -> None:
    jittered = tenacity.wait_random_exponential(patience.first_wait, patience.longest_wait)

    def wait(state: tenacity.RetryCallState) -> float:
        fault = _fault(state)
        asked = fault.wait if isinstance(fault, _Interrupted) else 0.0
        return min(patience.longest_wait, max(jittered(state), asked))

    def say(state: tenacity.RetryCallState) -> None:
        print(f"attempt {state.attempt_number}: {_fault(state)}", flush=True)

    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(_Interrupted),
        stop=tenacity.stop_after_attempt(patience.attempts),
        wait=wait,
        before_sleep=say,
        reraise=True,
    )
    try:
        retrying(attempt)
    except _Interrupted as error:
        raise EntrenchError(
            f"{url}: given up after {patience.attempts} attempts ({error}): check the network and "
            "run the same command again, which resumes the download; or name a folder as "
            "`data.mirror`"
        ) from None


def _fault(state: tenacity.RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None


def _receive(url: str, part: Path, patience: Patience) -> bool:
    """Append the missing bytes to `part`; says whether `part` held some before."""
    have = part.stat().st_size if part.exists() else 0
    # Ask for the bytes as they lie on the server: a compressed stream could not be resumed.
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    timeout = (patience.connect, patience.silence)
    try:
        with requests.get(url, headers=headers, stream=True, timeout=timeout) as answer:
            _require_content(url, answer, part)
            resumed = answer.status_code == 206
            if resumed and not answer.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
                _refuse_part(url, have, part)
            with part.open("ab" if resumed else "wb") as handle:
                for chunk in answer.iter_content(CHUNK_BYTES):
                    handle.write(chunk)
    except requests.TooManyRedirects as error:
        raise EntrenchError(f"{url}: the server redirects in a loop ({error}): {ADVICE}") from None
    except requests.exceptions.InvalidSchema as error:
        raise EntrenchError(
            f"{url}: the server redirects to an address that is not http(s) ({error}): {ADVICE}"
        ) from None
    except ValueError as error:  # an address that is none, here or behind a redirect
        raise EntrenchError(f"{url}: {error}: {ADVICE}") from None
    except requests.RequestException as error:
        raise _Interrupted(f"{type(error).__name__}: {error}") from None
    return resumed


def _require_content(url: str, answer: requests.Response, part: Path) -> None:
    status = answer.status_code
    if status == 416:  # the part here is not the beginning of the file there
        part.unlink(missing_ok=True)
        raise _Interrupted("HTTP 416: nothing to resume, so it starts over")
    if status in PASSING_STATUS:
        asked = answer.headers.get("Retry-After", "")
        raise _Interrupted(f"HTTP {status}", float(asked) if asked.isdigit() else 0.0)
    if status not in (200, 206):
        raise EntrenchError(f"{url}: HTTP {status} {answer.reason}: {ADVICE}")


def _refuse_part(url: str, have: int, part: Path) -> NoReturn:
    """Refuse a part of the file that is not the missing part, or does not say which part it is."""
    if have:
        part.unlink()
        raise _Interrupted("the server resumed elsewhere than asked, so it starts over")
    raise EntrenchError(
        f"{url}: HTTP 206: the server sends a part, and the whole file was asked for: {ADVICE}"
    )
