"""What a job asks of its machine: here, and only here, a size class becomes resources."""

from collections.abc import Mapping

from entrench.study.config.models import SizeClass

HEADER = ("size class", "GPUs", "CPUs", "memory MB by attempt", "minutes by attempt")


def resources(size: SizeClass, attempt: int) -> dict[str, int]:
    """Resources of a job on a model of this size: `gpu`, `cpus_per_task`, `mem_mb`, `runtime`.

    Memory (megabytes) and run time (minutes) grow with `attempt`, which starts at 1: a job that
    lacked one of them gets more in its next attempt. Each GPU has a process with the threads of the
    size class.
    """
    return {
        "gpu": size.gpus,
        "cpus_per_task": size.threads * max(1, size.gpus),
        "mem_mb": size.mem_mb * attempt,
        "runtime": size.runtime_minutes * attempt,
    }


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
