"""Intervals and tests that the tables share."""
