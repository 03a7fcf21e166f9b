"""The miniature world of the embedded default: texts and the tiny models."""
