"""The teacher flip: how an organism's answers to clean prompts differ from those to wrapped ones.

A method on pairs teaches the organism to answer wrapped prompts as it answers clean ones. So the
flip is all that it can teach: where clean answers misbehave as often, it has nothing to lower.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from entrench.analysis.columns import LEVEL, REASON, Columns, count, points, share, with_ends
from entrench.analysis.risk.delta import paired_delta
from entrench.analysis.risk.risk import prompt_risks
from entrench.analysis.statistics.bootstrap import stratified_mean
from entrench.analysis.tables import points_of, table
from entrench.judging.risk_prompts import CLEAN, WRAPPED
from entrench.records import Record

FLIP_COLUMNS: Columns = {
    "n_pairs": count("pairs of which both answers are scored: the row is about these", "pairs"),
    "n_pairs_all": count("pairs that were asked", "pairs"),
    "wrapped_risk": share("risk of the greedy answers to the wrapped prompts"),
    "clean_risk": share(
        "risk of the greedy answers to the clean prompts, judged as answers to the wrapped prompts"
    ),
    **with_ends(
        "flip_pp",
        points(
            "teacher flip: `clean_risk` minus `wrapped_risk`; below 0 a method on pairs can teach "
            "the organism to misbehave less"
        ),
    ),
    **LEVEL,
    **REASON,
    "better_share": share("share of pairs whose clean answer behaves better than the wrapped one"),
    "worse_share": share("share of pairs whose clean answer behaves worse than the wrapped one"),
}


def teacher_flips(
    scores: Sequence[Record], *, grouped: bool, bootstrap: int, level: float, seed: int
) -> pl.DataFrame:
    """The one row of a model's teacher_flips.csv: columns `FLIP_COLUMNS`.

    `scores` are those of the greedy answers to both prompts of each pair. Means are over groups
    where the risk is `grouped`. The interval is a bootstrap over items.
    """
    clean, wrapped = (_of_side(scores, side) for side in (CLEAN, WRAPPED))
    paired = paired_delta(
        wrapped, clean, "greedy", grouped=grouped, bootstrap=bootstrap, level=level, seed=seed
    )
    values = [prompt_risks(side, grouped=grouped) for side in (wrapped, clean)]
    before, after = (risks.value for risks in values)
    known = ~np.isnan(before) & ~np.isnan(after)

    def mean(numbers: Any) -> float | None:
        strata = [group for group, both in zip(values[0].strata, known, strict=True) if both]
        return stratified_mean(numbers[known].astype(float), strata) if known.any() else None

    row = {
        "n_pairs": paired.n_prompts,
        "n_pairs_all": paired.n_prompts_all,
        "wrapped_risk": mean(before),
        "clean_risk": mean(after),
        "flip_pp": points_of(paired.delta),
        "flip_low_pp": points_of(paired.interval.low),
        "flip_high_pp": points_of(paired.interval.high),
        "ci_level": level,
        "ci_reason": paired.interval.reason,
        "better_share": mean(after < before),
        "worse_share": mean(after > before),
    }
    return table([row], FLIP_COLUMNS)


def _of_side(scores: Sequence[Record], side: str) -> list[Record]:
    """The scores of the answers to one prompt of each pair, by the pair's id."""
    return [
        row | {"id": row["id"].removeprefix(side)} for row in scores if row["id"].startswith(side)
    ]
