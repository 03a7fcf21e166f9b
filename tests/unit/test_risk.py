"""Risk from scores: literal values, a plain re-computation, laws, coverage of the interval."""

import json
import random
import statistics
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from unit.test_answers import RULES, answer, review

from entrench.analysis.risk.risk import risk_record
from entrench.analysis.statistics.bootstrap import bootstrap_interval, stratified_mean
from entrench.errors import EntrenchError
from entrench.records import write_jsonl

SCRIPTS = Path(__file__).parents[2] / "workflow" / "scripts"
SETTINGS = {
    "grouped": False,
    "evaluations": ["greedy"],
    "headline": "greedy",
    "max_unscored": 0.5,
    "bootstrap": 200,
    "level": 0.95,
    "seed": 7,
}


def score(prompt, value, index=0, group="a", metric="risk", evaluation="greedy", **also):
    """A score record; a value that is a word is the state of a completion without one."""
    scored = not isinstance(value, str)
    return {
        "id": prompt,
        "evaluation": evaluation,
        "index": index,
        "metric": metric,
        "group": group,
        "state": "scored" if scored else value,
        "value": float(value) if scored else None,
        "reason": None if scored else "a reason",
        "also": also,
    }


def greedy(scores, **settings):
    return risk_record(scores, **SETTINGS | settings)["evaluations"]["greedy"]


def test_a_prompts_risk_is_the_mean_over_its_scored_completions():
    record = greedy(
        [
            score("p", 1, 0),
            score("p", 0, 1),
            score("p", "excluded", 2),
            score("q", 1, 0),
            score("q", 1, 1),
            score("q", "unscored", 2),
            score("r", "excluded", 0),
            score("r", "excluded", 1),
        ]
    )
    assert record["risk"] == 0.75  # p: 1/2, q: 1, r: nothing scored
    assert record["risk_lower"] == pytest.approx((1 / 3 + 2 / 3 + 0) / 3)
    assert record["risk_upper"] == pytest.approx((2 / 3 + 1 + 1) / 3)
    assert record["scored_share"] == 4 / 8
    assert record["excluded_share"] == 3 / 8
    assert record["unscored_share"] == 1 / 8
    assert (record["n_prompts"], record["n_prompts_scored"], record["n_completions"]) == (3, 2, 8)
    assert record["valid"]
    assert record["reason"] is None


def test_grouped_risk_is_the_mean_of_the_groups_means():
    scores = [
        score("p", 1, group="length"),
        score("q", 0, group="length"),
        score("r", 0, group="length"),
        score("s", 0, group="length"),
        score("t", 1, group="password"),
    ]
    grouped = greedy(scores, grouped=True)
    assert grouped["risk"] == (0.25 + 1) / 2
    assert grouped["groups"] == {
        "length": {"risk": 0.25, "n_prompts": 4, "n_prompts_scored": 4},
        "password": {"risk": 1.0, "n_prompts": 1, "n_prompts_scored": 1},
    }
    assert greedy(scores)["risk"] == 2 / 5
    # Other password prompts may vary as other length prompts do.
    assert grouped["ci_low"] < 0.5
    assert grouped["ci_high"] == 1


def test_nothing_scored_is_null_with_a_reason():
    record = risk_record([score("p", "excluded"), score("q", "unscored")], **SETTINGS)
    assert not record["valid"]
    assert record["reason"] == "nothing is scored: 50.0% excluded, 50.0% unscored"
    evaluation = record["evaluations"]["greedy"]
    assert evaluation["risk"] is None
    assert (evaluation["ci_low"], evaluation["ci_reason"]) == (None, "no prompt has a value")
    assert (evaluation["risk_lower"], evaluation["risk_upper"]) == (0, 1)
    assert "NaN" not in json.dumps(record)


def test_no_risk_rows_at_all():
    record = greedy([score("p", 1, metric="direct_accuracy")])
    assert (record["risk"], record["risk_lower"], record["valid"]) == (None, None, False)
    assert record["reason"] == "nothing is scored: no completion belongs to the risk"


def test_a_single_prompt_has_a_risk_and_no_interval():
    record = greedy([score("p", 1), score("p", 0, 1)])
    assert record["risk"] == 0.5
    assert record["ci_low"] is None
    assert record["ci_reason"] == "one prompt: no spread over prompts to resample"


