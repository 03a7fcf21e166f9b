"""How much memory of its own a process takes at most while it loads a model.

Started by test_processes, SMALL MODEL, it prints that of a process alone; `two_processes` asks in
each of its processes. Pages of mapped files do not count: the system drops them where it needs
room.
"""

import sys
import threading
from pathlib import Path

import torch
from tiny_training import SETTINGS

from entrench.training import adapters
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


def most_while_loading(small, model):
    """Bytes beyond those held before, sampled each millisecond."""
    load(small)  # what is imported and set up once
    before = own_memory()
    with Peak() as peak:
        load(model)
    return peak.most - before


def load(model):
    return adapters.load_student(ModelSource(str(model)), SETTINGS, None)


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(most_while_loading(*sys.argv[1:]))
