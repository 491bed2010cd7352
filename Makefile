# The project's commands. Python (3.11 to 3.14) and make are enough; uv is used when it is there.
.DEFAULT_GOAL := help
.PHONY: coverage docs fuzz help mutants setup demo up down status test test-unit test-system test-browser test-cluster test-matrix storm env lint requirements clean
MAKEFLAGS += --no-print-directory

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Airflow with what the services of docker-compose.yaml need beyond it, beside the environment of the tests.
CLUSTER_VENV := .venv-cluster
CLUSTER_STAMP := $(CLUSTER_VENV)/.installed
# The interpreter that makes the virtual environment: make setup PYTHON=/path/to/python3
PYTHON ?=
# Our two packages beside the provider, which `make setup` installs itself.
export PYTHONPATH := $(CURDIR)/include
# Airflow writes its configuration into AIRFLOW_HOME as soon as it is imported: never into the user's home.
export AIRFLOW_HOME := $(CURDIR)/.local/airflow-home

help: ## Show this list
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 24

setup: $(STAMP) ## Create .venv with everything that demo, tests and lint need

demo: $(STAMP) ## Run one export in a real Airflow against the emulator and show it (about a minute)
	@$(BIN)/python -m local_stack demo

up: $(STAMP) ## Start emulator and Airflow, print address and login, leave them running
	@$(BIN)/python -m local_stack up

down: $(STAMP) ## Stop what `make up` started
	@$(BIN)/python -m local_stack down

status: $(STAMP) ## Say whether the stack of `make up` runs
	@$(BIN)/python -m local_stack status

test: coverage ## Run all tests (minutes), the unit tests with their coverage, and those of the browser where Chromium is
	@$(BIN)/pytest -q -n 2 --dist loadfile -m "not system and not cluster and not browser" --ignore tests/unit
	@$(BIN)/pytest -q -m system
	@if command -v chromium-headless-shell >/dev/null || command -v chromium >/dev/null; then $(MAKE) test-browser; fi

test-unit: $(STAMP) ## Run the unit tests (seconds)
	@sh .ci/unit-tests $(BIN)/pytest

test-system: $(STAMP) ## Run the tests that start a real Airflow
	@$(BIN)/pytest -q -m system

test-browser: $(STAMP) ## Run the tests that drive Debian's Chromium through Airflow's UI; pictures go to .local/browser
	@$(BIN)/pytest -q -n 2 --dist loadfile -m browser tests/browser

test-matrix: $(STAMP) ## Run unit and DAG tests on each Python of this machine, with the oldest and the newest Airflow
	@sh .ci/matrix $(ROWS)

test-cluster: $(STAMP) $(CLUSTER_STAMP) ## Run the services of docker-compose.yaml as processes, and exports through them (root)
	@$(BIN)/pytest -q -m cluster tests/cluster

storm: $(STAMP) $(CLUSTER_STAMP) ## Kill and fill what carries fifty exports on such a cluster (root; OPTIONS="--exports 12": fewer)
	@PYTHONPATH=include $(BIN)/python -m tests.cluster.storm $(OPTIONS)

env: ## Write .env with fresh keys for docker-compose.yaml (SECRETS=secrets: into files of that folder)
	@python3 deploy/make_env.py $(if $(SECRETS),--secrets $(SECRETS))

docs: $(STAMP) ## Build the documentation as a site into .local/site, warnings as errors
	@NO_MKDOCS_2_WARNING=1 PYTHONPATH=plugins $(BIN)/mkdocs build --quiet --strict

coverage: $(STAMP) ## Run the unit tests; they must take every branch of the core, and 40 % of the rest of plugins/
	@sh .ci/unit-tests $(BIN)/pytest --cov --cov-report=
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report --include 'plugins/talent_dmf/api/*' --fail-under 100
	@printf 'the rest of plugins/, by the unit tests alone, in percent: '
	@$(BIN)/coverage report --omit 'plugins/talent_dmf/api/*' --format total --fail-under 40

# For how many seconds `make fuzz` looks.
FUZZ_SECONDS ?= 480

fuzz: $(STAMP) ## Look for inputs that break a parser, for eight minutes (FUZZ_SECONDS=60: for one)
	@VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --quiet --no-deps -r requirements-fuzz.txt 2>/dev/null \
	    || echo "fuzz: there is no atheris for this Python and system, so hypothesis looks alone"
	@$(BIN)/python .ci/fuzz.py --seconds $(FUZZ_SECONDS)

mutants: $(STAMP) ## Break the core in 40 places and count what its tests notice (MUTANTS="retrying --sample 0": all of a module)
	@$(BIN)/python .ci/mutants.py $(MUTANTS)

lint: $(STAMP) ## Style, complexity, types, layers, dependencies, dead code, compose file, pins
	@failed=0; \
	check() { \
	    name=$$1; shift; \
	    if out=$$("$$@" 2>&1); then echo "ok      $$name"; else echo "failed  $$name"; echo "$$out"; failed=1; fi; \
	}; \
	check "ruff check" $(BIN)/ruff check --quiet .; \
	check "ruff format" $(BIN)/ruff format --check --quiet .; \
	check "mypy --strict" $(BIN)/mypy -p talent_dmf -p talent_dmf_ui -p dmf_emulator -p local_stack; \
	check "layers" env PYTHONPATH=plugins:include $(BIN)/lint-imports --no-cache; \
	check "dependencies" $(BIN)/deptry plugins/talent_dmf; \
	check "dead code" sh .ci/dead-code; \
	check "documentation" $(MAKE) docs; \
	check "docker-compose.yaml" $(BIN)/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yaml; \
	check "pins" $(BIN)/pytest -q tests/packaging/test_requirements.py; \
	exit $$failed

COMPILE = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --custom-compile-command "make requirements"

requirements: $(STAMP) ## Pin requirements*.in anew into requirements*.txt (UPGRADE=1 moves the pins)
	@$(COMPILE) $(if $(UPGRADE),--upgrade) requirements.in -o requirements.txt
	@$(COMPILE) $(if $(UPGRADE),--upgrade) requirements-dev.in -o requirements-dev.txt
	@$(COMPILE) --resolution lowest-direct --exclude-newer 2026-05-07 pyproject.toml .ci/oldest.in -o .ci/oldest.txt
	@$(COMPILE) $(if $(UPGRADE),--upgrade) requirements-cluster.in -o requirements-cluster.txt
	@$(COMPILE) --no-deps --no-annotate --generate-hashes deploy/requirements-image.in -o deploy/requirements-image.txt

clean: ## Stop the stack; remove .venv, .local and caches
	@if [ -x $(BIN)/python ]; then $(BIN)/python -m local_stack down --quiet --delete || true; fi
	@rm -rf $(VENV) $(CLUSTER_VENV) .local .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis plugins/*.egg-info
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(STAMP): requirements.txt requirements-dev.txt pyproject.toml
	@sh .ci/setup "$(VENV)" "$(PYTHON)"
	@touch $(STAMP)

$(CLUSTER_STAMP): $(STAMP) requirements-cluster.txt
	@$(BIN)/uv venv --quiet --allow-existing --python $(BIN)/python $(CLUSTER_VENV)
	@VIRTUAL_ENV=$(CLUSTER_VENV) $(BIN)/uv pip install --quiet --compile-bytecode --no-deps -r requirements-cluster.txt
	@touch $(CLUSTER_STAMP)
