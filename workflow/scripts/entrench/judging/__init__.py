"""Who says whether a completion misbehaves."""
