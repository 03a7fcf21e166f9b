"""Sweeps of these tests share one warm start."""

import pytest


@pytest.fixture(scope="session", autouse=True)
def _warm(warm: None) -> None:
    """Started before the first sweep."""
