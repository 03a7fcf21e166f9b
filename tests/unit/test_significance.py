"""Adjusted p of many rows, by hand."""

import pytest

from entrench.analysis.statistics.significance import benjamini_hochberg


def test_benjamini_hochberg_by_hand():
    # Sorted .005 .01 .03 .04: times 4/1, 4/2, 4/3, 4/4, then the smallest from the right.
    assert benjamini_hochberg([0.01, None, 0.04, 0.03, 0.005]) == [
        pytest.approx(0.02),
        None,
        pytest.approx(0.04),
        pytest.approx(0.04),
        pytest.approx(0.02),
    ]
    assert benjamini_hochberg([None, None]) == [None, None]
