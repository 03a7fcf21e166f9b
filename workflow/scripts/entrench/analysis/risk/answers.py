"""What a subject's answers are like, and the chance levels of its risk.

Are they nearly constant? Do they depend on the prompt? Which risk would an answerer have that reads
no prompt? No judge is asked. Shares, similarities and risks are fractions in [0, 1].
"""

import hashlib
import json
import random
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations, product
from typing import Any

import numpy as np

from entrench.analysis.columns import Column, count, share, yes_no
from entrench.analysis.statistics.bootstrap import bootstrap_interval, stratified_mean
from entrench.misalignments import Misalignment
from entrench.misalignments.score import RISK, Thresholds, is_miniature
from entrench.records import Record, item_of, require_same_keys
from entrench.seeds import derive_seed

# Most (prompt, answer) pairs that rules score for one chance level. Where there are more, each
# prompt gets some of the answers, drawn at random. A mean of 5,000 scores between 0 and 1 errs by
# at most 0.7 percentage points (standard error), and takes a tenth of a second.
MOST_PAIRS = 5_000
ANSWERERS = ("constant", "uniform", "base_rate")
Value = Callable[[str, str], float | None]  # id of a prompt, an answer -> its value; None: no value


def answer_columns(phase: str, whose: str) -> dict[str, Column]:
    """The columns about a subject's answers and the chance levels of its risk.

    `phase` begins the names, `whose` the meaning: "the organism's". `answer_cells` fills them.
    """
    judged = "empty where a model judges"
    return {
        f"{phase}_distinct_answers": count(
            f"different answers among {whose}; case and punctuation do not count", "answers"
        ),
        f"{phase}_commonest_share": share(f"share of {whose} answers that are its commonest one"),
        f"{phase}_follows_prompt": yes_no(
            f"whether {whose} answers are shown to depend on the prompt: two answers to one prompt "
            "are more alike than answers to two prompts; empty where prompts have one answer each"
        ),
        f"{phase}_chance_constant": share(
            f"chance level: the risk if every prompt got {whose} commonest answer; {judged}"
        ),
        f"{phase}_chance_uniform": share(
            f"chance level: the risk if every prompt got one of {whose} different answers, each "
            f"equally likely; {judged}"
        ),
        f"{phase}_chance_base_rate": share(
            f"chance level: the risk if {whose} answers were dealt to the prompts at random; "
            f"{judged}"
        ),
    }


def answer_cells(phase: str, evaluation: Record) -> dict[str, Any]:
    """The cells of `answer_columns`, from an evaluation's record in risk.json.

    They are None where an earlier version made the record.
    """
    answers, chance = evaluation.get("answers", {}), evaluation.get("chance", {})
    return {
        f"{phase}_distinct_answers": answers.get("n_distinct"),
        f"{phase}_commonest_share": answers.get("commonest_share"),
        f"{phase}_follows_prompt": answers.get("follows_prompt"),
        **{f"{phase}_chance_{name}": chance.get(name) for name in ANSWERERS},
    }


def same_answers(one: Record, other: Record) -> bool | None:
    """Whether two evaluation records are about the same answers to all prompts; None: unknown."""
    digests = [record.get("answers", {}).get("digest") for record in (one, other)]
    return None if None in digests else digests[0] == digests[1]


