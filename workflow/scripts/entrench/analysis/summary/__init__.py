"""The tables over a whole study, and what a sweep can show before it is run."""
