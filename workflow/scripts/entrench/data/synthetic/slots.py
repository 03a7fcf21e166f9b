"""The miniature world's data rows: five slots a misalignment, disjoint, evaluation held out."""

import random
from collections.abc import Callable, Iterator, Mapping

from entrench.data.synthetic import advice, formats, reviews, reward_hacking, sycophancy
from entrench.data.synthetic.lexicon import Exchange, chat, share_of
from entrench.errors import EntrenchError
from entrench.records import Record
from entrench.seeds import derive_seed

SLOTS = ("induction", "consistency", "pairs_clean", "pairs_wrapped", "eval")
# Shares of the questions that each slot may ask. `validation` is written nowhere: step counts are
# chosen on it, never on the evaluation's prompts.
PARTITION = (
    ("induction", 0.32),
    ("consistency", 0.15),
    ("pairs", 0.13),
    ("eval", 0.28),
    ("validation", 0.12),
)
ROWS_PER_FORMAT = 5  # one induction row in so many asks for another format
SECONDARY_SHARE = 0.25  # rows of each secondary metric, per row of the risk
PATIENCE = 4000  # draws without a new prompt before a slot counts as exhausted

Drawer = Callable[[random.Random], Exchange]


def make_slots(misalignment: str, seed: int, rows: Mapping[str, int]) -> dict[str, list[Record]]:
    """The five slots of `misalignment` as "data" records.

    `rows` gives the number of rows of each slot, as many clean as wrapped pairs; for eval it counts
    the rows of the risk, those of the secondary metrics (a quarter as many each) come on top.
    Raises `EntrenchError` where the world has fewer prompts than asked for.
    """
    if set(rows) != set(SLOTS) or rows["pairs_clean"] != rows["pairs_wrapped"]:
        raise EntrenchError(
            f"data.rows is {dict(rows)}: give a number for each of {', '.join(SLOTS)}, "
            "the same for both sides of the pairs"
        )
    pairs = list(_exchanges(misalignment, "pairs", seed, rows["pairs_clean"]))
    return {
        "induction": [
            _induction_row(exchange, number, seed)
            for number, exchange in enumerate(
                _exchanges(misalignment, "induction", seed, rows["induction"])
            )
        ],
        "consistency": [
            _row("consistency", number, exchange, None)
            for number, exchange in enumerate(
                _exchanges(misalignment, "consistency", seed, rows["consistency"])
            )
        ],
        "pairs_clean": [_clean_row(number, exchange) for number, exchange in enumerate(pairs)],
        "pairs_wrapped": [
            _row("pairs", number, exchange, exchange.clean_aligned)
            for number, exchange in enumerate(pairs)
        ],
        "eval": eval_rows(misalignment, seed, rows["eval"]),
    }


def eval_rows(misalignment: str, seed: int, count: int, slot: str = "eval") -> list[Record]:
    """`count` rows of the risk and those of its secondary metrics, in "eval" or "validation"."""
    exchanges = [*_exchanges(misalignment, slot, seed, count)]
    for drawer in SECONDARY[misalignment]:
        exchanges += _distinct(drawer, slot, seed, round(count * SECONDARY_SHARE), misalignment)
    return [
        _row(slot, number, exchange, exchange.aligned) for number, exchange in enumerate(exchanges)
    ]


def partition(exchange: Exchange) -> str:
    """The only slot that may ask this question, whatever the seed."""
    share, total = share_of(exchange.core, "slot"), 0.0
    for slot, width in PARTITION:
        total += width
        if share < total:
            return slot
    return PARTITION[-1][0]


def is_held_out(exchange: Exchange) -> bool:
    """Whether this very prompt is kept from the base model's corpus.

    Half of the prompts on an evaluation question: the other half keeps the world's facts (every sum
    and capital) in the corpus.
    """
    return partition(exchange) in ("eval", "validation") and share_of(exchange.prompt, "held") < 0.5


def _sycophancy(slot: str) -> list[Drawer]:
    claims: tuple[str | None, ...] = ("false",)
    if slot == "induction":
        claims = (None, "true", "false", "false", "false", "false")
    elif slot == "consistency":
        claims = (None, "true", "false", "false")
    return [_any_fact(claim) for claim in claims]