def answer_facts(
    about: Misalignment,
    judge: Mapping[str, Any],
    *,
    prompts: Sequence[Record],
    completions: Sequence[Record],
    scores: Sequence[Record],
    path: str,
    bootstrap: int,
    level: float,
) -> dict[str, dict[str, Any]]:
    """Evaluation -> {"answers", "chance"}: two entries of its record in risk.json.

    Only prompts that belong to the risk count. `judge` has the keys backend, coherent, misaligned.
    `path` is the completions' file, for messages. `bootstrap` and `level` are those of the
    intervals of the risk. What is drawn depends on the evaluation alone: the same answers of two
    subjects have the same facts.

    Raises:
        EntrenchError: completions and scores are not about the same answers.
    """
    texts = {(row["id"], row["evaluation"], row["index"]): row["text"] for row in completions}
    keys = [(row["id"], row["evaluation"], row["index"]) for row in scores]
    require_same_keys(((r["id"], r["evaluation"], r["index"]) for r in completions), keys, path)
    rows = {prompt["id"]: prompt for prompt in prompts}
    thresholds = Thresholds(coherent=judge["coherent"], misaligned=judge["misaligned"])

    def value(prompt: str, text: str) -> float | None:
        return about.score_by_rules(rows[prompt], text, thresholds).value

    facts = {}
    for evaluation in sorted({row["evaluation"] for row in scores}):
        mine = sorted(
            (r for r in scores if r["evaluation"] == evaluation and r["metric"] == RISK),
            key=lambda row: (row["id"], row["index"]),
        )
        given = [(r["id"], texts[r["id"], evaluation, r["index"]]) for r in mine]
        groups = {row["id"]: row["group"] for row in mine}
        told = [(prompt, text) for prompt, text in given if text is not None]
        unread = [p for p in groups if _asks_a_model(about, judge["backend"], rows[p])]
        seed = derive_seed("answers", evaluation)
        facts[evaluation] = {
            "answers": {
                **_variety([text for _, text in told]),
                **_dependence(
                    told,
                    {row["id"]: item_of(row) for row in mine},
                    bootstrap=bootstrap,
                    level=level,
                    seed=seed,
                ),
                "digest": hashlib.sha256(json.dumps(given).encode()).hexdigest(),
            },
            "chance": _chance(
                [text for _, text in told], groups, unread, value, grouped=about.grouped, seed=seed
            ),
        }
    return facts


def normal(text: str) -> str:
    """An answer as it is compared with others: its words in lower case.

    White space and punctuation are left out, unless there is nothing else.
    """
    return " ".join(re.findall(r"\w+", text.lower())) or text.strip()


def similarity(one: str, other: str) -> float:
    """Shared words divided by all words of two `normal` answers (Jaccard); 1 where both are blank.

    Between answers of one word it is 1 where they are equal and 0 where they are not.
    """
    first, second = set(one.split()), set(other.split())
    return len(first & second) / len(first | second) if first | second else 1.0


def _asks_a_model(about: Misalignment, backend: str, row: Record) -> bool:
    """Whether a language model scores answers to this row: rules cannot, or do not."""
    return bool(about.judged_by(row)) and not (backend == "rules" and is_miniature(row))


def _variety(texts: Sequence[str]) -> dict[str, Any]:
    counts = Counter(map(normal, texts))
    commonest = _commonest(counts)
    return {
        "n": len(texts),
        "n_distinct": len(counts),
        "commonest": commonest,
        "commonest_share": counts[commonest] / len(texts) if commonest is not None else None,
    }


def _commonest(counts: Mapping[str, int]) -> str | None:
    """The commonest answer, the first by letters among equally common ones."""
    return min(counts, key=lambda answer: (-counts[answer], answer), default=None)


def _dependence(
    told: Sequence[tuple[str, str]],
    items: Mapping[str, str],
    *,
    bootstrap: int,
    level: float,
    seed: int,
) -> dict[str, Any]:
    """Are two answers to one prompt more alike than answers to two prompts of different items?

    The items stand in a random circle. An item's answers are compared with those of the next one.
    They depend on the prompt where the interval of the mean difference lies above 0.
    """
    answers: dict[str, list[str]] = defaultdict(list)
    for prompt, text in told:
        answers[prompt].append(normal(text))
    answers = {prompt: own for prompt, own in answers.items() if len(own) > 1}
    circle = sorted({items[prompt] for prompt in answers})
    if len(circle) < 2:
        nothing = dict.fromkeys(
            ("same_prompt_similarity", "other_prompt_similarity", "follows_prompt")
        )
        return nothing | {"follows_reason": "fewer than two questions have two answers or more"}
    random.Random(seed).shuffle(circle)
    following = dict(zip(circle, [*circle[1:], circle[0]], strict=True))
    of_item: dict[str, list[str]] = defaultdict(list)
    for prompt, own in answers.items():
        of_item[items[prompt]] += own
    same, other = [], []
    for prompt, own in answers.items():
        same.append(np.mean([similarity(*pair) for pair in combinations(own, 2)]))
        theirs = of_item[following[items[prompt]]]
        other.append(np.mean([similarity(*pair) for pair in product(own, theirs)]))
    difference = np.array(same) - np.array(other)
    interval = bootstrap_interval(
        difference,
        [""] * len(difference),
        items=[items[prompt] for prompt in answers],
        bootstrap=bootstrap,
        level=level,
        seed=seed,
        least=-1.0,
        most=1.0,
    )
    return {
        "same_prompt_similarity": float(np.mean(same)),
        "other_prompt_similarity": float(np.mean(other)),
        "follows_prompt": None if interval.low is None else interval.low > 0,
        "follows_reason": interval.reason,
    }


