"""How the rows of an optimizer step are split over processes and over what one holds at once."""

import itertools
import math
from collections.abc import Iterator, Sequence

from torch.utils.data import Sampler

from entrench.training.accumulation import step_split
from entrench.training.batches import EpochOrder


class StepBatches(Sampler[list[int]]):
    """Row numbers of this process's micro-batches, one optimizer step after the other.

    A step takes `batch_size` rows of the order, however many rows a process holds at once and
    however many processes there are. Within a step, rows of like length share a micro-batch: its
    loss is a sum over the rows, so that changes nothing but the padding. Every process has as many
    micro-batches in a step as the others; where rows run out they are empty.
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
        """Split rows of these `lengths` (all alike: in their order), at most `at_once` together."""
        self.order = order
        self.lengths = lengths
        self.batch_size = batch_size
        self.micro_batches, self.largest = step_split(batch_size, at_once, processes)
        self.rank = rank
        self.processes = processes

    def __len__(self) -> int:
        """Micro-batches of one epoch."""
        return math.ceil(len(self.order) / self.batch_size) * self.micro_batches

    def __iter__(self) -> Iterator[list[int]]:
        """The micro-batches of this epoch; the order's epoch decides which."""
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
