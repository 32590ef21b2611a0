# The two commands are `make run` and `make test`; everything they need is installed into .venv from the locks.

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
INSTALL := $(BIN)/python scripts/install.py
# Universal: the lock holds what any Python from 3.11 on needs, with markers.
LOCK := $(BIN)/uv pip compile pyproject.toml --generate-hashes --no-emit-index-url --no-header --no-annotate --quiet --universal --python-version 3.11

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
	@$(PYTHON) -m venv .venv || \
	  { rm -rf .venv; echo "venv is missing: on Debian, apt-get install python3-venv"; exit 1; }

.venv/installed: requirements.lock pyproject.toml | .venv/bin/python
	@echo "installing locked dependencies (about a minute, this once)"
	@$(INSTALL) requirements.lock
	@$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

.venv/installed-dev: requirements-dev.lock pyproject.toml | .venv/bin/python
	@echo "installing locked dependencies for development"
	@$(INSTALL) requirements-dev.lock
	@$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	@touch $@ .venv/installed
