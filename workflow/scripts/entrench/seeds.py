"""Seeds: every random draw derives from its purpose, never from what ran before it."""

import hashlib
import json


def derive_seed(*identity: str | int) -> int:
    """A seed in [0, 2**63) from an identity, e.g. `("tiny", "sycophancy", 40, "induction")`.

    The same identity gives the same seed on every machine; seeds of different identities are
    independent. So a result depends neither on which other runs exist nor on their order.
    """
    digest = hashlib.sha256(json.dumps(identity).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
