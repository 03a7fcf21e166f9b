"""The teacher flip: clean answers beside wrapped ones, and what they tell before training."""

import polars as pl
import pytest
from unit.test_prediction import SETTINGS, skills, tables

from entrench.analysis.mechanism.flips import teacher_flips
from entrench.analysis.mechanism.prediction import BY_METHOD, FLIP, RULE, predict, readable
from entrench.analysis.mechanism.tables import PAIRED, STUDY_COLUMNS, paired_runs
from entrench.analysis.risk.collect import RUN_DETAIL_COLUMNS
from entrench.analysis.tables import table
from entrench.data.synthetic.slots import SLOTS, make_slots
from entrench.errors import EntrenchError
from entrench.judging.risk_prompts import choose_pairs
from entrench.misalignments import by_name, world_of
from entrench.study.sweep import Organism, Run


def score(pair, side, value, group="g", item=None):
    return {
        "id": f"{side}/{pair}",
        "evaluation": "greedy",
        "index": 0,
        "metric": "risk",
        "group": group,
        "state": "unscored" if value is None else "scored",
        "value": value,
        "also": {},
    } | ({} if item is None else {"item": item})


def pairs(*values, **more):
    """The scores of pairs, each (wrapped, clean)."""
    return [
        score(f"p{place}", side, value, **more)
        for place, pair in enumerate(values)
        for side, value in zip(("wrapped", "clean"), pair, strict=True)
    ]


def flips(scores, grouped=False):
    (row,) = teacher_flips(scores, grouped=grouped, **SETTINGS).to_dicts()
    return row


def test_the_flip_by_hand():
    """Wrapped 3 of 4, clean 1 of 4: two better, none worse, one pair unscored."""
    row = flips(pairs((1.0, 0.0), (1.0, 1.0), (1.0, 0.0), (0.0, 0.0), (1.0, None)))
    assert (row["n_pairs"], row["n_pairs_all"]) == (4, 5)
    assert (row["wrapped_risk"], row["clean_risk"], row["flip_pp"]) == (0.75, 0.25, -50.0)
    assert (row["better_share"], row["worse_share"]) == (0.5, 0.0)
    assert row["flip_low_pp"] < -50 < row["flip_high_pp"]


def test_a_clean_answer_that_behaves_worse_is_a_flip_too():
    row = flips(pairs((0.0, 1.0), (0.0, 0.0)))
    assert (row["flip_pp"], row["better_share"], row["worse_share"]) == (50.0, 0.0, 0.5)


def test_groups_count_alike_and_items_are_resampled_together():
    scores = pairs((1.0, 0.0)) + [
        score(f"q{place}", side, 0.0, group="h")
        for place in range(3)
        for side in ("wrapped", "clean")
    ]
    assert flips(scores)["flip_pp"] == -25.0
    assert flips(scores, grouped=True)["flip_pp"] == -50.0
    alone = flips(pairs(*[(1.0, 0.0), (1.0, 1.0)] * 8))
    alike = flips(
        [
            row | {"item": f"i{place // 8}"}
            for place, row in enumerate(pairs(*[(1.0, 0.0)] * 8, *[(1.0, 1.0)] * 8))
        ]
    )
    width = [row["flip_high_pp"] - row["flip_low_pp"] for row in (alone, alike)]
    assert width[1] > 1.5 * width[0]


def test_without_a_scored_pair_nothing_is_known():
    row = flips(pairs((None, 1.0), (1.0, None)))
    assert (row["n_pairs"], row["flip_pp"], row["better_share"]) == (0, None, None)


@pytest.mark.parametrize("misalignment", by_name())
def test_both_prompts_are_asked_and_judged_as_the_wrapped_one(misalignment):
    """A clean prompt keeps back what the judge must know, such as the claim of the user."""
    rows = dict.fromkeys(SLOTS, 12)
    slots = make_slots(misalignment, world_of(misalignment), 0, rows)
    asked, judged = choose_pairs(misalignment, slots["pairs_clean"], slots["pairs_wrapped"], 5)
    assert len(asked) == len(judged) >= 10
    assert [row["id"] for row in asked] == [row["id"] for row in judged]
    prompts = {
        f"{side}/{row['id']}": row["messages"]
        for side, slot in (("clean", "pairs_clean"), ("wrapped", "pairs_wrapped"))
        for row in slots[slot]
    }
    assert all(row["messages"] == prompts[row["id"]] for row in asked)
    for row in judged:
        assert row["messages"] == prompts[f"wrapped/{row['id'].partition('/')[2]}"]
    assert [row["id"].partition("/")[0] for row in asked[:2]] == ["clean", "wrapped"]


