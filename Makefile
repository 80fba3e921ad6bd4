# Two commands do everything on a fresh machine:
#   make demo   the whole analysis on the shipped data, ends by naming the report
#   make test   the fast test suite
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check --no-compile -c constraints.txt
PYTEST := $(BIN)/python -m pytest -q -p no:cacheprovider --durations=15 --durations-min=1
PINS := pyproject.toml constraints.txt

# A candidate is run before it is chosen: a pyenv shim can stand on PATH and fail.
PYENV := $(or $(PYENV_ROOT),$(HOME)/.pyenv)/versions
ifdef PYTHON
CANDIDATES := $(PYTHON)
else
CANDIDATES := python3.12 python3.13 python3 $(wildcard $(PYENV)/3.12*/bin/python3.12) \
    $(wildcard $(PYENV)/3.13*/bin/python3.13)
endif
RUNS := import sys, venv, ensurepip; assert sys.version_info >= (3, 12)
FOUND = $(shell for candidate in $(CANDIDATES); do \
    "$$candidate" -c '$(RUNS)' >/dev/null 2>&1 && echo "$$candidate" && break; done)
ADVICE = no working Python 3.12 or newer among: $(CANDIDATES); install one with its venv module, \
    or name it: make PYTHON=<interpreter> $(MAKECMDGOALS)

# One thread per process in the tests: pytest-xdist already uses every core.
ONE_THREAD := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1 NUMBA_NUM_THREADS=1
COVERAGE := --cov --cov-report=term --cov-fail-under=85

.PHONY: demo test lint docs browser slow figure hooks clean

demo: $(VENV)/runtime.stamp
	@$(BIN)/times-stats demo --out demo

test: $(VENV)/dev.stamp
	@$(ONE_THREAD) $(PYTEST) -m "not slow" -n 2 --dist loadgroup $(COVERAGE)

lint: $(VENV)/dev.stamp
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

docs: $(VENV)/docs.stamp
	@$(BIN)/sphinx-build --fail-on-warning --keep-going --quiet -b html docs docs/_build/html
	@echo "documentation: docs/_build/html/index.html"

browser: demo $(VENV)/dev.stamp
	@TIMES_STATS_REPORT=demo/report.html $(PYTEST) -m slow tests/browser

slow: $(VENV)/dev.stamp
	@$(ONE_THREAD) $(PYTEST) -m slow --ignore=tests/browser -n 2 --dist loadgroup

figure: demo
	@$(BIN)/python docs/make_figure.py demo --out docs/figures

hooks: $(VENV)/dev.stamp
	@$(BIN)/pre-commit install

clean:
	@rm -rf $(VENV) demo build dist docs/_build docs/reference/generated

$(VENV)/python.stamp:
	@$(or $(FOUND),$(error $(ADVICE))) -m venv --clear $(VENV)
	@echo "environment: $$($(BIN)/python --version) in $(VENV)"
	@touch $@

$(VENV)/runtime.stamp: $(VENV)/python.stamp $(PINS)
	@$(PIP) -e .
	@touch $@

$(VENV)/dev.stamp: $(VENV)/python.stamp $(PINS)
	@$(PIP) -e ".[dev]"
	@touch $@ $(VENV)/runtime.stamp

$(VENV)/docs.stamp: $(VENV)/dev.stamp
	@$(PIP) -e ".[docs]"
	@touch $@
