"""Two changes to the scheduler of Snakemake 9.27: fewer looks for jobs, and SIGTERM always ends it.

Looks. Snakemake limits how many jobs start in a second: 100 by default, and no option lifts that.
A second after each look for jobs it looks again, because the limit may have held some back. It does
so also where the limit held none back, and where another look is due already. Looks therefore
multiply: each finished job adds one a second, and each waits in a thread of its own. With 229 jobs
of the demo done, 165 threads were waiting, and the head took a second of CPU a job. Here Snakemake
looks again only where the limit held jobs back, and one such look is due at a time. The limit
itself stays.

SIGTERM. Snakemake's handler takes the scheduler's lock in the main thread. The main thread may hold
that lock already: then it waits for itself, and the head hangs for ever. Here another thread takes
the lock.

The first change fits workflows without input from queues, which need further looks.
`tests/unit/test_scheduler.py` fails where a later Snakemake has no place for one of them.
"""

import _thread
import threading

from snakemake.scheduling import job_scheduler

exit_gracefully = job_scheduler.JobScheduler.exit_gracefully


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


def exit_beside(scheduler: job_scheduler.JobScheduler, *_signal: object) -> None:
    """Have the scheduler end when its running jobs have ended; safe in a signal handler.

    The main thread may hold any lock when a signal interrupts it, those of `threading` too. So the
    work is done in another thread, and that thread is started without `threading`.
    """
    _thread.start_new_thread(exit_gracefully, (scheduler,))


def change() -> None:
    """Make both changes in this process. Call it before Snakemake schedules: in the Snakefile."""
    job_scheduler.JobRateLimiter = RateLimiter
    job_scheduler.JobScheduler._schedule_reevalutation = look_again
    job_scheduler.JobScheduler.exit_gracefully = exit_beside
