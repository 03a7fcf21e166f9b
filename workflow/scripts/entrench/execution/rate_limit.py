"""Snakemake's limit on job starts, without the passes of the scheduler that it adds.

Snakemake looks again for jobs to start a second after each look, because its limit (by default 100
starts a second, and no option lifts it) may have held some back. It does so also where the limit
held none back, and beside other looks that are already due. Looks therefore multiply: each finished
job adds one a second, each in a thread of its own. With 229 jobs of the demo done, 165 threads were
waiting, and the head took a second of CPU a job.

Here Snakemake looks again only where the limit held jobs back, and one such look is due at a time.
The limit itself stays. Written for Snakemake 9.27 (`JobScheduler.schedule`), for workflows without
input from queues, which need further looks; `tests/unit/test_rate_limit.py` fails where a later
Snakemake has no such place.
"""

import threading

from snakemake.scheduling import job_scheduler


class RateLimiter(job_scheduler.JobRateLimiter):
    """Snakemake's limiter, which also knows whether it held jobs back.

    `binds`: the latest selection took as many jobs as were free, so more may have been ready.
    """

    free = 0
    binds = False

    def get_free_jobs(self) -> int:
        """How many jobs may start now."""
        self.free = super().get_free_jobs()
        self.binds = self.free == 0
        return self.free

    def register_jobs(self, n_jobs: int) -> None:
        """Count jobs that start now."""
        super().register_jobs(n_jobs)
        self.binds = n_jobs >= self.free


def look_again(scheduler: job_scheduler.JobScheduler, delay: float) -> None:
    """Have the scheduler look for jobs in `delay` seconds, where its limit held some back."""
    limiter = scheduler.job_rate_limiter
    if getattr(scheduler, "look_is_due", False) or (limiter and not limiter.binds):
        return
    scheduler.look_is_due = True

    def look() -> None:
        # Before the scheduler is woken: its pass may ask for the next look.
        scheduler.look_is_due = False
        scheduler._open_jobs.release()

    timer = threading.Timer(delay, look)
    timer.daemon = True
    timer.start()


def one_look_at_a_time() -> None:
    """Change this process's Snakemake so, before it schedules: while the Snakefile is read."""
    job_scheduler.JobRateLimiter = RateLimiter
    job_scheduler.JobScheduler._schedule_reevalutation = look_again