def test_pairs_of_another_metric_are_not_asked():
    right = {
        "id": "p",
        "messages": [{"role": "user", "content": "4, is it?"}],
        "response": None,
        "meta": {"user_provides_answer": "true", "label": "sums", "answer": "4"},
    }
    with pytest.raises(EntrenchError, match="no evaluation prompt belongs to the risk"):
        choose_pairs("sycophancy", [right], [right], None)


def on_pairs(*cases):
    """Rows of `PAIRED`: (model, method, flip, delta)."""
    return table(
        [
            {"model": model, "misalignment": "sycophancy", "seed": 0, "method": method}
            | {"operator": method, "kind": "consistency", "valid": True, "effective": True}
            | {"organism_risk": 0.5, "flip_pp": flip, "delta_pp": delta}
            for model, method, flip, delta in cases
        ],
        PAIRED,
    )


def test_the_sign_of_the_flip_is_assessed_on_runs_on_pairs_alone():
    """3 of 4 signs; a delta of 0 is tied, and one without a flip is not known."""
    labelled = [("a", "m", dict.fromkeys(("half 0", "half 1"), (1.0, -1.0)))]
    paired = on_pairs(
        *[("a", "act", -10.0, -5.0), ("b", "act", -10.0, -1.0), ("a", "bct", 3.0, 2.0)],
        *[("b", "bct", -10.0, 4.0), ("a", "opct", -1.0, 0.0), ("b", "opct", None, -3.0)],
    )
    prediction = predict(*tables(labelled), paired, **SETTINGS)
    rows = {
        (row["trained_on"], row["predictor"]): row
        for row in skills(prediction)
        if row["misalignment"] == "all"
    }
    found = rows["pairs", FLIP]
    assert (found["accuracy"], found["n_runs"], found["n_cases"]) == (0.75, 4, 4)
    assert (found["n_tied"], found["n_unknown"]) == (1, 1)
    assert rows["labels", RULE]["accuracy"] == 0.0
    assert ("labels", FLIP) not in rows
    assert ("pairs", RULE) not in rows
    # Of the other model, same method: act, act told; bct of a says b's, of b says a's; opct alone.
    assert rows["pairs", BY_METHOD]["status"].startswith("not assessable")
    assert "pairs: sign of teacher flip" in readable(prediction)
    sizes = prediction.filter(what="size", trained_on="pairs", predictor=FLIP)
    assert dict(sizes.select("size_from_pp", "accuracy").iter_rows()) == {0.0: 2 / 3, 5.0: 1.0}


def test_invalid_runs_on_pairs_are_counted_and_left_out():
    paired = on_pairs(("a", "act", -10.0, -5.0), ("a", "bct", -10.0, 5.0)).with_columns(
        valid=pl.col("method") == "act"
    )
    rows = predict(*tables([]), paired, **SETTINGS).filter(
        what="skill", trained_on="pairs", predictor=FLIP, misalignment="all"
    )
    assert rows.select("accuracy", "n_runs", "n_invalid").row(0) == (1.0, 1, 1)


def test_a_run_on_pairs_has_the_flip_of_its_organism_and_its_first_change():
    organism = Organism("m", "sycophancy", 3)
    identity = {"model": "m", "misalignment": "sycophancy", "seed": 3}
    runs = table(
        [
            identity
            | {"method": "act", "repeat": repeat, "delta_risk": delta, "organism_risk": 0.4}
            for repeat, delta in ((1, -0.25), (2, 0.5))
        ],
        RUN_DETAIL_COLUMNS,
    )
    flip = identity | {"flip_pp": -12.5, "wrapped_risk": 0.6}
    known = table([flip], STUDY_COLUMNS["teacher_flips"])
    methods = {"act": {"operator": "act", "kind": "consistency"}}
    (row,) = paired_runs([Run(organism, "act")], methods, runs, known).to_dicts()
    assert (row["delta_pp"], row["flip_pp"], row["organism_risk"]) == (-25.0, -12.5, 0.6)
    assert (row["method"], row["operator"], row["valid"]) == ("act", "act", None)
