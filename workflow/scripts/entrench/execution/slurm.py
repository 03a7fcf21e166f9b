"""A head on Slurm: it ends the jobs that a killed head left, and notices cancelled jobs."""

import getpass
import logging
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from entrench.errors import EntrenchError

JOB_NAME_PREFIX = "entrench"  # `slurm-jobname-prefix` of profiles/slurm
END_SECONDS = 600.0  # for a cancelled job to leave the queue: its time to save, and the node's
POLL_SECONDS = 1.0


def end_orphans(folder: Path, limit: float = END_SECONDS) -> None:
    """Cancel this workflow's Slurm jobs that work in `folder`, and wait until all have ended.

    Call it where no head is alive: then every queued or running job belongs to a killed head. A
    training that is cancelled saves a checkpoint, and the next job of it goes on from there.

    Raises:
        EntrenchError: Slurm does not answer, or jobs are still there after `limit` seconds.
    """
    orphans = jobs_in(folder)
    if not orphans:
        return
    print(f"A killed run left {len(orphans)} Slurm jobs: cancelling them.", flush=True)
    _ask(["scancel", *orphans])
    until = time.monotonic() + limit
    while orphans := [job for job in jobs_in(folder) if job in orphans]:
        if time.monotonic() > until:
            raise EntrenchError(
                f"Slurm jobs {' '.join(orphans)} of a killed run do not end: see "
                f"`squeue --jobs {','.join(orphans)}`, then run the same command again"
            )
        time.sleep(POLL_SECONDS)


def notice_cancelled_jobs() -> None:
    """Let Snakemake see that a job was cancelled.

    `sacct` says "CANCELLED by 1000". Version 2.8.0 of the executor knows "CANCELLED" alone: it
    would wait for the job for ever.
    """
    import snakemake_executor_plugin_slurm as executor

    query = executor.query_job_status

    async def first_words(command: str, logger: logging.Logger) -> tuple[Any, Any]:
        states, seconds = await query(command, logger)
        return states and {job: state.partition(" ")[0] for job, state in states.items()}, seconds

    executor.query_job_status = first_words


def jobs_in(folder: Path) -> list[str]:
    """Ids of this user's queued, running and ending jobs of the workflow that work in `folder`."""
    listed = _ask(
        ["squeue", "--all", "--noheader", f"--user={getpass.getuser()}", "--format=%i|%j|%Z"]
    )
    rows = (line.split("|", 2) for line in listed.splitlines() if line.count("|") >= 2)
    return [
        job
        for job, name, works_in in rows
        if name.startswith(f"{JOB_NAME_PREFIX}_") and Path(works_in).resolve() == folder.resolve()
    ]


def _ask(command: Sequence[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EntrenchError(
            f"{command[0]}: {error}: is this a login node of the cluster?"
        ) from None
    # `scancel` of a job that has ended meanwhile is no error.
    if done.returncode and "Invalid job id" not in done.stderr:
        raise EntrenchError(
            f"{command[0]}: {done.stderr.strip()}: run the same command again when Slurm answers"
        )
    return done.stdout
