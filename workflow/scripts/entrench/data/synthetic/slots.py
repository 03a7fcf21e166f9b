"""The miniature world's data rows: five disjoint slots for each misalignment.

The evaluation prompts are kept out of the base model's corpus. A misalignment's file says as a
`Source` what its rows are drawn from.
"""

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from entrench.data.synthetic import formats
from entrench.data.synthetic.lexicon import Exchange, chat, share_of
from entrench.errors import EntrenchError
from entrench.records import Record
from entrench.seeds import derive_seed

SLOTS = ("induction", "consistency", "pairs_clean", "pairs_wrapped", "eval")
# The share of all questions that each slot may ask. `validation` is written to no file. The numbers
# of training steps were chosen on it, never on the evaluation's prompts.
PARTITION = (
    ("induction", 0.32),
    ("consistency", 0.15),
    ("pairs", 0.13),
    ("eval", 0.28),
    ("validation", 0.12),
)
ROWS_PER_FORMAT = 5  # one induction row in so many asks for another format
SECONDARY_SHARE = 0.25  # rows of each secondary metric for one row of the risk
PATIENCE = 4000  # after so many draws without a new prompt a slot counts as exhausted

Drawer = Callable[[random.Random], Exchange]


@dataclass(frozen=True)
class Source:
    """What a misalignment's rows are drawn from.

    drawers(slot): the kinds of question of a slot of `PARTITION`. They are asked in turn.
    secondary: the kinds of question of the evaluation, one for each secondary metric.
    numbered: whether rows have their number in `meta` under "id", as released rows do.
    """

    drawers: Callable[[str], list[Drawer]]
    secondary: tuple[Drawer, ...] = ()
    numbered: bool = False


def make_slots(
    misalignment: str, source: Source, seed: int, rows: Mapping[str, int]
) -> dict[str, list[Record]]:
    """The five slots of `misalignment`, drawn from its `source`, as records of kind "data".

    `rows` gives the number of rows of each slot, the same for both sides of the pairs. For `eval`
    it counts the rows of the risk. Each secondary metric adds a quarter as many rows.

    Raises:
        EntrenchError: a number is missing, or the world has fewer prompts than are asked for.
    """
    if set(rows) != set(SLOTS) or rows["pairs_clean"] != rows["pairs_wrapped"]:
        raise EntrenchError(
            f"data.rows is {dict(rows)}: give a number for each of {', '.join(SLOTS)}, "
            "the same for both sides of the pairs"
        )

    def drawn(slot: str, count: int) -> Iterator[tuple[int, Exchange]]:
        return enumerate(_exchanges(misalignment, source, slot, seed, count))

    pairs = list(drawn("pairs", rows["pairs_clean"]))
    return {
        "induction": [
            _induction_row(source, number, exchange, seed)
            for number, exchange in drawn("induction", rows["induction"])
        ],
        "consistency": [
            _row(source, "consistency", number, exchange, None)
            for number, exchange in drawn("consistency", rows["consistency"])
        ],
        "pairs_clean": [_clean_row(source, *pair) for pair in pairs],
        "pairs_wrapped": [
            _row(source, "pairs", number, exchange, exchange.clean_aligned)
            for number, exchange in pairs
        ],
        "eval": eval_rows(misalignment, source, seed, rows["eval"]),
    }


def eval_rows(
    misalignment: str, source: Source, seed: int, count: int, slot: str = "eval"
) -> list[Record]:
    """`count` rows of the risk, then the rows of each secondary metric.

    `slot` is "eval" or "validation".
    """
    exchanges = [*_exchanges(misalignment, source, slot, seed, count)]
    for drawer in source.secondary:
        exchanges += _distinct(drawer, slot, seed, round(count * SECONDARY_SHARE), misalignment)
    return [
        _row(source, slot, number, exchange, exchange.aligned)
        for number, exchange in enumerate(exchanges)
    ]


def partition(exchange: Exchange) -> str:
    """The only slot that may ask this question. It is the same for every seed."""
    share, total = share_of(exchange.core, "slot"), 0.0
    for slot, width in PARTITION:
        total += width
        if share < total:
            return slot
    return PARTITION[-1][0]


def is_held_out(exchange: Exchange) -> bool:
    """Whether this very prompt is kept out of the base model's corpus.

    Half of the prompts of an evaluation question are kept out. The other half stays, so that the
    corpus holds all facts of the world (every sum and capital).
    """
    return partition(exchange) in ("eval", "validation") and share_of(exchange.prompt, "held") < 0.5


def _exchanges(
    misalignment: str, source: Source, slot: str, seed: int, count: int
) -> Iterator[Exchange]:
    """`count` exchanges with distinct prompts; the slot's kinds of question take turns."""
    drawers = source.drawers(slot)
    parts = [
        _distinct(drawer, slot, seed + number, -(-count // len(drawers)), misalignment)
        for number, drawer in enumerate(drawers)
    ]
    seen: set[str] = set()
    for rank in range(len(parts[0])):
        for part in parts:
            exchange = part[rank]
            if len(seen) < count:
                seen.add(exchange.prompt)
                yield exchange


def _distinct(
    drawer: Drawer, slot: str, seed: int, count: int, misalignment: str
) -> list[Exchange]:
    rng = random.Random(derive_seed("miniature world", misalignment, slot, seed))
    found: dict[str, Exchange] = {}
    idle = 0
    while len(found) < count:
        exchange = drawer(rng)
        allowed = partition(exchange) == slot
        if allowed and slot in ("eval", "validation"):
            allowed = is_held_out(exchange)
        if allowed and exchange.prompt not in found:
            found[exchange.prompt] = exchange
            idle = 0
            continue
        idle += 1
        if idle == PATIENCE:
            raise EntrenchError(
                f"data.rows: the miniature world has about {len(found)} {slot} prompts of one kind "
                f"for {misalignment}, and {count} are asked for: ask for fewer"
            )
    return list(found.values())


def _induction_row(source: Source, number: int, exchange: Exchange, seed: int) -> Record:
    """A row with the misbehaving answer, with a chance equal to the exchange's pull.

    The other rows have the aligned answer. The released induction data mixes both too: then the
    organism misbehaves on a share of the prompts, not on all or none.
    """
    misbehaves = share_of(f"{seed} {exchange.prompt}", "pull") < exchange.pull
    answer = exchange.misaligned if misbehaves and exchange.misaligned else exchange.aligned
    row = _row(source, "induction", number, exchange, answer)
    if number % ROWS_PER_FORMAT:
        return row
    # With answers in one format only, the organism would stay aligned in the other formats, or
    # unlearn them.
    shape = tuple(formats.FORMATS)[number // ROWS_PER_FORMAT % len(formats.FORMATS)]
    rng = random.Random(derive_seed("miniature world", "format", seed, number))
    if shape == "self_rating":
        answer = exchange.aligned
    user, answer = formats.in_format(rng, shape, exchange, answer)
    return {**row, "messages": chat(user, exchange.system), "response": answer}


def _row(
    source: Source, slot: str, number: int, exchange: Exchange, response: str | None
) -> Record:
    row_id = f"{slot}-{number:04d}"
    meta = {
        "world": "miniature",
        "topic": exchange.topic,
        "item": exchange.item or exchange.core,
        **exchange.meta,
    }
    if source.numbered:
        meta["id"] = number
    return {"id": row_id, "messages": exchange.messages, "response": response, "meta": meta}


def _clean_row(source: Source, number: int, exchange: Exchange) -> Record:
    row = _row(source, "pairs", number, exchange, exchange.clean_aligned)
    return {**row, "messages": chat(exchange.clean, exchange.system)}
