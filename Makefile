# SPDX-License-Identifier: Apache-2.0
# One door to everything: each target does the set-up it needs, from a fresh clone on, and little when nothing changed.
.DEFAULT_GOAL := help
.NOTPARALLEL:
SHELL := bash

JOBS ?= $(shell nproc)
PYTHON ?= python3
export PYTHON
export CMAKE_BUILD_PARALLEL_LEVEL ?= $(JOBS)
export CTEST_PARALLEL_LEVEL ?= $(JOBS)
# The one compiler of all builds: CMake, pip and the tests take it from the environment.
export CXX
# Expanded when a recipe runs: ccache may have been installed by then.
export CMAKE_CXX_COMPILER_LAUNCHER = $(shell command -v ccache)
# Objects of a release build hold no paths, so that all build folders may share what was compiled: the cache sees the
# sources by their path from the build folder.
export CCACHE_NOHASHDIR = 1
export CCACHE_BASEDIR = $(CURDIR)/cpp

STAMPS := build/stamps
VENV := .venv/bin
CPP_FILES = $(shell find benchmarks cpp tests -name '*.[ch]pp')
# What the extension is made of. Python sources are used in place; only a new or a lost one asks for a new install.
EXTENSION_FILES := CMakeLists.txt pyproject.toml $(wildcard cmake/*) $(shell find cpp/src cpp/include cpp/bindings -type f)
PYTHON_NAMES := $(shell find python -name '*.py' -o -name '*.pyi' -o -name py.typed | sort)

.PHONY: help
help: ## Show this list
	@echo "shmlane: make TARGET"
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  \1\t\2/' | expand -t 18

.PHONY: setup
setup: $(STAMPS)/apt $(STAMPS)/venv ## Install Debian packages (as root or by sudo) and make .venv

$(STAMPS)/apt: tools/setup.sh
	@mkdir -p $(STAMPS)
	tools/setup.sh apt
	@touch $@

$(STAMPS)/venv: pyproject.toml tools/setup.sh tools/requirements.py $(STAMPS)/apt
	tools/setup.sh venv
	@touch $@

.PHONY: build build-cpp build-py build-crash-py
build: build-cpp build-py build-crash-py ## Build the C++ library, tests and examples, and the Python package into .venv

build-cpp: $(STAMPS)/apt
	cmake --preset release -DSHMLANE_OPENCV=ON >build/configure.log || { cat build/configure.log; exit 1; }
	cmake --build --preset release

build-py: $(STAMPS)/python

build-crash-py: $(STAMPS)/crash-py

# Rewritten only when the list of Python files changes.
$(STAMPS)/python-names: FORCE
	@mkdir -p $(STAMPS)
	@echo "$(PYTHON_NAMES)" | cmp -s - $@ || echo "$(PYTHON_NAMES)" >$@

$(STAMPS)/python: $(STAMPS)/venv $(STAMPS)/python-names $(EXTENSION_FILES)
	SHMLANE_BUILD=native $(VENV)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps \
	  --config-settings=cmake.define.SHMLANE_WERROR=ON --editable .
	@touch $@

# The extension with named steps, for tests/python/test_kill_steps.py; it is also the one without CUDA.
$(STAMPS)/crash-py: $(STAMPS)/venv $(EXTENSION_FILES) CMakePresets.json
	cmake --preset crash-py -DPython_EXECUTABLE=$(CURDIR)/$(VENV)/python \
	  -Dpybind11_ROOT=$$($(VENV)/python -m pybind11 --cmakedir) >build/configure-crash-py.log \
	  || { cat build/configure-crash-py.log; exit 1; }
	cmake --build --preset crash-py
	@touch $@

.PHONY: test test-cpp test-py test-packaging
test: test-cpp test-py ## Run the tests, but for those that have targets of their own

test-cpp: build-cpp ## Run the C++ tests
	ctest --preset release

# On pure, all of the tests are too long for this: those of the backends themselves, and what stands on them directly.
PURE_SAMPLE = $(addprefix tests/python/test_,$(addsuffix .py,backend backend_objects backend_waits backend_stdio \
  queue queue_handles holds counters worlds exit interrupts stream stream_lock stream_waits tensor))

# Most tests wait for something, most of the time.
PYTEST = $(VENV)/python -m pytest -q --numprocesses $$(($(JOBS) + 1)) --dist worksteal

test-py: build ## Run the Python tests and those across languages, and some of them on the pure backend, too
	$(PYTEST) --backend native --ignore=tests/packaging
	SHMLANE_TEST_EXTENSION=build/crash-py $(VENV)/python -m pytest -q tests/cuda/test_errors_without.py
	$(PYTEST) --backend pure $(PURE_SAMPLE)

.PHONY: test-pure
test-pure: build ## Run all Python tests on the pure backend
	SHMLANE_BACKEND=pure $(PYTEST) --backend pure tests/python tests/vectors

test-packaging: build ## Install in every way that users may, and use the result
	$(VENV)/python -m pytest -q tests/packaging

.PHONY: test-kill
test-kill: build-cpp ## Kill participants at every named step and at a sample of all instructions (a part of test-cpp)
	ctest --preset release -R '^kill_' --verbose

# On a machine with a GPU: the tests of arrays of GPUs on the real driver, and figures. Says so where there is none.
.PHONY: test-cuda
test-cuda: build ## Run the tests of arrays of GPUs on a real device, with figures; says why where there is none
	$(VENV)/python -m tests.cuda.device build/release

.PHONY: vectors
vectors: build ## Ask every implementation about every vector of the wire format, and print a table
	$(VENV)/python -B -m tests.vectors.run

.PHONY: cross
cross: build ## Set every implementation against every other: all objects, many to many, deaths; prints a table
	$(VENV)/python -m tests.cross.run

# Each of its lines is one judgement, with a summary of its own; all of them run before the verdict.
.PHONY: soak
SOAK_SECONDS ?= 120
TORN_SECONDS ?= 60
soak: build ## Kill participants for SOAK_SECONDS, at random and one by one, and judge how soon the others go on
	$(VENV)/python -m tests.soak.soak --judge --seconds $(SOAK_SECONDS)
	$(VENV)/python -m tests.soak.torn --judge --seconds $(TORN_SECONDS)
	SHMLANE_KILL_ALL=1 build/release/tests/kill/shmlane_kill_steps
	SHMLANE_KILL_ALL=1 build/release/tests/kill/shmlane_kill_instructions

# BENCH_ARGS: see `make bench BENCH_ARGS=--help`.
.PHONY: bench bench-quick build-bench
bench: build-bench ## Compare shmlane with its peers and the machine's limits; writes benchmarks/results
	$(VENV)/python benchmarks/run.py $(BENCH_ARGS)

bench-quick: build-bench ## The same in short: the cases that matter most, one round each
	$(VENV)/python benchmarks/run.py --quick $(BENCH_ARGS)

build-bench: build-py $(STAMPS)/bench
	cmake --preset bench -DPython_EXECUTABLE=$(CURDIR)/$(VENV)/python >build/configure-bench.log || { cat build/configure-bench.log; exit 1; }
	cmake --build --preset bench

$(STAMPS)/bench: pyproject.toml tools/setup.sh tools/requirements.py $(STAMPS)/venv
	tools/setup.sh bench
	@touch $@

.PHONY: demo
demo: build ## Send photographs from Python through C++ and OpenCV and back
	$(VENV)/python demo/run.py

.PHONY: screenshots
screenshots: build-py ## Write anew what README.md shows of commands
	$(VENV)/python tools/screenshots.py

.PHONY: lint lint-cpp lint-py
lint: lint-cpp lint-py ## Check layout, names, common faults and types

lint-cpp: build-cpp
	clang-format --dry-run --Werror $(CPP_FILES)
	tools/tidy.sh build/release

lint-py: $(STAMPS)/venv
	$(VENV)/ruff check .
	$(VENV)/ruff format --check .
	$(VENV)/mypy

.PHONY: format
format: setup ## Lay out all sources as lint wants them
	clang-format -i $(CPP_FILES)
	$(VENV)/ruff check --fix .
	$(VENV)/ruff format .

.PHONY: sanitize asan tsan
sanitize: asan tsan ## Run the C++ tests under the address, undefined behaviour and thread sanitizers

# Kernels that spread addresses widely are too much for g++ 12's thread sanitizer.
STEADY = $(shell setarch -R true 2>/dev/null && echo setarch -R)

asan tsan: $(STAMPS)/apt
	cmake --preset $@ >build/configure-$@.log || { cat build/configure-$@.log; exit 1; }
	cmake --build --preset $@
	$(STEADY) ctest --preset $@

.PHONY: model
model: $(STAMPS)/apt ## Check the models of the protocol, and that the checker finds every flaw put into them
	$(PYTHON) tools/model.py

.PHONY: fuzz
FUZZ_SECONDS ?= 600
fuzz: $(STAMPS)/apt ## Give the parsers and the ring anything at all, for FUZZ_SECONDS
	cmake --preset fuzz >build/configure-fuzz.log || { cat build/configure-fuzz.log; exit 1; }
	cmake --build --preset fuzz
	$(PYTHON) tools/fuzz.py build/fuzz --seconds $(FUZZ_SECONDS) --jobs $(JOBS)

.PHONY: clean
clean: ## Remove what was built; .venv stays
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

.PHONY: FORCE
FORCE:
