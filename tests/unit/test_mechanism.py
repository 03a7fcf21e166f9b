"""The study's tables of the mechanism: which runs count, and which organisms misbehave at all."""

import polars as pl
import pytest
from unit.simulated_mechanism import study

from entrench.analysis.mechanism.tables import STUDY_COLUMNS, with_observed, with_validity
from entrench.analysis.tables import table
from entrench.errors import EntrenchError
from entrench.figures import realised_kl, selection_vs_shift, surprisal_vs_delta
from entrench.reporting.mechanism_tables import decomposition_table

WHO = {"model": "m", "misalignment": "sycophancy", "seed": 0}
FIRST, SECOND = (WHO | {"repeat": number} for number in (1, 2))
ORGANISMS = pl.DataFrame([WHO | {"effective": False}])


def test_validity_and_effect_of_induction_are_joined():
    runs = pl.DataFrame(
        [
            FIRST | {"method": "b", "valid": False},
            FIRST | {"method": "a", "valid": True},
            SECOND | {"method": "a", "valid": False},  # the mechanism is about first trainings
        ]
    )
    rows = [WHO | {"method": name, "part": part} for name in "ab" for part in ("all", "half 0")]
    frame = with_validity(table(rows, STUDY_COLUMNS["decomposition"]), runs, ORGANISMS)
    assert frame.columns == list(STUDY_COLUMNS["decomposition"])
    assert frame.select("method", "valid", "effective").rows() == [
        ("a", True, False),
        ("a", True, False),
        ("b", False, False),
        ("b", False, False),
    ]
    eta = with_validity(table([WHO], STUDY_COLUMNS["eta"]), runs, ORGANISMS)
    assert eta["effective"].to_list() == [False]


def test_a_run_that_the_table_of_runs_lacks_is_named():
    runs = pl.DataFrame([FIRST | {"method": "a", "valid": True}])
    frame = table([WHO | {"method": "b"}], STUDY_COLUMNS["decomposition"])
    with pytest.raises(EntrenchError, match=r"runs_detail.csv has no row of .*, 'b'"):
        with_validity(frame, runs, ORGANISMS)


def test_invalid_runs_are_drawn_and_averaged_nowhere_but_counted():
    tables = study(models=2, seeds=1)
    broken = (pl.col("model") == "model-1") & (pl.col("method") == "multi_view")
    count = "invalid runs left out: 4"  # one of each misalignment
    for name, module in (
        ("decomposition", selection_vs_shift),
        ("decomposition", surprisal_vs_delta),
        ("divergence", realised_kl),
    ):
        whole = tables[name].with_columns(valid=~broken)
        assert module.data(whole).equals(module.data(tables[name].filter(~broken)))
        assert count in module.draw(whole).get_supxlabel()
        assert "invalid" not in module.draw(tables[name]).get_supxlabel()
    shown = decomposition_table(
        {"decomposition": tables["decomposition"].with_columns(valid=~broken)}
    )
    alone = decomposition_table({"decomposition": tables["decomposition"].filter(~broken)})
    counts = [row.pop(3) for row in shown.rows]
    assert [row[:3] + row[4:] for row in alone.rows] == shown.rows
    assert counts.count("1") == 4
    assert set(counts) == {"0", "1"}


def test_the_selection_of_real_labels_is_beside_what_eta_predicts_of_it():
    trends = {"trend_half_0": "increasing", "trend_half_1": "decreasing"}
    eta = [
        WHO | {"selector": "self_rewarding", "set": "samples", "k": k, "bound_pp": bound} | trends
        for k, bound in ((1, 0.0), (2, 0.2), (4, 3.0))
    ]
    effects = {"all": 0.5, "half 0": 2.0, "half 1": 3.0}
    runs = [
        WHO
        | {"method": method, "valid": True, "part": part, "selection_drawn_pp": effect}
        | {"selection_pp": 9.0}
        | {"selection_drawn_low_pp": 0.1, "selection_drawn_high_pp": 1.0}
        for method in ("two", "one")
        for part, effect in effects.items()
    ]
    methods = {
        name: {"operator": "self_rewarding", "set": "samples", "k": k}
        for name, k in (("one", 1), ("two", 2))
    }
    found = with_observed(
        table(eta, STUDY_COLUMNS["eta"]), table(runs, STUDY_COLUMNS["decomposition"]), methods
    )
    # Half 0 says up, half 1 is up; half 1 says down, half 0 is up. The best of one has no sign.
    columns = [name for name in found.columns if name.startswith("observed_")]
    # An interval from .1 to 1 reaches 0.2, but not 0: the best of one cannot select.
    assert found.select("k", *columns).rows() == [
        (1, 0.5, False, 0, 0),
        (2, 0.5, True, 2, 1),
        (4, *[None] * 4),
    ]
