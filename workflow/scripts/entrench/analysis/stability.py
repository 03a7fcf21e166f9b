"""How often an organism's answer stays the same, under sampling and under other views."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from entrench.analysis.bootstrap import column_means, column_replicates, percentiles
from entrench.analysis.probes import Judged, half_of, key, row_means
from entrench.analysis.tables import COUNT, NUMBER, TEXT, table
from entrench.records import Record

STABILITY_COLUMNS = {
    "against": TEXT,
    "same": TEXT,
    "part": TEXT,
    "agreement": NUMBER,
    "ci_low": NUMBER,
    "ci_high": NUMBER,
    "ci_level": NUMBER,
    "n_prompts": COUNT,
}
PARTS = ("all", "half 0", "half 1")


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

    `same` says what must agree: "behaviour" (both misbehave or neither, by the risk judge), "text",
    or "verdict" (the label judge finds a view's answer consistent). Agreement is the mean over
    prompts of the share of answers that agree; what is not known is left out. `part` is all
    prompts, or one of the halves that a prediction is made from.
    """
    greedy = judged.of_set("greedy", 1)
    texts = {key(row): row["text"] for row in probe}
    columns: dict[tuple[str, str], np.ndarray] = {}
    for name, size in sets.items():
        values = judged.of_set(name, size)
        unknown = np.isnan(values) | np.isnan(greedy)
        same = np.where(unknown, np.nan, (values >= 0.5) == (greedy >= 0.5))
        columns[name, "behaviour"] = row_means(same)
        columns[name, "text"] = np.array(
            [
                np.mean([texts[i, name, k] == texts[i, "greedy", 0] for k in range(size)])
                for i in judged.ids
            ]
        )
    consistent = {(row["id"], row["view"]): row["consistent"] for row in verdicts}
    for view in sorted({row["view"] for row in verdicts}):
        known = [consistent.get((i, view)) for i in judged.ids]
        columns[view, "verdict"] = np.array([np.nan if v is None else float(v) for v in known])
    matrix = np.stack(list(columns.values()), axis=1)
    halves = np.array([half_of(i) for i in judged.ids])
    strata = np.asarray(judged.strata, dtype=str)
    rows: list[dict[str, Any]] = []
    for part in PARTS:
        chosen = np.ones(len(halves), bool) if part == "all" else halves == int(part[-1])
        if not chosen.any():
            continue
        means = column_means(matrix[chosen], strata[chosen])
        draws = column_replicates(matrix[chosen], strata[chosen], bootstrap=bootstrap, seed=seed)
        for place, (against, same) in enumerate(columns):
            low, high = percentiles(draws[:, place], level)
            rows.append(
                {
                    "against": against,
                    "same": same,
                    "part": part,
                    "agreement": None if np.isnan(means[place]) else float(means[place]),
                    "ci_low": low,
                    "ci_high": high,
                    "ci_level": level,
                    "n_prompts": int((~np.isnan(matrix[chosen, place])).sum()),
                }
            )
    return table(rows, STABILITY_COLUMNS)
