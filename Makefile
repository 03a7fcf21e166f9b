# Thin doors to the commands of the README.
CORES ?= 2
PYTHON ?= python3
BIN := .venv/bin

CONFIG ?= config/config.yaml

.PHONY: demo plan test lint bench

.venv/installed: requirements.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

demo: .venv/installed
	$(BIN)/python workflow/scripts/sweep_run.py --config config/demo.yaml --cores $(CORES)

plan: .venv/installed
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/snakemake --cores 1 --quiet all --forcerun plan_make --replace-workflow-config --configfile $(CONFIG) -- plan

test: .venv/installed
	$(BIN)/python -m pytest

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/snakefmt --check Snakefile workflow/rules
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/snakemake --lint

bench: .venv/installed
	$(BIN)/python bench/planning.py
	$(BIN)/python workflow/scripts/sweep_run.py organisms --config config/demo.yaml bench/seeds.yaml --cores $(CORES)
