"""Does consistency training entrench misalignment? The package that the scripts use."""

from pathlib import Path

SCRIPTS = Path(__file__).parents[1]
PROJECT = SCRIPTS.parents[1]  # the folder of the Snakefile
