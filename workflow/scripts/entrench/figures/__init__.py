"""One module per figure, one shared style."""
