"""How a model is spoken to and how its answers are read."""
