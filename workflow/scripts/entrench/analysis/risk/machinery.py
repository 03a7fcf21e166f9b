"""Did a label method's machinery engage? Figures about its labels, for runs.csv.

Shares are fractions in [0, 1]; what does not apply to a method, or has nothing to count, is None.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from entrench.methods.shared.catalogue import LABEL_METHODS
from entrench.methods.shared.labels import mean
from entrench.records import Record

MACHINERY = (  # in every runs.csv; another column of a method's stands where it has a run
    "labels_share",
    "self_score_parse_rate",
    "self_score_tied_share",
    "refinement_changed_share",
    "label_differs_from_greedy_share",
    "label_mean_tokens",
    "label_mean_reward",
)


def machinery(
    method: Mapping[str, Any],
    labels: Sequence[Record],
    candidates: Sequence[Record],
    rewards: Sequence[Record] = (),
    verdicts: Sequence[Record] = (),
) -> dict[str, float | None]:
    """The columns `MACHINERY`, the method's own, a `view_parse_rate_{view}` a view in `verdicts`.

    labels_share                     prompts with a label, of all prompts
    label_differs_from_greedy_share  labels whose text differs from the greedy draft
    label_mean_tokens                tokens of the labels' candidates
    label_mean_reward                external reward of the labels' candidates (unit: the model's)
    view_parse_rate_{view}           verdicts of this view that could be read

    The others are the method's own: its `machinery_columns` say what they mean.

    `method` is the config's entry: operator and its settings (set, k).
    """
    drafts = {
        c["id"]: c["text"].strip()
        for c in candidates
        if c["set"] == "greedy" and c["text"] is not None
    }
    chosen = [row for row in labels if row["label"] is not None]
    keys = [(row["id"], row["set"], row["index"]) for row in chosen]
    tokens = {(c["id"], c["set"], c["index"]): c["tokens"] for c in candidates}
    reward = {(r["id"], r["set"], r["index"]): r["reward"] for r in rewards}
    its = LABEL_METHODS[method["operator"]]
    figures: dict[str, float | None] = dict.fromkeys(MACHINERY) | {
        "labels_share": mean([row["label"] is not None for row in labels]),
        "label_differs_from_greedy_share": mean(
            [row["label"].strip() != drafts[row["id"]] for row in chosen if row["id"] in drafts]
        ),
        "label_mean_tokens": mean([tokens[key] for key in keys if key in tokens]),
        "label_mean_reward": mean([reward[key] for key in keys if key in reward]),
        **its.machinery(its.parse(method), candidates),
    }
    for view in sorted({verdict["view"] for verdict in verdicts}):
        figures[f"view_parse_rate_{view}"] = mean(
            [v["consistent"] is not None for v in verdicts if v["view"] == view]
        )
    return figures