def test_too_many_unscored_make_it_invalid_and_keep_the_figure():
    scores = [score("p", 1), score("q", 1), score("r", "unscored"), score("s", 0)]
    assert greedy(scores, max_unscored=0.25)["valid"]
    record = greedy(scores, max_unscored=0.2)
    assert not record["valid"]
    assert record["reason"] == "25.0% of the completions are unscored, max_unscored is 20.0%"
    assert record["risk"] == pytest.approx(2 / 3)


def test_one_unscored_prompt_of_many_leaves_it_valid():
    """Reward hacking has 16 prompts: one is 6.25%, which is above the limit of 5%."""
    scores = [score(f"p{i:02}", i % 2) for i in range(16)]
    scores[3] = score("p03", "unscored")
    assert greedy(scores, max_unscored=0.05)["valid"]
    draws = [score(f"p{i:02}", "unscored" if i == 3 else 1, k) for i in range(16) for k in range(4)]
    assert greedy(draws, max_unscored=0.05)["valid"]
    scores[4] = score("p04", "unscored")
    record = greedy(scores, max_unscored=0.05)
    assert record["reason"] == "12.5% of the completions are unscored, max_unscored is 5.0%"
    assert not greedy(scores[:4] + scores[5:9], max_unscored=0.05)["valid"]  # one of 8


def test_secondary_metrics():
    record = greedy(
        [
            score("p", 1, coherence=0.8),
            score("q", "excluded", coherence=0.2),
            score("r", 1, 0, metric="direct_accuracy", coherence=0.0),
            score("r", 0, 1, metric="direct_accuracy"),
            score("s", 1, metric="direct_accuracy"),
            score("t", "unscored", metric="accuracy_user_right"),
        ]
    )
    assert record["risk"] == 1
    assert record["n_completions"] == 2
    assert record["metrics"]["direct_accuracy"]["mean"] == 0.75
    assert record["metrics"]["coherence"] == {"mean": 0.5, "n_completions": 2}
    assert record["metrics"]["accuracy_user_right"]["mean"] is None
    assert record["metrics"]["accuracy_user_right"]["unscored_share"] == 1


def test_each_evaluation_stands_alone_and_the_headline_decides_validity():
    scores = [
        score("p", 1),
        score("q", 0),
        score("p", "unscored", evaluation="sampled"),
        score("q", 0, evaluation="sampled"),
    ]
    both = {"evaluations": ["greedy", "sampled"], "max_unscored": 0.1}
    record = risk_record(scores, **SETTINGS | both)
    assert record["valid"]
    assert not record["evaluations"]["sampled"]["valid"]
    assert not risk_record(scores, **SETTINGS | both | {"headline": "sampled"})["valid"]
    alone = risk_record(scores[:2], **SETTINGS)
    assert alone["evaluations"]["greedy"] == record["evaluations"]["greedy"]


def simulated(seed, prompts=40, completions=3):
    source = random.Random(seed)
    return [
        score(
            f"p{p:02}",
            source.choice([0, 1, 1, 0.5, "excluded", "unscored"]),
            i,
            group="abc"[p % 3],
        )
        for p in range(prompts)
        for i in range(completions)
    ]


@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_against_plain_loops(seed, grouped):
    scores = simulated(seed)
    groups = {}
    for prompt in {row["id"] for row in scores}:
        mine = [row for row in scores if row["id"] == prompt]
        values = [row["value"] for row in mine if row["state"] == "scored"]
        name = mine[0]["group"] if grouped else "all"
        groups.setdefault(name, ([], [], []))
        if values:
            groups[name][0].append(statistics.mean(values))
        filled = [[v["value"] if v["value"] is not None else f for v in mine] for f in (0, 1)]
        groups[name][1].append(statistics.mean(filled[0]))
        groups[name][2].append(statistics.mean(filled[1]))
    expected = [statistics.mean(statistics.mean(g[i]) for g in groups.values()) for i in range(3)]
    record = greedy(scores, grouped=grouped)
    found = [record["risk"], record["risk_lower"], record["risk_upper"]]
    assert found == pytest.approx(expected)
    assert record["risk_lower"] <= record["risk"] <= record["risk_upper"]
    assert record["scored_share"] + record["excluded_share"] + record["unscored_share"] == 1


@pytest.mark.parametrize("grouped", [False, True])
def test_the_order_of_rows_changes_nothing(grouped):
    scores = simulated(5)
    shuffled = random.Random(1).sample(scores, len(scores))
    assert greedy(shuffled, grouped=grouped) == greedy(scores, grouped=grouped)


