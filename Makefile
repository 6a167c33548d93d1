# Everything here needs Python 3.11 or newer and make; the rest is installed into .venv.
SHELL := /bin/sh
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# The first of these that runs and is new enough; `make PYTHON=/some/python venv` chooses another.
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo $$python && break; done)
# Two workers fit the smallest machine that we test on.
WORKERS ?= 2
ARGS ?=

# Build, and what makes a program find the sanitizers that it was not linked with.
SANITIZED := build/sanitize
RUNTIME = $(shell $(CXX) -print-file-name=libasan.so):$(shell $(CXX) -print-file-name=libubsan.so)
SANITIZED_TESTS ?= tests/native tests/backends/test_native*.py tests/backends/test_stepping.py tests/backends/test_states.py tests/plugin/test_sessions.py tests/plugin/test_restoring.py tests/backends/test_loihi_lockstep.py tests/backends/test_loihi_converted.py

.PHONY: help venv native sanitize demo test lint types imports unit plugins format dist clean

help:  ## Show what there is to make
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

venv: $(STAMP)  ## Install spikeport, torch and the tools into .venv (instant when nothing changed)

$(STAMP): pyproject.toml constraints.txt
	@$(or $(PYTHON),false) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "spikeport needs Python 3.11 or newer; found $$(python3 --version 2>&1). Try: make PYTHON=/path/to/python3.11 venv" >&2; exit 1; }
	@echo "installing into $(VENV) with $$($(PYTHON) --version); torch is large, this takes some minutes the first time"
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -C wheel.cmake=false -e '.[torch,dev]'
	@touch $@

native: venv  ## Build the native kernels into the source tree (a moment when nothing changed)
	@$(BIN)/cmake -S . -B build/native -G Ninja -DCMAKE_MAKE_PROGRAM=$(abspath $(BIN))/ninja -DSPIKEPORT_IN_PLACE=ON >build-native.log 2>&1 || { cat build-native.log; exit 1; }
	@rm -f build-native.log
	@test ! -f build/native/build.ninja || $(BIN)/cmake --build build/native --parallel $(WORKERS)

sanitize: native  ## Run the tests of the native kernels under the address and undefined behaviour sanitizers
	$(BIN)/cmake -S . -B $(SANITIZED) -G Ninja -DCMAKE_MAKE_PROGRAM=$(abspath $(BIN))/ninja -DSPIKEPORT_SANITIZE=address,undefined
	$(BIN)/cmake --build $(SANITIZED) --parallel $(WORKERS)
	LD_PRELOAD=$(RUNTIME) ASAN_OPTIONS=detect_leaks=0:quarantine_size_mb=8 UBSAN_OPTIONS=print_stacktrace=1 PYTHONMALLOC=malloc \
		SPIKEPORT_TEST_LIBRARY=$(SANITIZED) $(BIN)/pytest $(SANITIZED_TESTS) -p no:xdist --deselect tests/native/test_installs.py $(ARGS)

demo: native  ## Train a small CNN on handwritten digits, convert, validate, export: demo/report.html, demo/model.nir
	@mkdir -p demo
	$(BIN)/python examples/digits.py

test: lint types imports unit plugins  ## All checks: lint, types, import contracts, tests, the example plug-in

lint: venv  ## Style and likely bugs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: venv  ## Static types
	$(BIN)/mypy

imports: venv  ## The layers that pyproject.toml draws
	$(BIN)/lint-imports

unit: native  ## Unit, property, doctest and documentation tests; `make unit ARGS='-k digits'` for some of them
	$(BIN)/pytest -n $(WORKERS) $(ARGS)

plugins: native  ## Install the example plug-in into build/plugins, and run its tests in its own folder
	@rm -rf build/plugins build/spikeport-example && mkdir -p build && cp -R plugins/spikeport-example build/
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps --no-index --target build/plugins ./build/spikeport-example
	cd plugins/spikeport-example && PYTHONPATH=$(abspath build/plugins) $(abspath $(BIN))/python -m pytest -q -p no:cacheprovider

format: venv  ## Put the code into the one format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

dist: venv  ## Build the wheel into dist/
	rm -rf dist
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir dist .

clean:  ## Remove .venv, caches and everything that was built
	rm -rf $(VENV) build demo dist .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find src tests examples bench -name __pycache__ -type d -prune -exec rm -rf {} +
