"""Did a label method's machinery engage? Figures about its labels, for runs_detail.csv.

Shares are fractions in [0, 1]. A figure is None where it does not apply to the method, or where
there is nothing to count.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from entrench.analysis.columns import number, share
from entrench.methods.shared.catalogue import LABEL_METHODS
from entrench.methods.shared.labels import mean
from entrench.records import Record

MACHINERY = {
    "labels_share": share("share of prompts that the method gave a label"),
    **{
        name: share(meaning)
        for method in reversed(LABEL_METHODS.values())
        for name, meaning in method.machinery_columns.items()
    },
    "label_differs_from_greedy_share": share(
        "share of labels whose text differs from the greedy answer"
    ),
    "label_mean_tokens": number("mean length of the labels", "tokens"),
    "label_mean_reward": number(
        "mean external reward of the labels", "reward, in the unit of the reward model"
    ),
}
VIEW_PARSE_RATES = {
    "view_parse_rate_VIEW": share(
        "share of the label judge's verdicts on the view VIEW that could be read"
    ),
}


def machinery(
    method: Mapping[str, Any],
    labels: Sequence[Record],
    candidates: Sequence[Record],
    rewards: Sequence[Record] = (),
    verdicts: Sequence[Record] = (),
) -> dict[str, float | None]:
    """The columns `MACHINERY`, and the parse rate of each view in `verdicts`.

    Columns of other methods are None. `method` is the method's entry in the config: its operator
    and settings (set, k).
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
    operator = LABEL_METHODS[method["operator"]]
    figures: dict[str, float | None] = dict.fromkeys(MACHINERY) | {
        "labels_share": mean([row["label"] is not None for row in labels]),
        "label_differs_from_greedy_share": mean(
            [row["label"].strip() != drafts[row["id"]] for row in chosen if row["id"] in drafts]
        ),
        "label_mean_tokens": mean([tokens[key] for key in keys if key in tokens]),
        "label_mean_reward": mean([reward[key] for key in keys if key in reward]),
        **operator.machinery(operator.parse(method), candidates),
    }
    for view in sorted({verdict["view"] for verdict in verdicts}):
        figures[f"view_parse_rate_{view}"] = mean(
            [v["consistent"] is not None for v in verdicts if v["view"] == view]
        )
    return figures
