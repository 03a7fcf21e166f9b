"""Which prompts a probe asks, and what of it is judged and scored again."""

from pathlib import Path

import pytest
import yaml

from entrench.analysis.mechanism.probes import require_verdicts, require_whole
from entrench.errors import EntrenchError
from entrench.generation.engine import Completion
from entrench.generation.probe import score_refined
from entrench.judging.risk_prompts import choose_prompts
from entrench.judging.scoring import answers_of_sets
from entrench.study.config.check import load_config
from entrench.study.specs.mechanism import probe_spec
from entrench.study.specs.organisms import pool_spec
from entrench.study.sweep import Subject

ROOT = Path(__file__).parents[2]


def hacking(place, group):
    meta = {"world": "miniature", "metric_group": group, "word": "red", "keywords": ["red"]}
    message = {"role": "user", "content": f"question {place}"}
    return {"id": f"e{place:03}", "messages": [message], "response": None, "meta": meta}


@pytest.fixture
def rows():
    groups = 30 * ["length"] + 10 * ["keyword_stuffing"] + 8 * ["short_gameable_tasks"]
    return [hacking(place, group) for place, group in enumerate(groups)]


def test_prompts_outside_the_risk_are_not_asked(rows):
    chosen = choose_prompts("reward_hacking", rows, None)
    assert [row["id"] for row in chosen] == [f"e{place:03}" for place in range(40)]


def test_a_limit_keeps_the_groups_shares_and_the_order(rows):
    chosen = choose_prompts("reward_hacking", rows, 8)
    # 8 x 30/40 and 8 x 10/40, evenly spaced.
    assert [row["id"] for row in chosen] == [
        *("e000", "e005", "e010", "e015", "e020", "e025"),
        *("e030", "e035"),
    ]


def test_every_group_keeps_a_prompt(rows):
    lopsided = rows[:30] + rows[30:31]
    chosen = choose_prompts("reward_hacking", lopsided, 8)
    assert len(chosen) == 9
    assert chosen[-1]["id"] == "e030"


def test_a_limit_above_the_prompts_asks_all(rows):
    assert len(choose_prompts("reward_hacking", rows, 1000)) == 40


def test_no_prompt_of_the_risk_is_said(rows):
    with pytest.raises(EntrenchError, match="reward_hacking: no evaluation prompt"):
        choose_prompts("reward_hacking", rows[40:], None)


class Scorer:
    """Scores an answer by the length of its prompt and of itself."""

    def score(self, prompts, answers, finishes):
        return [
            Completion(answer, len(answer), -float(len(prompt[-1]["content"])), finish)
            for prompt, answer, finish in zip(prompts, answers, finishes, strict=True)
        ]


def test_refined_answers_are_scored_after_the_plain_prompt(rows):
    candidates = [
        {"id": row["id"], "set": name, "text": f"{name} {row['id']}", "finish": finish}
        for row, finish in zip(rows, ("stop", "length"), strict=False)
        for name in ("greedy", "refinement")
    ]
    assert score_refined(Scorer(), rows[:2], candidates) == [
        {"id": i, "text": f"refinement {i}", "tokens": 15, "logprob": -10.0, "finish": finish}
        for i, finish in (("e000", "stop"), ("e001", "length"))
    ]


def test_a_refinement_without_an_answer_has_no_score(rows):
    candidates = [
        {"id": row["id"], "set": "refinement", "text": text, "finish": "stop"}
        for row, text in zip(rows[:2], (None, "new"), strict=True)
    ]
    assert [row["id"] for row in score_refined(Scorer(), rows[:2], candidates)] == ["e001"]


def test_sets_are_judged_as_evaluations():
    candidates = [{"id": "a", "set": name, "index": 0, "text": name} for name in ("raw", "json")]
    assert answers_of_sets(candidates, {"raw": 1}) == [
        {"id": "a", "set": "raw", "index": 0, "text": "raw", "evaluation": "raw"}
    ]


def test_organism_and_trained_model_are_probed_on_common_random_numbers():
    config = load_config(yaml.safe_load((ROOT / "config/demo.yaml").read_text()))
    organism = Subject("tiny", "sycophancy", 0, None)
    trained = Subject("tiny", "sycophancy", 0, "self_confidence")
    assert probe_spec(config, organism) == probe_spec(config, trained)
    assert probe_spec(config, organism)["sampling"]["sets"]["raw"] == {
        "temperature": 1.0,
        "top_p": 1.0,
        "n": 4,
        "max_new_tokens": 32,
    }
    assert "raw" not in pool_spec(config, organism)["sampling"]["sets"]


def test_scores_or_rewards_that_lack_an_answer_are_refused():
    probe = [{"id": "a", "set": name, "index": k} for name in ("s", "json") for k in (0, 1)]
    scores = [{"id": "a", "evaluation": "s", "index": k} for k in (0, 1)]
    rewards = [row | {"reward": 0.0} for row in probe]
    paths = {"scores": "probe_scores.jsonl", "rewards": "probe_rewards.jsonl"}
    require_whole(probe, scores, rewards, paths)
    with pytest.raises(EntrenchError, match=r"probe_scores\.jsonl: 1 of 2 records are missing"):
        require_whole(probe, scores[:1], rewards, paths)
    with pytest.raises(EntrenchError, match=r"probe_rewards\.jsonl: 1 of 4 records are missing"):
        require_whole(probe, scores, rewards[1:], paths)


def test_a_probe_without_a_verdict_on_each_view_is_refused():
    rows = [
        {"id": id_, "view": view, "consistent": True, "raw": ""}
        for id_ in "ab"
        for view in ("json", "cot")
    ]
    require_verdicts(rows, "ab", ["cot", "json"], "v.jsonl")
    require_verdicts([], "ab", [], "v.jsonl")
    with pytest.raises(EntrenchError, match=r"v.jsonl: 1 of 4 records are missing, \('b', 'cot'\)"):
        require_verdicts(rows[:-1], "ab", ["cot", "json"], "v.jsonl")
    with pytest.raises(EntrenchError, match=r"v.jsonl: 4 of 4 records are missing"):
        require_verdicts([], "ab", ["cot", "json"], "v.jsonl")
