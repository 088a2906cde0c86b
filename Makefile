# Two commands do everything on a fresh machine: `make demo` and `make test`.
VENV ?= .venv
PYTHON ?= python3
PIP = $(VENV)/bin/python -m pip --disable-pip-version-check
VERL ?= .verl
OUT ?= demo.prm

# What needs no extra: the rest of the tests trains, or shows what training makes.
CORE_TESTS = tests --ignore tests/train --ignore tests/reproduce

SECONDS ?= 120
ONLY ?=

.PHONY: demo check test test-verl fuzz lint lowest bench results gallery clean

demo: $(VENV)/.core
	$(VENV)/bin/grpo-prm analyze examples/chain.jsonl --out $(OUT)
	@echo
	@echo "The figures are in $(OUT)/figures, every number is in $(OUT)/summary.json."

test: $(VENV)/.dev
	$(VENV)/bin/python -m pytest -n auto -q

check: lint
	$(VENV)/bin/python -m pytest -n auto -q -m "not slow"

lint: $(VENV)/.dev
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/lint-imports
	$(VENV)/bin/ty check grpo_prm cli --python $(VENV)

lowest: $(VENV)/.lowest
	$(VENV)/bin/python -m pytest -n auto -q -m "not slow" $(CORE_TESTS)

# verl's own functions on a CPU, in an environment of their own: verl needs an older transformers than the trainer here.
test-verl: $(VERL)/.installed
	$(VERL)/bin/python -m pytest -q -W ignore tests/with_verl

# Damaged logs of every shape, read for some seconds: make fuzz SECONDS=120 ONLY=nemo_rl
fuzz: $(VENV)/.dev
	$(VENV)/bin/python tests/fuzz/run.py $(SECONDS) $(ONLY)

bench: $(VENV)/.dev
	$(VENV)/bin/python benchmarks/run.py

results: $(VENV)/.dev
	$(VENV)/bin/grpo-prm reproduce --budget standard --resume --out results.claims
	mkdir -p docs/figures && cp results.claims/figures/*.png docs/figures/ && cp results.claims/results.md docs/

gallery: $(VENV)/.core
	$(VENV)/bin/python examples/make_gallery.py docs

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.core: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) install --quiet --constraint constraints.txt --editable .
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) install --quiet --constraint constraints.txt --editable ".[dev]"
	@touch $@ $(VENV)/.core

# The core alone on the lowest versions that pyproject.toml promises, in an environment of its own.
$(VENV)/.lowest: pyproject.toml constraints-lowest.txt | $(VENV)/bin/python
	$(PIP) install --quiet --constraint constraints-lowest.txt --editable . pytest pytest-xdist hypothesis "setuptools>=77"
	@touch $@

$(VERL)/.installed: pyproject.toml tests/with_verl/requirements.txt
	test -x $(VERL)/bin/python || $(PYTHON) -m venv $(VERL)
	$(VERL)/bin/python -m pip install --quiet --no-deps verl==0.9.1
	$(VERL)/bin/python -m pip install --quiet --requirement tests/with_verl/requirements.txt --editable .
	@touch $@

clean:
	rm -rf $(VENV) $(VERL) demo.prm build dist *.egg-info
