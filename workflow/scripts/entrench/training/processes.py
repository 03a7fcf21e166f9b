"""One training in several processes, one for each device of a node: start them and join them.

torchrun (`torch.distributed.run`) starts the processes. Each reads its rank and their number from
the environment. torch is imported inside the functions.
"""

import logging
import os
import signal
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

from entrench.errors import EntrenchError
from entrench.execution import command, cpu_time

if TYPE_CHECKING:
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

T = TypeVar("T")

# Time between SIGTERM and SIGKILL: enough for a step and a checkpoint. torchrun's default is less.
SHUTDOWN_SECONDS = 120
# How long processes wait for each other: the first may wait for an earlier writer, or read a large
# model.
WAIT = timedelta(hours=2)


def rank() -> int:
    """The number of this process, from 0; 0 where it is alone."""
    return int(os.environ.get("RANK", "0"))


def processes() -> int:
    """The number of processes that train together."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def start(script: str, argv: Sequence[str], number: int) -> None:
    """Run `script` in `number` processes of this node, and wait for them.

    It does the same as `torchrun --standalone --nproc-per-node NUMBER SCRIPT ...`, except for the
    message after a failure.

    Raises:
        EntrenchError: a process failed, or a signal stopped them. The message is the one of the
            process that failed first.
    """
    logging.disable()  # hides torchrun's own report of a failure; nothing else logs here
    from torch.distributed import run as torchrun
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    parser = torchrun.get_args_parser()
    parser.allow_abbrev = False  # `--run` belongs to the script and is not short for `--run-path`
    arguments = parser.parse_args(
        [
            "--standalone",
            f"--nproc-per-node={number}",
            f"--shutdown-timeout={SHUTDOWN_SECONDS}",
            *(script, *argv),
        ]
    )
    try:
        with cpu_time.of_parts():
            torchrun.run(arguments)
    except SignalException as error:
        name = error.sigval.name
        raise EntrenchError(
            f"stopped by {name}: run the same command again to go on from the last checkpoint"
        ) from None
    except ChildFailedError as error:
        raise EntrenchError(_first_message(error, number)) from None


def _first_message(error: "ChildFailedError", number: int) -> str:
    """The message of the process that failed first. The others fail because they lose it.

    A process that is killed leaves no message. The others then end with a traceback.
    """
    failures = error.failures.values()
    recorded = [failure for failure in failures if "timestamp" in failure.error_file_data]
    killed = [failure for failure in failures if failure.exitcode == -signal.SIGKILL]
    if recorded:
        # Times are whole seconds. Within one, a message comes before a traceback: a traceback is
        # what a process has that lost another one.
        first = min(recorded, key=lambda f: (f.timestamp, _is_traceback(f.message)))
        if not (killed and _is_traceback(first.message)):
            return first.message
    failure = killed[0] if killed else error.get_first_failure()[1]
    how = failure.message if failure.exitcode < 0 else f"exit code {failure.exitcode}"
    return (
        f"process {failure.local_rank} of {number} ended without a message ({how}): if memory ran "
        "out, ask for more; then run the same command again"
    )


def _is_traceback(message: str) -> bool:
    return message.startswith(command.TRACEBACK)


def join(on_gpu: bool) -> None:
    """Join the other processes, if there are any. Each has its own GPU, or all are on the CPU.

    Raises:
        EntrenchError: there are fewer GPUs than processes.
    """
    if processes() == 1:
        return
    import torch

    if not on_gpu:
        torch.distributed.init_process_group("gloo", timeout=WAIT)
        return
    local = int(os.environ["LOCAL_RANK"])
    if local >= torch.cuda.device_count():
        raise EntrenchError(
            f"{processes()} processes train here and {torch.cuda.device_count()} GPUs are visible: "
            "set `gpus` of the size class to what the job is given"
        )
    torch.cuda.set_device(local)
    device = torch.device("cuda", local)
    torch.distributed.init_process_group("nccl", timeout=WAIT, device_id=device)


def leave() -> None:
    """Wait for the other processes, then leave them."""
    if processes() > 1:
        import torch

        torch.distributed.barrier()
        torch.distributed.destroy_process_group()


def wait_for_all() -> None:
    """Return once every process has called this."""
    if processes() > 1:
        import torch

        torch.distributed.barrier()


def any_process(value: bool) -> bool:
    """Whether the value is true in any process. Every process must call this."""
    if processes() == 1:
        return value
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    answer = torch.tensor(int(value), device=device)
    torch.distributed.all_reduce(answer, torch.distributed.ReduceOp.MAX)
    return bool(answer)


def from_first(value: T) -> T:
    """The first process's value, in all processes. Every process must call this."""
    if processes() == 1:
        return value
    import torch

    values = [value]
    torch.distributed.broadcast_object_list(values, src=0)
    return values[0]