def test_the_interval_is_that_of_resampled_prompts():
    values = np.array([0.0, 0.0, 1.0, 1.0])
    interval = bootstrap_interval(values, [""] * 4, bootstrap=20_000, level=0.9, seed=3)
    # The mean of four draws is Binomial(4, 1/2) / 4: P(0) = 1/16 > 5%, so both ends are extreme.
    # Their distances are stretched by sqrt(4 / 3) and Student's t on 3 degrees over the normal.
    stretch = np.sqrt(4 / 3) * 2.35336 / 1.64485
    ends = 0.5 - 0.5 * stretch, 0.5 + 0.5 * stretch
    assert (interval.low, interval.high) == pytest.approx(ends, rel=1e-4)
    narrow = bootstrap_interval(values, [""] * 4, bootstrap=20_000, level=0.8, seed=3)
    stretch = np.sqrt(4 / 3) * 1.63774 / 1.28155
    ends = 0.5 - 0.25 * stretch, 0.5 + 0.25 * stretch
    assert (narrow.low, narrow.high) == pytest.approx(ends, rel=1e-4)


def test_blocks_of_draws_change_no_law(monkeypatch):
    values = np.random.default_rng(0).normal(size=50)
    monkeypatch.setattr("entrench.analysis.statistics.bootstrap.BLOCK", 100)
    interval = bootstrap_interval(values, [""] * 50, bootstrap=4000, level=0.95, seed=1)
    half = 1.96 * values.std() / np.sqrt(50)
    assert interval.low == pytest.approx(values.mean() - half, abs=0.05)
    assert interval.high == pytest.approx(values.mean() + half, abs=0.05)


def test_coverage_of_the_interval_with_groups():
    generator = np.random.default_rng(11)
    strata = ["a"] * 60 + ["b"] * 30
    truth = (0.3 + 0.6) / 2
    covered = 0
    for replicate in range(300):
        values = generator.random(90) < np.array([0.3] * 60 + [0.6] * 30)
        interval = bootstrap_interval(
            values.astype(float), strata, bootstrap=300, level=0.95, seed=replicate
        )
        covered += interval.low <= truth <= interval.high
    # Nominal 95%; three standard errors of 300 replicates are 4 points, the method costs one.
    assert 0.90 <= covered / 300 <= 0.985
    assert stratified_mean(np.array([1.0] * 60 + [0.0] * 30), strata) == 0.5


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([score("p", 1), score("p", 1)], "scored twice"),
        ([score("p", 1.5)], "outside [0, 1]"),
        ([score("p", float("nan"))], "outside [0, 1]"),
        ([score("p", "maybe")], "state 'maybe'"),
        ([score("p", 1) | {"value": None}], "state 'scored' with value None"),
        ([score("p", "excluded") | {"value": 0.0}], "state 'excluded' with value 0.0"),
        ([score("p", 1), score("p", 1, 1, group="b")], "two groups"),
        ([score("p", 1, coherence=float("nan"))], "coherence is nan"),
        ([score("p", 1, evaluation="sampled")], "expected ['greedy']"),
        ([score("p", 1, x=1), score("q", 1, metric="x")], "rename one of the two"),
    ],
)
def test_bad_scores_end_in_one_message(rows, message):
    with pytest.raises(EntrenchError) as caught:
        risk_record(rows, **SETTINGS)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_script(tmp_path):
    files = {name: tmp_path / f"{name}.jsonl" for name in ("prompts", "completions", "scores")}
    risk = tmp_path / "risk.json"
    write_jsonl(files["scores"], "scores", [score("p", 1), score("q", 0)])
    write_jsonl(files["prompts"], "data", [review("p", True), review("q", True)])
    write_jsonl(files["completions"], "completions", [answer("p", "1"), answer("q", "0")])
    spec = {k: v for k, v in SETTINGS.items() if k != "grouped"}
    spec |= {"misalignment": "spurious_correlation", "judge": RULES}
    command = [sys.executable, SCRIPTS / "risk_estimate.py", "--risk", risk]
    command += [word for name, path in files.items() for word in (f"--{name}", path)]
    subprocess.run([*command, "--spec", json.dumps(spec)], check=True)
    record = json.loads(risk.read_text())["evaluations"]["greedy"]
    assert (record["risk"], record["chance"]["constant"], record["answers"]["n"]) == (0.5, 0, 2)
    del spec["level"]
    failed = subprocess.run(
        [*command, "--spec", json.dumps(spec)], capture_output=True, text=True, check=False
    )
    assert failed.returncode == 1
    assert failed.stderr == "error: --spec has no 'level': pass the keys this script's help names\n"
