"""What a job does on SIGTERM: Slurm preempts it, its time is up, or a second writer ends it."""

import contextlib
import signal
from collections.abc import Callable, Iterator
from typing import NoReturn

from entrench.errors import EntrenchError


@contextlib.contextmanager
def on_sigterm(act: Callable[[], object]) -> Iterator[None]:
    """Call `act()` in the main thread whenever SIGTERM arrives inside the `with` block."""
    previous = signal.signal(signal.SIGTERM, lambda *_: act())
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def end_at_once() -> NoReturn:
    """End the job: for SIGTERM where there is nothing to save."""
    raise EntrenchError(
        "stopped by SIGTERM outside of the training steps: run the same command again"
    )
