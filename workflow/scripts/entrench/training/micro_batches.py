"""How the rows of an optimizer step are split over processes and over micro-batches."""

import itertools
import math
from collections.abc import Iterator, Sequence

from torch.utils.data import Sampler

from entrench.training.accumulation import step_split
from entrench.training.batches import EpochOrder


class StepBatches(Sampler[list[int]]):
    """The row numbers of this process's micro-batches, one optimizer step after the other.

    A step takes `batch_size` rows of the order, whatever a process holds at once, and whatever the
    number of processes. Within a step, rows of similar length share a micro-batch. Its loss is a
    sum over rows, so this changes only the padding. Every process has the same number of
    micro-batches in a step. They are empty where no rows are left.
    """

    def __init__(
        self,
        order: EpochOrder,
        lengths: Sequence[int],
        batch_size: int,
        at_once: int,
        rank: int = 0,
        processes: int = 1,
    ) -> None:
        """Split rows of these `lengths`, at most `at_once` into a micro-batch.

        Where all lengths are equal, rows keep their order.
        """
        self.order = order
        self.lengths = lengths
        self.batch_size = batch_size
        self.micro_batches, self.largest = step_split(batch_size, at_once, processes)
        self.rank = rank
        self.processes = processes

    def __len__(self) -> int:
        """The number of micro-batches in one epoch."""
        return math.ceil(len(self.order) / self.batch_size) * self.micro_batches

    def __iter__(self) -> Iterator[list[int]]:
        """The micro-batches of the epoch that the order is set to."""
        rows = list(self.order)
        for start in range(0, len(rows), self.batch_size):
            yield from self._split(rows[start : start + self.batch_size])

    def _split(self, rows: list[int]) -> list[list[int]]:
        places = sorted(range(len(rows)), key=lambda place: self.lengths[rows[place]])
        count = math.ceil(len(rows) / self.largest)
        ends = [len(rows) * part // count for part in range(count + 1)]
        parts = [
            [rows[place] for place in sorted(places[i:j])] for i, j in itertools.pairwise(ends)
        ]
        parts += [[]] * (self.micro_batches * self.processes - count)
        return parts[self.rank :: self.processes]
