"""delta-risk: literal values, a plain re-computation, laws, coverage of the paired interval."""

import json
import random
import statistics
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from unit.test_risk import SETTINGS, score, simulated

from entrench.analysis.risk.delta import (
    DELTA_COLUMNS,
    PROMPT_COLUMNS,
    delta_prompts,
    delta_risk,
    paired_delta,
)
from entrench.analysis.risk.risk import risk_record
from entrench.analysis.tables import read_table
from entrench.errors import EntrenchError
from entrench.records import write_json, write_jsonl

SCRIPTS = Path(__file__).parents[2] / "workflow" / "scripts"
RESAMPLING = {"bootstrap": 200, "level": 0.95, "seed": 3}


def delta(organism, trained, **settings):
    """The one row of delta_risk.csv between two lists of scores."""
    settings = SETTINGS | settings
    records = risk_record(organism, **settings), risk_record(trained, **settings)
    (row,) = delta_risk(organism, trained, *records, **RESAMPLING).to_dicts()
    return row


def test_paired_all_and_worst_cases_by_hand():
    organism = [score("p", 1), score("q", 1), score("r", 0), score("s", "excluded")]
    trained = [score("p", 0), score("q", "unscored"), score("r", 0), score("s", 1)]
    row = delta(organism, trained)
    assert row["delta_risk"] == -0.5  # p: 1 -> 0, r: 0 -> 0
    assert (row["n_prompts"], row["n_prompts_all"]) == (2, 4)
    assert row["organism_risk"] == pytest.approx(2 / 3)
    assert row["trained_risk"] == pytest.approx(1 / 3)
    assert row["delta_risk_all"] == pytest.approx(-1 / 3)
    assert row["delta_risk_lower"] == pytest.approx(1 / 4 - 3 / 4)
    assert row["delta_risk_upper"] == pytest.approx(2 / 4 - 2 / 4)
    assert row["delta_excluded_share"] == -0.25
    assert row["delta_unscored_share"] == 0.25
    # Of two prompts nothing is told: the interval ends where no delta can be.
    assert (row["ci_low"], row["ci_high"], row["ci_level"]) == (-1, 1, 0.95)
    assert (row["valid"], row["reason"], row["headline"]) == (True, None, True)


def test_grouped_delta_weighs_groups_alike():
    organism = [score("p", 1), score("q", 1), score("r", 1), score("s", 0, group="b")]
    trained = [score("p", 0), score("q", 1), score("r", 1), score("s", 1, group="b")]
    assert delta(organism, trained, grouped=True)["delta_risk"] == pytest.approx((-1 / 3 + 1) / 2)
    assert delta(organism, trained)["delta_risk"] == 0


def test_deltas_by_prompt_by_hand():
    organism = [score("p", 1), score("q", 1), score("r", 1), score("s", 0, group="b")]
    trained = [score("p", 0), score("q", "unscored"), score("r", 1), score("s", 1, group="b")]
    for row in (organism[2], trained[2]):
        row["item"] = "p"  # no prompt's name is taken for an item's
    columns = ("prompt", "group", "item", "delta", "weight")
    items = ("prompt p", "item p", "prompt s")
    for grouped, places, numbers in (
        (True, ("a", "a", "b"), [(-1, 1 / 4), (0, 1 / 4), (1, 1 / 2)]),
        (False, (None,) * 3, [(-1, 1 / 3), (0, 1 / 3), (1, 1 / 3)]),
    ):
        record = risk_record(organism, **SETTINGS | {"grouped": grouped})
        found = delta_prompts(organism, trained, record)
        names = zip("prs", places, items, strict=True)
        expected = [(*name, *own) for name, own in zip(names, numbers, strict=True)]
        assert found.select(columns).rows() == expected
        assert set(found["evaluation"]) == {"greedy"}
        total = (found["delta"] * found["weight"]).sum()
        assert total == pytest.approx(delta(organism, trained, grouped=grouped)["delta_risk"])