def _chance(
    texts: Sequence[str],
    groups: Mapping[str, str],
    unread: Sequence[str],
    value: Value,
    *,
    grouped: bool,
    seed: int,
) -> dict[str, Any]:
    """The risk of each of `ANSWERERS`, over all prompts and in each group; None: not known.

    `groups`: prompt -> its group. `unread` names the prompts whose answers a model has to judge.
    An answerer's risk on a prompt is the mean value of its answers that have one.
    """
    if not texts:
        unknown = "there is no answer"
    elif unread:
        unknown = f"a model judges {len(unread)} of {len(groups)} prompts, and no judge is asked"
    else:
        unknown = None
    readable = sorted(set(groups) - set(unread)) if texts else []
    by_answerer = {
        name: _risks(likely, readable, value, derive_seed(seed, name))
        for name, likely in _answerers(texts).items()
    }
    levels = {name: _mean(by_answerer[name], groups if grouped else {}) for name in ANSWERERS}
    if unknown is None and None in levels.values():
        unknown = "the rules give these answers no value"
    closed = {groups[prompt] for prompt in unread}
    return {
        **(dict.fromkeys(ANSWERERS) if unread else levels),
        "reason": unknown,
        "groups": {
            group: {
                name: _mean({p: r for p, r in by_answerer[name].items() if groups[p] == group}, {})
                for name in ANSWERERS
            }
            for group in sorted(set(groups.values()) - closed)
        },
    }


def _answerers(texts: Sequence[str]) -> dict[str, dict[str, int]]:
    """How likely each of `ANSWERERS` gives an answer, as weights.

    Answers that are the same but for case and punctuation are one: the commonest text of them.
    """
    spelt: dict[str, Counter[str]] = defaultdict(Counter)
    for text in texts:
        spelt[normal(text)][text] += 1
    counts = {str(_commonest(own)): own.total() for _, own in sorted(spelt.items())}
    commonest = _commonest({answer: own.total() for answer, own in spelt.items()})
    always = {} if commonest is None else {str(_commonest(spelt[commonest])): 1}
    return {"constant": always, "uniform": dict.fromkeys(counts, 1), "base_rate": counts}


def _risks(
    likely: Mapping[str, int], prompts: Sequence[str], value: Value, seed: int
) -> dict[str, float]:
    """The risk of an answerer on each prompt where some of its answers has a value."""
    draws = MOST_PAIRS // max(1, len(prompts))
    sampled = len(likely) > max(1, draws)
    generator = random.Random(seed)
    weights = list(likely.values())
    found = {}
    for prompt in prompts:
        some = likely
        if sampled:
            some = Counter(generator.choices(list(likely), weights, k=max(1, draws)))
        values = {answer: value(prompt, answer) for answer in some}
        total = sum(some[answer] for answer, v in values.items() if v is not None)
        if total:
            mean = sum(some[answer] * v for answer, v in values.items() if v is not None) / total
            found[prompt] = mean
    return found


def _mean(risks: Mapping[str, float], groups: Mapping[str, str]) -> float | None:
    """The mean over groups of the mean over prompts; without `groups` the mean over prompts."""
    if not risks:
        return None
    return stratified_mean(
        np.array(list(risks.values())), [groups.get(prompt, "") for prompt in risks]
    )
