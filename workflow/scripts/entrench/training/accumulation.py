"""The number of micro-batches in an optimizer step. Planning needs it too: no torch is imported."""

import math


def step_split(batch_size: int, at_once: int, processes: int) -> tuple[int, int]:
    """The number of micro-batches of each process in a step, and of rows in the largest of them.

    `at_once` is the number of rows that a process can hold. Rows are spread evenly, so machines of
    different sizes may split a step in the same way.
    """
    micro_batches = math.ceil(batch_size / (at_once * processes))
    return micro_batches, math.ceil(batch_size / (micro_batches * processes))
