"""Judges: whether a completion misbehaves, by rules or by a language model."""
