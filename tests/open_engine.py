"""Opens engines where no GPU is seen, each in a copy of a process that has imported the libraries.

Started by test_engine_choice. Reads a list of cases from standard input; writes of each the exit
status, the output and the errors.
"""

import argparse
import json
import os
import sys
import tempfile
import traceback

import peft  # noqa: F401  what every case would import
import torch
from transformers import AutoModelForCausalLM, LlamaForCausalLM  # noqa: F401

from entrench.errors import EntrenchError
from entrench.generation.command import add_engine_options, open_engine


def options(*more):
    """What a job says of its machine: one without a GPU, or what `more` says."""
    parser = argparse.ArgumentParser()
    add_engine_options(parser)
    return parser.parse_args(["--batch-size", "8", "--gpus", "0", "--memory-percent", "90", *more])


def in_a_copy(act):
    """Run `act` in a copy of this process; its exit status, output and errors."""
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        child = os.fork()
        if child == 0:
            os.dup2(output.fileno(), 1)
            os.dup2(errors.fileno(), 2)
            status = 2
            try:
                status = act()
            except BaseException:
                traceback.print_exc()
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
        _, status = os.waitpid(child, 0)
        output.seek(0)
        errors.seek(0)
        return os.waitstatus_to_exitcode(status), output.read(), errors.read()


def attempt(spec, more, folder, gpu):
    """Print the engine that is opened, or why none is; `folder` is searched for vLLM first."""
    sys.path.insert(0, folder)
    if gpu:
        torch.cuda.is_available = lambda: True
    try:
        engine, record = open_engine(spec, None, options(*more))
    except EntrenchError as error:
        print(error, file=sys.stderr)
        return 1
    print(json.dumps([type(engine).__name__, record]))
    return 0


if __name__ == "__main__":
    json.dump([in_a_copy(lambda c=case: attempt(**c)) for case in json.load(sys.stdin)], sys.stdout)
