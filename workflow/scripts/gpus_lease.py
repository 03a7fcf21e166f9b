"""Run a command with GPUs of its own: CUDA_VISIBLE_DEVICES names devices no other job holds.

    gpus_lease.py N COMMAND ARGUMENT ...

Waits until N devices are free, and says on stderr which it holds. Inside a Slurm job none is
waited for: Slurm has assigned them. The command learns N from ENTRENCH_GPUS,
and ends at once where it finds no GPU and N is not 0.
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
