"""The miniature world: its texts, and the tiny models that are trained on them."""
