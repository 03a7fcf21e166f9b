"""Did a label method's machinery engage? Figures about its labels, for runs.csv.

Shares are fractions in [0, 1]; what does not apply to a method, or has nothing to count, is None.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from entrench.analysis.columns import number, share
from entrench.methods.operators import OPERATORS
from entrench.records import Record

MACHINERY = {
    "labels_share": share("share of prompts that the method gave a label"),
    "self_score_parse_rate": share(
        "share of self-scores that could be read, among the k candidates that are chosen from"
    ),
    "self_score_tied_share": share(
        "share of prompts whose k candidates differ in text and all have the same self-score: the "
        "first one is taken, which is no selection"
    ),
    "refinement_changed_share": share(
        "share of refinements that do not hold the greedy draft word for word"
    ),
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
    """The columns `MACHINERY`, and of each view in `verdicts` its `VIEW_PARSE_RATES`.

    `method` is the config's entry: operator and its settings (set, k).
    """
    answered = [c for c in candidates if c["text"] is not None]
    drafts = {c["id"]: c["text"].strip() for c in answered if c["set"] == "greedy"}
    chosen = [row for row in labels if row["label"] is not None]
    keys = [(row["id"], row["set"], row["index"]) for row in chosen]
    tokens = {(c["id"], c["set"], c["index"]): c["tokens"] for c in candidates}
    reward = {(r["id"], r["set"], r["index"]): r["reward"] for r in rewards}
    figures = {
        "labels_share": _mean([row["label"] is not None for row in labels]),
        "self_score_parse_rate": None,
        "self_score_tied_share": None,
        "refinement_changed_share": None,
        "label_differs_from_greedy_share": _mean(
            [row["label"].strip() != drafts[row["id"]] for row in chosen if row["id"] in drafts]
        ),
        "label_mean_tokens": _mean([tokens[key] for key in keys if key in tokens]),
        "label_mean_reward": _mean([reward[key] for key in keys if key in reward]),
    }
    if OPERATORS[method["operator"]].reads_self_scores:
        read = [c for c in answered if c["set"] == method["set"] and c["index"] < method["k"]]
        figures["self_score_parse_rate"] = _mean([c["self_score"] is not None for c in read])
        figures["self_score_tied_share"] = _tied_share(read)
    if "refinement" in OPERATORS[method["operator"]].sets:
        figures["refinement_changed_share"] = _mean(
            [
                drafts[c["id"]] not in c["text"]
                for c in answered
                if c["set"] == "refinement" and c["id"] in drafts
            ]
        )
    for view in sorted({verdict["view"] for verdict in verdicts}):
        figures[f"view_parse_rate_{view}"] = _mean(
            [v["consistent"] is not None for v in verdicts if v["view"] == view]
        )
    return figures


def _tied_share(candidates: Sequence[Record]) -> float | None:
    by_prompt: dict[str, list[Record]] = {}
    for candidate in candidates:
        by_prompt.setdefault(candidate["id"], []).append(candidate)
    return _mean(
        [
            len({c["self_score"] for c in own}) == 1 and len({c["text"] for c in own}) > 1
            for own in by_prompt.values()
        ]
    )


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
