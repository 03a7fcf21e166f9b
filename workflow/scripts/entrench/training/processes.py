"""One training in several processes, one for each device of a node: starting and joining them.

The processes are torchrun's (`torch.distributed.run`): each knows its rank and their number from
the environment. Imports torch inside its functions.
"""

import logging
import os
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

from entrench.errors import EntrenchError
from entrench.execution import command

if TYPE_CHECKING:
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

T = TypeVar("T")

# A step and a checkpoint fit in between SIGTERM and SIGKILL; schedulers allow less by themselves.
SHUTDOWN_SECONDS = 120
# The others wait while the first process waits for an earlier writer, or reads a large model.
WAIT = timedelta(hours=2)


def rank() -> int:
    """This process's number; 0 also where it is alone."""
    return int(os.environ.get("RANK", "0"))


def processes() -> int:
    """How many processes train together."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def start(script: str, argv: Sequence[str], number: int) -> None:
    """Run `script` in `number` processes of this node and wait for them.

    As `torchrun --standalone --nproc-per-node NUMBER SCRIPT ...`, except for what is said at the
    end of a failure: the message of the process that failed first, as an `EntrenchError`.
    """
    logging.disable()  # torchrun's own account of a failure; this process does nothing else
    from torch.distributed import run as torchrun
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    parser = torchrun.get_args_parser()
    parser.allow_abbrev = False  # `--run` is the script's, not short for `--run-path`
    arguments = parser.parse_args(
        [
            "--standalone",
            f"--nproc-per-node={number}",
            f"--shutdown-timeout={SHUTDOWN_SECONDS}",
            *(script, *argv),
        ]
    )
    try:
        torchrun.run(arguments)
    except SignalException as error:
        name = error.sigval.name
        raise EntrenchError(
            f"stopped by {name}: run the same command again to go on from the last checkpoint"
        ) from None
    except ChildFailedError as error:
        raise EntrenchError(_first_message(error, number)) from None


def _first_message(error: "ChildFailedError", number: int) -> str:
    """What the first process to fail has recorded; its peers fail for want of it."""
    failures = error.failures.values()
    recorded = [failure for failure in failures if "timestamp" in failure.error_file_data]
    if recorded:
        # A message before a traceback: who loses its peer in the same second has the latter.
        first = min(recorded, key=lambda f: (f.timestamp, f.message.startswith(command.TRACEBACK)))
        return first.message
    failure = error.get_first_failure()[1]
    how = failure.message if failure.exitcode < 0 else f"exit code {failure.exitcode}"
    return (
        f"process {failure.local_rank} of {number} ended without a message ({how}): where memory "
        "ran out ask for more, and run the same command again"
    )


def join(on_gpu: bool) -> None:
    """Join the other processes, where there are any; one GPU for each, or all on the CPU."""
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
    """Wait for the others and part from them."""
    if processes() > 1:
        import torch

        torch.distributed.barrier()
        torch.distributed.destroy_process_group()


def wait_for_all() -> None:
    """Return once every process is here."""
    if processes() > 1:
        import torch

        torch.distributed.barrier()


def any_process(value: bool) -> bool:
    """Whether the value is true in any process; all of them must ask."""
    if processes() == 1:
        return value
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    answer = torch.tensor(int(value), device=device)
    torch.distributed.all_reduce(answer, torch.distributed.ReduceOp.MAX)
    return bool(answer)


def from_first(value: T) -> T:
    """The first process's value, in all of them; all of them must ask."""
    if processes() == 1:
        return value
    import torch

    values = [value]
    torch.distributed.broadcast_object_list(values, src=0)
    return values[0]