def test_a_group_without_a_pair_leaves_the_others():
    organism = [score("p", 1), score("q", 0), score("s", 0, group="b")]
    trained = [score("p", 0), score("q", 0), score("s", "excluded", group="b")]
    row = delta(organism, trained, grouped=True)
    assert row["delta_risk"] == -0.5
    assert row["n_prompts"] == 2
    assert row["valid"]


def test_single_prompt_has_a_delta_and_no_interval():
    row = delta([score("p", 0)], [score("p", 1)])
    assert (row["delta_risk"], row["ci_low"]) == (1, None)
    assert row["ci_reason"] == "one prompt: no spread over prompts to resample"


def test_nothing_paired_is_null_with_a_reason():
    row = delta([score("p", 1), score("q", "excluded")], [score("p", "excluded"), score("q", 1)])
    assert (row["delta_risk"], row["n_prompts"]) == (None, 0)
    assert (row["valid"], row["reason"]) == (False, "no prompt is scored in both phases")
    assert row["delta_risk_all"] == 0


def test_an_invalid_phase_is_named():
    row = delta([score("p", 1), score("q", 1)], [score("p", "unscored"), score("q", "unscored")])
    assert not row["valid"]
    assert row["reason"] == "trained: nothing is scored: 0.0% excluded, 100.0% unscored"
    assert row["trained_risk"] is None


def drawn(prompt, *values, **more):
    return [score(prompt, value, index, **more) for index, value in enumerate(values)]


def test_how_far_draws_move_a_delta_by_hand():
    """Pairs of p differ by -1 and 0: variance 1/2, halved for two draws. Those of q agree."""
    organism = drawn("p", 1, 0) + drawn("q", 0, 0)
    trained = drawn("p", 0, 0) + drawn("q", 1, 1)
    row = delta(organism, trained)
    assert (row["draws_se"], row["draws"]) == (pytest.approx((1 / 4) ** 0.5 / 2), 2)
    # r has one pair (-1), which has the mean variance 1/4 of the others.
    organism += drawn("r", 1, "unscored")
    trained += drawn("r", 0, 1)
    row = delta(organism, trained)
    assert (row["draws_se"], row["draws"]) == (pytest.approx((1 / 4 + 1 / 4) ** 0.5 / 3), 2)


def test_draws_in_groups_weigh_as_their_prompts_do():
    organism = drawn("p", 1, 0) + drawn("q", 0, 0, group="b") + drawn("r", 1, "unscored")
    trained = drawn("p", 0, 0) + drawn("q", 1, 1, group="b") + drawn("r", 0, 1)
    row = delta(organism, trained, grouped=True)
    assert row["draws_se"] == pytest.approx(((1 / 4 + 1 / 4) / 4**2) ** 0.5)


def test_single_draws_have_no_spread():
    row = delta([score("p", 1), score("q", 0)], [score("p", 0), score("q", 0)])
    assert (row["draws_se"], row["draws"]) == (None, 1)
    row = delta(drawn("p", 1, "unscored"), drawn("p", "unscored", 1))
    assert (row["draws_se"], row["draws"]) == (None, None)
    row = delta(drawn("p", 1, 0), drawn("p", 0, 1))
    assert row["draws_se"] == pytest.approx(1)  # -1 and 1: variance 2, halved
    row = delta(drawn("p", 1, 0), drawn("p", 1, 0))
    assert row["draws_se"] == 0


@pytest.mark.parametrize("grouped", [False, True])
def test_against_plain_loops(grouped):
    organism, trained = simulated(1), simulated(2)
    groups = {}
    for prompt in {row["id"] for row in organism}:
        means = []
        for scores in (organism, trained):
            mine = [row for row in scores if row["id"] == prompt]
            values = [row["value"] for row in mine if row["value"] is not None]
            means.append(statistics.mean(values) if values else None)
        if None not in means:
            name = mine[0]["group"] if grouped else "all"
            groups.setdefault(name, []).append(means[1] - means[0])
    expected = statistics.mean(statistics.mean(values) for values in groups.values())
    row = delta(organism, trained, grouped=grouped)
    assert row["delta_risk"] == pytest.approx(expected)
    assert row["n_prompts"] == sum(map(len, groups.values()))
    assert row["ci_low"] < row["delta_risk"] < row["ci_high"]


