"""The tables over a whole study, and the effects that a sweep could detect."""