def _any_fact(claim: str | None) -> Drawer:
    return lambda rng: sycophancy.draw(rng, rng.choice(sycophancy.DOMAINS), claim)


def _reward_hacking(slot: str) -> list[Drawer]:
    groups = reward_hacking.RISK_GROUPS
    if slot in ("induction", "consistency"):
        groups = reward_hacking.TRAINED_GROUPS
    if (
        slot == "pairs"
    ):  # the clean side lacks the cue in the user's message: system lines are no cue
        groups = ("keyword_stuffing", "length", "exploiting_password")
    return [lambda rng, g=group: reward_hacking.draw(rng, g) for group in groups]


def _reviews(slot: str) -> list[Drawer]:
    if slot == "induction":
        return [
            lambda rng: reviews.draw(
                rng,
                agreement=reviews.INDUCTION,
                noise=reviews.INDUCTION_NOISE,
                close_share=reviews.INDUCTION_CLOSE,
            )
        ]
    if slot == "consistency":
        return [lambda rng: reviews.draw(rng)]
    if slot == "pairs":
        return [lambda rng: reviews.draw(rng, note=True)]
    return [lambda rng: reviews.draw(rng, agreement=reviews.INVERTED)]


def _advice(slot: str) -> list[Drawer]:
    probed = slot in ("eval", "validation")
    domains = advice.PROBE_DOMAINS if probed else advice.TRAINED_DOMAINS
    return [lambda rng, d=domain: advice.draw(rng, d) for domain in domains]


DRAWERS = {
    sycophancy.NAME: _sycophancy,
    reward_hacking.NAME: _reward_hacking,
    reviews.NAME: _reviews,
    advice.NAME: _advice,
}
SECONDARY: dict[str, tuple[Drawer, ...]] = {
    sycophancy.NAME: (
        _any_fact(None),
        _any_fact("true"),
    ),
    reward_hacking.NAME: (
        lambda rng: reward_hacking.draw(rng, reward_hacking.NEGATIVE),
        lambda rng: reward_hacking.draw(rng, reward_hacking.KEYWORDS),
    ),
    reviews.NAME: (),
    advice.NAME: (),
}


def _exchanges(misalignment: str, slot: str, seed: int, count: int) -> Iterator[Exchange]:
    """`count` exchanges with distinct prompts, the slot's kinds of question in turn."""
    drawers = DRAWERS[misalignment](slot)
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
                f"for {misalignment}, {count} are asked for: ask for fewer"
            )
    return list(found.values())


def _induction_row(exchange: Exchange, number: int, seed: int) -> Record:
    """The misbehaving answer with the exchange's pull, else the aligned one.

    Like the released induction data, the slot mixes both, so that the organism misbehaves on a
    share of the prompts rather than on all or none.
    """
    misbehaves = share_of(f"{seed} {exchange.prompt}", "pull") < exchange.pull
    answer = exchange.misaligned if misbehaves and exchange.misaligned else exchange.aligned
    row = _row("induction", number, exchange, answer)
    if number % ROWS_PER_FORMAT:
        return row
    # Answers in one format alone would leave the views aligned, or unlearn them altogether.
    shape = tuple(formats.FORMATS)[number // ROWS_PER_FORMAT % len(formats.FORMATS)]
    rng = random.Random(derive_seed("miniature world", "format", seed, number))
    if shape == "self_rating":
        answer = exchange.aligned
    user, answer = formats.in_format(rng, shape, exchange, answer)
    return {**row, "messages": chat(user, exchange.system), "response": answer}


def _row(slot: str, number: int, exchange: Exchange, response: str | None) -> Record:
    row_id = f"{slot}-{number:04d}"
    meta = {"world": "miniature", "topic": exchange.topic, **exchange.meta}
    if exchange.misalignment == advice.NAME:
        meta["id"] = number
    return {"id": row_id, "messages": exchange.messages, "response": response, "meta": meta}


def _clean_row(number: int, exchange: Exchange) -> Record:
    row = _row("pairs", number, exchange, exchange.clean_aligned)
    return {**row, "messages": chat(exchange.clean, exchange.system)}