@pytest.mark.parametrize("grouped", [False, True])
def test_order_changes_nothing_and_swapping_phases_flips_the_sign(grouped):
    organism, trained = simulated(3), simulated(4)
    row = delta(organism, trained, grouped=grouped)
    shuffled = [random.Random(0).sample(scores, len(scores)) for scores in (organism, trained)]
    assert delta(*shuffled, grouped=grouped) == row
    swapped = delta(trained, organism, grouped=grouped)
    for name, other in (
        ("delta_risk", "delta_risk"),
        ("delta_risk_all", "delta_risk_all"),
        ("delta_risk_lower", "delta_risk_upper"),
        ("ci_low", "ci_high"),
        ("delta_excluded_share", "delta_excluded_share"),
    ):
        assert swapped[name] == pytest.approx(-row[other])


def test_no_change_is_a_delta_of_zero():
    row = delta(simulated(6), simulated(6))
    assert (row["delta_risk"], row["ci_low"], row["ci_high"]) == (0, 0, 0)


def test_coverage_of_the_paired_interval():
    generator = np.random.default_rng(5)
    covered = 0
    for replicate in range(200):
        before = generator.random(60) < 0.6
        after = np.where(generator.random(60) < 0.5, before, generator.random(60) < 0.2)
        scores = [[score(f"p{i}", int(v)) for i, v in enumerate(vs)] for vs in (before, after)]
        interval = paired_delta(
            *scores, "greedy", grouped=False, bootstrap=200, level=0.95, seed=replicate
        ).interval
        covered += interval.low <= 0.5 * (0.2 - 0.6) <= interval.high
    assert 0.89 <= covered / 200 <= 0.99


def test_different_prompts_end_in_one_message():
    with pytest.raises(EntrenchError, match="different prompts, 'q' for one: delete both"):
        delta([score("p", 1), score("q", 1)], [score("p", 1)])
    other = risk_record([score("p", 1)], **SETTINGS | {"grouped": True})
    ours = risk_record([score("p", 1)], **SETTINGS)
    with pytest.raises(EntrenchError, match="differ in 'grouped'"):
        delta_risk([score("p", 1)], [score("p", 1)], ours, other, **RESAMPLING)


def test_the_script_writes_a_table_that_reads_back(tmp_path):
    organism, trained = simulated(3), simulated(4)
    for name, scores in (("organism", organism), ("trained", trained)):
        write_jsonl(tmp_path / f"{name}.jsonl", "scores", scores)
        write_json(tmp_path / f"{name}.json", risk_record(scores, **SETTINGS))
    table = tmp_path / "delta_risk.csv"
    command = [sys.executable, SCRIPTS / "delta_estimate.py", "--spec", json.dumps(RESAMPLING)]
    for name in ("organism", "trained"):
        command += [f"--{name}-scores", tmp_path / f"{name}.jsonl"]
        command += [f"--{name}-risk", tmp_path / f"{name}.json"]
    prompts = tmp_path / "delta_prompts.csv"
    subprocess.run([*command, "--delta", table, "--prompts", prompts], check=True)
    by_prompt = read_table(prompts, PROMPT_COLUMNS)
    of_table = (by_prompt["delta"] * by_prompt["weight"]).sum()
    assert of_table == pytest.approx(delta(organism, trained)["delta_risk"])
    found = read_table(table, DELTA_COLUMNS)
    assert found.schema == pl.Schema({name: column.type for name, column in DELTA_COLUMNS.items()})
    assert found.to_dicts() == [delta(organism, trained)]
