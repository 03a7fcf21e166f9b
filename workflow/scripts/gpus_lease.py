"""Run a command with GPUs of its own: CUDA_VISIBLE_DEVICES names devices that no other job holds.

    gpus_lease.py N COMMAND ARGUMENT ...

Waits until N devices are free, and prints to stderr which devices it holds. Inside a Slurm job it
waits for none: Slurm has assigned the devices. The command reads N from ENTRENCH_GPUS. It ends at
once if it finds no GPU and N is not 0.
"""

import os
import sys
from collections.abc import Sequence

from entrench.errors import EntrenchError
from entrench.execution import command, devices


def main(argv: Sequence[str]) -> None:
    """Become the command, holding the devices until it ends."""
    if len(argv) < 2 or not argv[0].isdigit():
        raise EntrenchError("usage: gpus_lease.py N COMMAND ARGUMENT ...")
    os.environ[devices.GIVEN] = argv[0]
    if "SLURM_JOB_ID" not in os.environ:
        names = ",".join(devices.lease(int(argv[0])))
        os.environ["CUDA_VISIBLE_DEVICES"] = names
        if names:
            print(f"GPUs {names}", file=sys.stderr, flush=True)
    os.execvp(argv[1], list(argv[1:]))


if __name__ == "__main__":
    command.run(main)
