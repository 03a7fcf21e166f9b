"""Column means and their paired replicates, by hand and against the single-column bootstrap."""

import numpy as np
import pytest

from entrench.analysis.bootstrap import (
    bootstrap_interval,
    column_means,
    column_replicates,
    percentiles,
    stratified_mean,
)

NAN = np.nan


def test_means_over_strata_by_hand():
    values = np.array([[1.0, NAN], [0.0, 4.0], [5.0, NAN]])
    # Column 0: (1 + 0) / 2 in a, 5 in b. Column 1: nothing in b, so a alone.
    assert column_means(values, ["a", "a", "b"]).tolist() == [2.75, 4.0]


def test_a_column_that_nothing_is_known_of():
    assert np.isnan(column_means(np.array([[NAN], [NAN]]), ["", ""])).all()
    assert np.isnan(column_means(np.empty((0, 2)), [])).all()
    assert np.isnan(column_replicates(np.empty((0, 2)), [], bootstrap=3, seed=0)).all()
    assert percentiles(np.full(5, NAN), 0.9) == (None, None)


def test_replicates_agree_with_the_bootstrap_of_one_column():
    draw = np.random.default_rng(0)
    values, strata = draw.random(60), ["a"] * 40 + ["b"] * 20
    columns = np.stack([values, values], axis=1)
    found = column_replicates(columns, strata, bootstrap=4000, seed=1)
    interval = bootstrap_interval(values, strata, bootstrap=4000, level=0.9, seed=2)
    assert percentiles(found[:, 0], 0.9) == pytest.approx((interval.low, interval.high), abs=5e-3)
    assert column_means(columns, strata)[0] == pytest.approx(stratified_mean(values, strata))
    assert (found[:, 0] == found[:, 1]).all()  # the same resamples for every column
