# Two commands from a fresh clone: `make run` and `make test`. Each creates .venv when it is missing and installs
# what it lacks from the hash-pinned lock files. Nothing is installed outside .venv, but for Debian's python3-venv where it is missing.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
WORKERS ?= 3
CONFIG ?= config/backtest.yaml
VENUE ?= gate
MINUTES ?= 60
MUTATION_WORKERS ?= 2
MODULES ?=
HOURS ?= 72
SPEED ?= 40
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help run backtest test lint check format notebook mutants mutation proof proof-quick soak e2e bench growth size latency lock clean

help:  ## what there is
	@grep -E '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## /  make \1\t/' | expand -t 18

run: $(VENV)/run.stamp  ## the demo: the whole bot at a loopback exchange, checked against a replay; without keys or network
	$(BIN)/trader demo --venue $(VENUE)

backtest: $(VENV)/run.stamp  ## a backtest of the bundled real data: summary here, report in build/backtest.html
	@mkdir -p build
	$(BIN)/trader backtest $(CONFIG) --report build/backtest.html

test: $(VENV)/dev.stamp  ## every test; MATRIX=full: the long proofs too
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -q

lint: $(VENV)/dev.stamp  ## format, lint, strict types, the laws of the house
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy trader strategies backtests
	$(BIN)/python -m pytest -q tests/architecture

check: lint  ## the same and the fast tests
	$(BIN)/python -m pytest -n $(WORKERS) -q -m "not slow" --ignore=tests/architecture

e2e: $(VENV)/dev.stamp  ## what the tests of the dashboard need beside Chromium: Playwright, axe, Schemathesis
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-e2e.lock

format: $(VENV)/dev.stamp  ## write the format and the safe lint fixes
	$(BIN)/ruff check --fix --exit-zero .
	$(BIN)/ruff format .

notebook: $(VENV)/dev.stamp  ## run notebooks/quickstart.ipynb from top to bottom, result in build/
	@mkdir -p build
	$(BIN)/python -m ipykernel install --prefix $(VENV) --name python3 >/dev/null
	$(BIN)/jupyter execute notebooks/quickstart.ipynb --output ../build/quickstart.ipynb

mutants: $(VENV)/dev.stamp  ## break the code on purpose, once per tests/mutants/*.patch: the named tests must notice; SEEN=1: right after all tests passed
	$(BIN)/python tests/mutants/run.py $(if $(SEEN),--seen)

mutation: $(VENV)/dev.stamp  ## change every place of the modules that guard money, one at a time: a test must notice; MODULES=... for some; writes docs/mutation.md
	$(BIN)/python -m tests.mutation --workers $(MUTATION_WORKERS) --page docs $(MODULES)

proof: $(VENV)/dev.stamp  ## simulate the bot for MINUTES=60 on all cores, planted bugs included; writes docs/reliability.md
	$(BIN)/python -W ignore -m tests.simulation.proof --minutes $(MINUTES) --page docs

proof-quick: $(VENV)/dev.stamp  ## a fixed slice of it in some three minutes, as CI does; writes nothing
	$(BIN)/python -W ignore -m tests.simulation.proof --quick

soak: $(VENV)/dev.stamp  ## let the real daemon live for HOURS=72 at SPEED=40 times the speed and watch what it holds; needs a C compiler
	$(BIN)/python -u -m tests.endurance.soak --hours $(HOURS) --speed $(SPEED)

latency: $(VENV)/dev.stamp  ## from a signal to the order on the wire, beside a bare ccxt call; needs mosquitto
	$(BIN)/python benchmarks/live_latency.py

bench: $(VENV)/dev.stamp  ## our replay and its peers beside each other, into docs/performance.md; peers go into build/peers
	$(BIN)/python benchmarks/run.py --page docs

growth: $(VENV)/dev.stamp  ## the time of a replay over the size of its data, as a plot in docs/
	$(BIN)/python benchmarks/growth.py

size: $(VENV)/dev.stamp  ## tapes of many bars: time to open, memory
	$(BIN)/python benchmarks/size.py

# No index address, no path and no annotation in either file: only names, versions, markers and hashes.
LOCK := uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --generate-hashes \
	--no-annotate --no-header --no-emit-index-url --no-emit-find-links --group build

lock:  ## resolve both lock files anew (needs uv)
	@command -v uv >/dev/null || { echo "make lock needs uv: $(PYTHON) -m pip install uv" >&2; exit 3; }
	$(LOCK) --upgrade --extra research --extra notebooks --extra oracle --extra postgres --extra mexc-streams --extra optimise --extra distributed --extra fast --extra notify --extra otel --extra mcp --extra dev -o requirements.lock
	$(LOCK) --extra e2e -c requirements.lock -o requirements-e2e.lock
	$(LOCK) --extra research --extra postgres --extra mexc-streams --extra optimise --extra distributed --extra notify -c requirements.lock -o requirements-run.lock

clean:  ## remove what was built, the environment included
	rm -rf build dist $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || { \
	  echo "Python 3.11, 3.12 or 3.13 is needed; $(PYTHON) is something else. Remedy: make PYTHON=python3.11 ..." >&2; exit 3; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null || { \
	  echo "Debian keeps venv apart: installing python3-venv"; apt-get update -qq && apt-get install -y -qq python3-venv; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
	  echo "This Python cannot make environments: ensurepip is missing. Remedy on Debian: apt-get install python3-venv" >&2; exit 3; }
	$(PYTHON) -m venv $(VENV)

# The run environment is a part of the test environment, with the same versions: whoever has the second has the first.
$(VENV)/run.stamp: requirements-run.lock pyproject.toml | $(BIN)/python
	@if [ $(VENV)/dev.stamp -nt requirements.lock ] && [ $(VENV)/dev.stamp -nt pyproject.toml ]; then :; else \
	  echo "installing what a run needs into $(VENV) (once)"; \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-run.lock; \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .; fi
	@touch $@

$(VENV)/dev.stamp: requirements.lock pyproject.toml | $(BIN)/python
	@echo "installing what the tests need into $(VENV) (once)"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@
