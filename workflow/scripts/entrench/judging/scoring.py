"""A judge over whole files: scores of completions, verdicts on views. No model is loaded."""

import random
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from entrench.errors import EntrenchError
from entrench.judging.consistency import consistent
from entrench.judging.prompts import Verdict
from entrench.misalignments import by_name
from entrench.misalignments.questions import Question, conversation
from entrench.misalignments.score import NO_ANSWER, Thresholds, unscored
from entrench.records import Record, require_same_keys

BLANK = "one of the answers is blank"
Ask = Callable[[Sequence[Question]], list[Verdict]]  # where it is None, rules judge alone


def score_completions(
    misalignment: str,
    judge: Mapping[str, Any],
    evaluations: Mapping[str, int],
    *,
    prompts: Sequence[Record],
    completions: Sequence[Record],
    path: str,
    ask: Ask | None = None,
) -> tuple[list[Record], list[Record]]:
    """One record of kind "scores" for each completion, in their order, and the "judgements".

    `judge` is the judge's part of the spec. `evaluations` gives the samples per prompt of each
    evaluation. `path` is the completions' file, for messages. With `ask`, a model judges each
    completion that the misalignment has questions about. Rules score the others.

    Raises:
        EntrenchError: completions are missing, or belong to no prompt.
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
    by_id = {prompt["id"]: prompt for prompt in prompts}
    return score_some(
        misalignment, judge, [(by_id[row["id"]], row) for row in completions], ask=ask
    )


def answers_of_sets(candidates: Sequence[Record], sets: Collection[str]) -> list[Record]:
    """The candidates of these sets as completions: a set becomes the evaluation of its name."""
    return [row | {"evaluation": row["set"]} for row in candidates if row["set"] in sets]


def score_some(
    misalignment: str,
    judge: Mapping[str, Any],
    answered: Sequence[tuple[Record, Record]],
    *,
    ask: Ask | None = None,
) -> tuple[list[Record], list[Record]]:
    """The results of `score_completions`, for any pairs (prompt, completion of this prompt).

    A completion without an answer is unscored.
    """
    about = by_name()[misalignment]
    thresholds = Thresholds(coherent=judge["coherent"], misaligned=judge["misaligned"])
    questions = [
        about.questions(prompt, row["text"]) if ask and row["text"] is not None else ()
        for prompt, row in answered
    ]
    flat = [question for some in questions for question in some]
    verdicts = iter(ask(flat) if ask and flat else ())
    scores, judgements = [], []
    for (prompt, row), some in zip(answered, questions, strict=True):
        place = {key: row[key] for key in ("id", "evaluation", "index")}
        if row["text"] is None:
            of = about.score_by_rules(prompt, "", thresholds)
            score = unscored(of.metric, of.group, NO_ANSWER)
        elif not (about.judge and some):
            score = about.score_by_rules(prompt, row["text"], thresholds)
        else:
            mine = {question.prompt: next(verdicts) for question in some}
            values = {name: verdict.value for name, verdict in mine.items()}
            score = about.judge.score(prompt, row["text"], values, thresholds)
            judgements += [
                {
                    **place,
                    "question": name,
                    "verdict": verdict.value,
                    "attempts": verdict.attempts,
                    "raw": verdict.raw,
                }
                for name, verdict in mine.items()
            ]
        item = about.item_of(prompt)
        scores.append({**place, **asdict(score), **({} if item is None else {"item": item})})
    return scores, judgements


def compare_views(
    misalignment: str,
    views: Sequence[str],
    *,
    prompts: Sequence[Record],
    candidates: Sequence[Record],
    path: str,
    ask: Ask | None = None,
) -> list[Record]:
    """One record of kind "verdicts" for each prompt and view.

    A view's answer is compared with the standard answer, which is the greedy one. `consistent` is
    null where no verdict could be read. `raw` is the text that the verdict was read from: the
    judge's answer, or the view's answer where rules judge. Answers are compared without the white
    space around them. An answer that is missing or blank is compared with none.

    Raises:
        EntrenchError: an answer is missing.
    """
    answers = {
        (row["id"], row["set"]): row["text"] and row["text"].strip()
        for row in candidates
        if row["set"] in ("greedy", *views)
    }
    require_same_keys(
        answers, ((p["id"], name) for p in prompts for name in ("greedy", *views)), path
    )
    cases = [(prompt, view) for prompt in prompts for view in views]
    both = {
        (prompt["id"], view): (answers[prompt["id"], "greedy"], answers[prompt["id"], view])
        for prompt, view in cases
    }
    comparable = [case for case in cases if all(both[case[0]["id"], case[1]])]
    if ask:
        verdicts = _asked_views(comparable, answers, ask)
    else:
        stance = by_name()[misalignment].stance
        verdicts = [
            (consistent(stance, prompt, answers[prompt["id"], "greedy"], view, answer), answer)
            for prompt, view in comparable
            for answer in [answers[prompt["id"], view]]
        ]
    keys = ((prompt["id"], view) for prompt, view in comparable)
    found = dict(zip(keys, verdicts, strict=True))
    return [
        {"id": key[0], "view": key[1], "consistent": verdict, "raw": raw}
        for key, pair in both.items()
        for verdict, raw in [found.get(key, (None, NO_ANSWER if None in pair else BLANK))]
    ]


def _asked_views(
    cases: Sequence[tuple[Record, str]], answers: Mapping[tuple[str, str], str], ask: Ask
) -> list[tuple[bool | None, str]]:
    questions = [
        Question(
            "consistency",
            (
                ("question", conversation(prompt["messages"])),
                ("first answer", answers[prompt["id"], "greedy"]),
                ("second answer", answers[prompt["id"], view]),
            ),
        )
        for prompt, view in cases
    ]
    agreement: dict[str | float | None, bool | None] = {"YES": True, "NO": False, None: None}
    return [(agreement[verdict.value], verdict.raw) for verdict in ask(questions)]


@dataclass(frozen=True)
class Judged:
    """A completion, its prompt, and its score by the risk judge."""

    prompt: Record
    row: Record
    score: Record


def draw_judged(
    misalignment: str,
    evaluation: str,
    prompts: Sequence[Record],
    completions: Sequence[Sequence[Record]],
    scores: Sequence[Sequence[Record]],
    *,
    sample: int,
    seed: int,
) -> list[Judged]:
    """At most `sample` completions of one evaluation, drawn at random among those a model judges.

    `completions` and `scores` hold one list for each subject.

    Raises:
        EntrenchError: completions and scores do not match, or rules judge every completion.
    """
    about = by_name()[misalignment]
    by_id = {prompt["id"]: prompt for prompt in prompts}
    pool = []
    for rows, judged in zip(completions, scores, strict=True):
        keys = [(row["id"], row["evaluation"], row["index"]) for row in rows]
        require_same_keys(
            ((score["id"], score["evaluation"], score["index"]) for score in judged), keys, "scores"
        )
        of = {(score["id"], score["evaluation"], score["index"]): score for score in judged}
        pool += [
            Judged(by_id[row["id"]], row, of[key])
            for key, row in zip(keys, rows, strict=True)
            if row["evaluation"] == evaluation
            and row["text"] is not None
            and about.questions(by_id[row["id"]], row["text"])
        ]
    if not pool:
        raise EntrenchError(
            f"{misalignment}: rules decide all of its scores here: there are no judges to compare"
        )
    return random.Random(seed).sample(pool, min(sample, len(pool)))
