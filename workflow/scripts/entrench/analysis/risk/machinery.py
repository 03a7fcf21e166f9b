"""Did a label method's machinery engage? Figures about its labels, for runs.csv.

Shares are fractions in [0, 1]; what does not apply to a method, or has nothing to count, is None.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from entrench.methods.operators import OPERATORS
from entrench.records import Record

MACHINERY = (
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
    """The columns `MACHINERY` and a `view_parse_rate_{view}` for each view in `verdicts`.

    labels_share                     prompts with a label, of all prompts
    self_score_parse_rate            self-scores that parsed, of the k candidates chosen from
    self_score_tied_share            prompts whose k candidates all have the same self-score though
                                     their texts differ: the first one is taken, no selection
    refinement_changed_share         refinements that do not hold the greedy draft word for word
    label_differs_from_greedy_share  labels whose text differs from the greedy draft
    label_mean_tokens                tokens of the labels' candidates
    label_mean_reward                external reward of the labels' candidates (unit: the model's)
    view_parse_rate_{view}           verdicts of this view that could be read

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
