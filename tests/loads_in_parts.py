"""Loads a model as one of several processes, or alone, and notes the memory it took meanwhile.

Started by test_distributed: SMALL MODEL FOLDER PROCESSES. Each process writes to FOLDER, in
`peak-RANK.json`, how many bytes of its own it held at most beyond those it had before, sampled each
millisecond. Pages of mapped files do not count: the system drops them where it needs room.
"""

import json
import os
import sys
import threading
from pathlib import Path

import torch
from tiny_training import SETTINGS

from entrench.execution import command
from entrench.training import adapters, processes
from entrench.training.settings import ModelSource


def own_memory():
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * sum(int(x.split()[1]) for x in lines if x.startswith(("RssAnon", "RssShmem")))


class Peak:
    """The most that `own_memory` gave while inside."""

    def __enter__(self):
        self.most, self.done = own_memory(), threading.Event()
        self.thread = threading.Thread(target=self.watch)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        self.thread.join()

    def watch(self):
        while not self.done.wait(0.001):
            self.most = max(self.most, own_memory())


def main(argv):
    small, model, folder = (Path(name) for name in argv[:3])
    torch.set_num_threads(1)
    processes.join(on_gpu=False)
    load(small)  # what is imported and set up once
    before = own_memory()
    with Peak() as peak:
        load(model)
    (folder / f"peak-{processes.rank()}.json").write_text(json.dumps(peak.most - before))
    processes.leave()


def load(model):
    return adapters.load_student(ModelSource(str(model)), SETTINGS, None)


if __name__ == "__main__":
    if "RANK" in os.environ or sys.argv[4] == "1":
        command.run(main)
    else:
        command.run(lambda argv: processes.start(__file__, argv, int(argv[3])))
