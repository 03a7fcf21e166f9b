"""What a job asks of its machine: here, and only here, a size class becomes resources."""

from collections.abc import Mapping

from entrench.study.config.models import SizeClass

HEADER = ("size class", "GPUs", "CPUs", "memory MB by attempt", "minutes by attempt")


def cpus(size: SizeClass) -> int:
    """CPU cores of a job on a model of this size: each GPU has a process with the class's threads.

    A sweep on one machine counts them as cores in use; Slurm is asked for as many.
    """
    return size.threads * max(1, size.gpus)


def resources(size: SizeClass, attempt: int) -> dict[str, int]:
    """Resources of a job on a model of this size: `gpu`, `cpus_per_task`, `mem_mb`, `runtime`.

    Memory (megabytes) and run time (minutes) grow with `attempt`, which starts at 1: a job that
    lacked one of them gets more in its next attempt.
    """
    return {
        "gpu": size.gpus,
        "cpus_per_task": cpus(size),
        "mem_mb": size.mem_mb * attempt,
        "runtime": size.runtime_minutes * attempt,
    }


def beyond(sizes: Mapping[str, SizeClass], cores: int) -> list[str]:
    """A warning for each size class whose jobs compute with more threads than there are cores."""
    return [
        f"a job of size class {name!r} computes with {cpus(size)} threads and the sweep has "
        f"{cores} of the cores: such a job runs alone, and slower than on {cpus(size)} cores"
        for name, size in sizes.items()
        if cpus(size) > cores
    ]


def table(sizes: Mapping[str, SizeClass], attempts: int) -> str:
    """A table as text: what each size class asks, with memory and time at each attempt."""
    rows = [HEADER]
    for name, size in sizes.items():
        asked = [resources(size, attempt) for attempt in range(1, attempts + 1)]
        memory = " ".join(str(ask["mem_mb"]) for ask in asked)
        minutes = " ".join(str(ask["runtime"]) for ask in asked)
        first = asked[0]
        rows.append((name, str(first["gpu"]), str(first["cpus_per_task"]), memory, minutes))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
    return "\n".join(lines)
