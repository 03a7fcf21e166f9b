"""The figures: one module a figure, one shared style."""
