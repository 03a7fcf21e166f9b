"""How many micro-batches an optimizer step has. Planning asks too, so this imports nothing."""

import math


def step_split(batch_size: int, at_once: int, processes: int) -> tuple[int, int]:
    """Micro-batches of each process in a step, and the rows of the largest.

    `at_once` is the number of rows that a process can hold. Rows are spread evenly, so a machine
    that could hold more may split a step in the same way. The two results decide each other.
    """
    micro_batches = math.ceil(batch_size / (at_once * processes))
    return micro_batches, math.ceil(batch_size / (micro_batches * processes))
