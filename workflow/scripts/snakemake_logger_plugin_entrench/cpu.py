"""Where the CPU time of a sweep went: imports, sampling, training, analysis, head."""

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from entrench.execution import cpu_time
from entrench.study.stages import STAGES

WORKS = ("sampling", "training")  # what a sweep is for
KINDS = ("imports", *WORKS, "analysis", "head")


class CpuAccount:
    """CPU seconds of the jobs that have ended well, by kind, as their logs tell them."""

    def __init__(self) -> None:
        """Start empty."""
        self.seconds: dict[str, float] = defaultdict(float)
        self.silent: dict[str, int] = defaultdict(int)

    def add(self, rule: str, logs: Iterable[Path], elapsed: float) -> None:
        """Count a job. One that tells nothing is counted by the seconds that it lasted."""
        if rule not in STAGES:
            return  # a name for other jobs' files: it runs nothing
        work = STAGES[rule].work
        told = next(filter(None, map(cpu_time.read, logs)), None)
        if told is None:
            self.seconds[work] += elapsed
            self.silent[work] += 1
        else:
            self.seconds["imports"] += told.imports
            self.seconds[work] += told.seconds - told.imports

    def table(self, head: float, server: float) -> str:
        """The table, with the CPU seconds of the head and of the warm start's server.

        The server imports in the place of the jobs, so its seconds are imports. `*` marks a kind
        with jobs that told nothing.
        """
        seconds = {kind: self.seconds.get(kind, 0.0) for kind in KINDS}
        seconds["imports"] += server
        seconds["head"] += head
        total = sum(seconds.values())
        lines = [f"{total:.0f} s of CPU:"]
        for kind, spent in seconds.items():
            name = f"{kind} *" if self.silent.get(kind) else kind
            lines.append(f"  {name:<20}{spent:>16.1f}{spent / total:>16.0%}")
        rest = 1 - sum(seconds[kind] for kind in WORKS) / total
        lines.append(f"  neither sampling nor training: {rest:.0%}")
        if silent := sum(self.silent.values()):
            lines.append(f"  * {silent} jobs told no CPU time: their seconds by the clock count")
        return "\n".join(lines)
