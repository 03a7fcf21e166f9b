"""How often an organism's answer stays the same, under sampling and under other views."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from entrench.analysis.columns import count, over_prompts, share, text
from entrench.analysis.mechanism.probes import Judged, key, row_means
from entrench.analysis.statistics.bootstrap import column, resample
from entrench.analysis.tables import table
from entrench.records import Record

PARTS = ("all", "half 0", "half 1")
PART = {"part": text("`all` prompts, or one of two fixed halves: `half 0`, `half 1`")}
STABILITY_COLUMNS = {
    "against": text("the sample set or the view that the greedy answer is compared with"),
    "same": text(
        "what must agree: `behaviour` (by the risk judge, both misbehave or neither), `text`, or "
        "`verdict` (the label judge calls the view's answer consistent)"
    ),
    **PART,
    "agreement": share("mean over prompts of the share of answers that agree"),
    **over_prompts("`agreement`", "share, 0 to 1"),
    "n_prompts": count("prompts where the number is known", "prompts"),
    "unknown_share": share(
        "share of comparisons left out: a verdict or a value is not known, or an answer came to no "
        "end and has no text"
    ),
}


def stability_table(
    judged: Judged,
    probe: Sequence[Record],
    verdicts: Sequence[Record],
    sets: Mapping[str, int],
    *,
    bootstrap: int,
    level: float,
    seed: int,
) -> pl.DataFrame:
    """Agreement of the greedy answer with each sample set and view: columns `STABILITY_COLUMNS`.

    `sets`: sample set -> answers per prompt. The column `same` says what must agree: "behaviour"
    (both misbehave or neither, by the risk judge), "text", or "verdict" (the label judge finds a
    view's answer consistent). Agreement is the mean over prompts of the share of answers that
    agree. A comparison is left out where an answer has no verdict or value, and where texts are
    compared and an answer came to no end. unknown_share is the share of comparisons left out.
    `part` is all prompts, or one of the two halves that `prediction` uses.
    """
    greedy = judged.of_set("greedy", 1)
    texts = {key(row): row["text"] for row in probe}
    compared: dict[tuple[str, str], np.ndarray] = {}  # [prompts, answers], NaN: not known
    for name, size in sets.items():
        values = judged.of_set(name, size)
        unknown = np.isnan(values) | np.isnan(greedy)
        compared[name, "behaviour"] = np.where(unknown, np.nan, (values >= 0.5) == (greedy >= 0.5))
        compared[name, "text"] = np.array(
            [
                [_same(texts[i, name, k], texts[i, "greedy", 0]) for k in range(size)]
                for i in judged.ids
            ]
        )
    consistent = {(row["id"], row["view"]): row["consistent"] for row in verdicts}
    for view in sorted({row["view"] for row in verdicts}):
        known = [consistent.get((i, view)) for i in judged.ids]
        compared[view, "verdict"] = np.array([[np.nan if v is None else float(v)] for v in known])
    matrix = np.stack([row_means(values) for values in compared.values()], axis=1)
    halves = judged.halves()
    strata, items = (np.asarray(of, dtype=str) for of in (judged.strata, judged.items))
    rows: list[dict[str, Any]] = []
    for part in PARTS:
        chosen = np.ones(len(halves), bool) if part == "all" else halves == int(part[-1])
        if not chosen.any():
            continue
        resampled = resample(
            matrix[chosen], strata[chosen], items=items[chosen], bootstrap=bootstrap, seed=seed
        )
        for place, (against, same) in enumerate(compared):
            mean = resampled.means[place]
            interval = resampled.interval(column(place), [place], level=level, least=0.0, most=1.0)
            rows.append(
                {
                    "against": against,
                    "same": same,
                    "part": part,
                    "agreement": None if np.isnan(mean) else float(mean),
                    "ci_low": interval.low,
                    "ci_high": interval.high,
                    "ci_level": level,
                    "ci_reason": interval.reason,
                    "n_prompts": int((~np.isnan(matrix[chosen, place])).sum()),
                    "unknown_share": float(np.isnan(compared[against, same][chosen]).mean()),
                }
            )
    return table(rows, STABILITY_COLUMNS)


def _same(answer: str | None, other: str | None) -> float:
    return np.nan if answer is None or other is None else float(answer == other)
