"""Before its first job a head claims its folder and ends the jobs that a killed head left."""

from pathlib import Path

from entrench.execution import head, lease, slurm


def take_over(folder: Path, on_slurm: bool) -> None:
    """Claim `folder` for this process, on every machine that sees it; end a killed head's jobs.

    Snakemake's own lock does the same until somebody removes it. The claim also holds after
    `snakemake --unlock`.

    Raises:
        EntrenchError: another head is alive, or the jobs of a killed one cannot be ended.
    """
    lease.claim(head.lease_file(folder))
    if on_slurm:
        slurm.notice_cancelled_jobs()
        slurm.end_orphans(folder)
    head.end_orphans(folder)
