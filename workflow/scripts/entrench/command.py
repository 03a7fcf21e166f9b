"""What every command-line script of the workflow shares: one place where errors become messages."""

import errno
import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from entrench.errors import EntrenchError

STARTED = time.monotonic()


def run(main: Callable[[Sequence[str]], None]) -> None:
    """Call `main(argv)`; what a user can mend ends in one line on stderr and exit code 1.

    A job that ends well says last how long it took: the plan of the sweep reads that in its log.
    """
    try:
        main(sys.argv[1:])
        print(f"took {time.monotonic() - STARTED:.1f} s", file=sys.stderr)
    except EntrenchError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except OSError as error:
        print(f"error: {_file_system_message(error)}", file=sys.stderr)
        sys.exit(1)


def parse_spec(text: str) -> dict[str, Any]:
    """The JSON object a rule passes as `--spec`: the settings that decide this job's result."""
    try:
        spec = json.loads(text)
    except json.JSONDecodeError as error:
        raise EntrenchError(f"--spec is not JSON ({error}): pass one JSON object") from None
    if not isinstance(spec, dict):
        raise EntrenchError(f"--spec is a JSON {type(spec).__name__}: pass one JSON object")
    return spec


def spec_fields(spec: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """These settings of a spec, ready as keyword arguments; a missing one is named."""
    if missing := [name for name in names if name not in spec]:
        raise EntrenchError(f"--spec has no {missing[0]!r}: pass the keys this script's help names")
    return {name: spec[name] for name in names}


def limit_threads(threads: int) -> None:
    """Fix the number of compute threads. Call before torch is imported.

    The count comes from the config, never from `--cores`: floating-point sums, and with them the
    trained weights, depend on it.
    """
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[variable] = str(threads)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"


def _file_system_message(error: OSError) -> str:
    where = f" ({error.filename})" if error.filename else ""
    advice = {
        errno.ENOSPC: "the disk is full: free some space and run the same command again",
        errno.EDQUOT: "the disk quota is used up: free some space and run the same command again",
        errno.EROFS: "the file system is read-only: point `pathvars.results` at a writable folder",
        errno.EACCES: "permission denied: check the owner and mode of this path",
        errno.ENOENT: "no such file or folder: check the path, or let the workflow make it",
    }.get(error.errno, "run the same command again once this is mended")
    return f"{error.strerror or error}{where}: {advice}"
