"""A judge over whole files: completions to scores, view answers to verdicts. Loads no model."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib import import_module
from typing import Any

from entrench.judging.consistency import consistent
from entrench.judging.score import Thresholds
from entrench.records import Record, require_same_keys


def score_completions(
    misalignment: str,
    judge: Mapping[str, Any],
    evaluations: Mapping[str, int],
    *,
    prompts: Sequence[Record],
    completions: Sequence[Record],
    path: str,
) -> list[Record]:
    """One record of kind "scores" for each completion, in their order.

    `evaluations` gives the samples per prompt of each evaluation, `path` names the completions'
    file in messages. Raises `EntrenchError` where completions are missing or belong to no prompt.
    """
    require_same_keys(
        ((row["id"], row["evaluation"], row["index"]) for row in completions),
        (
            (prompt["id"], name, index)
            for prompt in prompts
            for name, samples in evaluations.items()
            for index in range(samples)
        ),
        path,
    )
    rules = import_module(f"entrench.misalignments.{misalignment}")
    thresholds = Thresholds(**{key: judge[key] for key in judge if key != "backend"})
    by_id = {prompt["id"]: prompt for prompt in prompts}
    return [
        {
            "id": row["id"],
            "evaluation": row["evaluation"],
            "index": row["index"],
            **asdict(rules.score_by_rules(by_id[row["id"]], row["text"], thresholds)),
        }
        for row in completions
    ]


def compare_views(
    views: Sequence[str],
    *,
    prompts: Sequence[Record],
    candidates: Sequence[Record],
    path: str,
) -> list[Record]:
    """One record of kind "verdicts" for each prompt and view.

    The standard answer is the greedy one. `consistent` is null where the view's answer gives
    nothing to compare; `raw` keeps that answer. Raises `EntrenchError` where one is missing.
    """
    answers = {
        (row["id"], row["set"]): row["text"]
        for row in candidates
        if row["set"] in ("greedy", *views)
    }
    require_same_keys(
        answers, ((p["id"], name) for p in prompts for name in ("greedy", *views)), path
    )
    rows = []
    for prompt in prompts:
        standard = answers[prompt["id"], "greedy"]
        for view in views:
            answer = answers[prompt["id"], view]
            verdict = consistent(prompt, standard, view, answer)
            rows.append({"id": prompt["id"], "view": view, "consistent": verdict, "raw": answer})
    return rows
