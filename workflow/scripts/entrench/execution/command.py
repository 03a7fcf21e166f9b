"""How every script of the workflow runs: errors become messages, specs become settings."""

import errno
import json
import os
import re
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from entrench.errors import EntrenchError
from entrench.execution import cpu_time

STARTED = time.monotonic()
TRACEBACK = "Traceback"
TORCH_SAVES = r"inline_container\.cc.* unexpected pos|PytorchStreamWriter failed writing"


def run(main: Callable[[Sequence[str]], None], *, is_job: bool = True) -> None:
    """Call `main(argv)`. An error that a user can mend ends in one line on stderr and exit code 1.

    The last line of a script that ends well says how long it took: the plan reads it in the log of
    a job. The line before tells the CPU of a job: the head reads it there.
    The first line of a Slurm job says where it runs and which GPUs it was given. Under torchrun a
    process prints nothing itself: it leaves its error to the process that started it.
    """
    cpu_time.watch()
    if report := os.environ.get("TORCHELASTIC_ERROR_FILE"):
        _run_as_part(main, Path(report))
        return
    if job := os.environ.get("SLURM_JOB_ID"):
        node = os.environ.get("SLURMD_NODENAME", "unknown node")
        gpus = os.environ.get("CUDA_VISIBLE_DEVICES", "none")
        print(f"Slurm job {job} on {node}, GPUs {gpus}", file=sys.stderr, flush=True)
    try:
        main(sys.argv[1:])
        if is_job:
            print(cpu_time.line(), file=sys.stderr)
        print(f"took {time.monotonic() - STARTED:.1f} s", file=sys.stderr)
    except Exception as error:
        if (message := _message(error)) is None:
            raise
        print(f"error: {message}", file=sys.stderr)
        sys.exit(1)


def _run_as_part(main: Callable[[Sequence[str]], None], report: Path) -> None:
    try:
        main(sys.argv[1:])
        cpu_time.hand_on()
    except Exception as error:
        message = _message(error)
        if message is None:
            message = traceback.format_exc()
        report.write_text(json.dumps({"message": message, "timestamp": int(time.time())}))
        # At once: a clean end of the process group would wait for the other processes.
        sys.stdout.flush()
        os._exit(1)


def parse_spec(text: str) -> dict[str, Any]:
    """The JSON object that a rule passes as `--spec`: the settings that decide a job's result."""
    try:
        spec = json.loads(text)
    except json.JSONDecodeError as error:
        raise EntrenchError(f"--spec is not JSON ({error}): pass one JSON object") from None
    if not isinstance(spec, dict):
        raise EntrenchError(f"--spec is a JSON {type(spec).__name__}: pass one JSON object")
    return spec


def spec_fields(spec: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """These settings of a spec, as keyword arguments; the error names a missing setting."""
    if missing := [name for name in names if name not in spec]:
        raise EntrenchError(f"--spec has no {missing[0]!r}: pass the keys this script's help names")
    return {name: spec[name] for name in names}


def limit_threads(threads: int) -> None:
    """Fix the number of compute threads. Call it before torch is imported.

    A job that starts warm has imported torch already: torch is then told the number.

    The number comes from the config, never from `--cores`: floating-point sums depend on it, and
    with them the trained weights.
    """
    from entrench.execution.threads import tell_loaded

    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[variable] = str(threads)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    tell_loaded(threads)


def _message(error: Exception) -> str | None:
    """The message of an error that a user can mend; None for any other error."""
    if isinstance(error, EntrenchError):
        return str(error)
    # Libraries in Rust (safetensors, tokenizers, polars) and torch tell faults of the file system
    # by errors of their own.
    if code := re.search(r"\(os error (\d+)\)", str(error)):
        return _file_system_message(OSError(int(code[1]), os.strerror(int(code[1]))))
    if isinstance(error, RuntimeError) and re.search(TORCH_SAVES, str(error)):
        return _file_system_message(OSError(errno.ENOSPC, "torch could not write a file whole"))
    if isinstance(error, OSError):
        return _file_system_message(error)
    torch = sys.modules.get("torch")  # not imported for this: most scripts do not need it
    if torch is not None and isinstance(error, torch.OutOfMemoryError):
        lines = str(error).strip().splitlines() or ["no more is known"]
        return (
            f"the GPU's memory ran out ({lines[0]}): lower `batch_size` of the model's size class, "
            "or `per_device_batch` where it trains"
        )
    return None


def _file_system_message(error: OSError) -> str:
    where = f" ({error.filename})" if error.filename else ""
    advice = {
        errno.ENOSPC: "the disk is full: free some space and run the same command again",
        errno.EDQUOT: "the disk quota is used up: free some space and run the same command again",
        errno.EROFS: "the file system is read-only: point `pathvars.results` at a writable folder",
        errno.EACCES: "permission denied: check the owner and mode of this path",
        errno.ENOENT: "no such file or folder: check the path, or let the workflow make it",
    }.get(error.errno or 0, "run the same command again once this is mended")
    return f"{error.strerror or error}{where}: {advice}"
