"""What Snakemake does first: be the only head in its folder, and end what a killed head left."""

from pathlib import Path

from entrench.execution import head, lease, slurm


def take_over(folder: Path, on_slurm: bool) -> None:
    """Claim `folder` for this process, on every machine that sees it; end a dead head's jobs.

    Snakemake's own lock says the same until somebody removes it; this says it after `--unlock` too.

    Raises:
        EntrenchError: another head is alive, or the jobs of a killed one cannot be ended.
    """
    lease.claim(head.lease_file(folder))
    if on_slurm:
        slurm.notice_cancelled_jobs()
        slurm.end_orphans(folder)
    head.end_orphans(folder)
