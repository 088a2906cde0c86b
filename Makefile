# Two commands do everything on a fresh machine: `make demo` and `make test`.
VENV ?= .venv
PYTHON ?= python3
PIP = $(VENV)/bin/python -m pip --disable-pip-version-check
OUT ?= demo.prm

.PHONY: demo test lint bench results gallery clean

demo: $(VENV)/.core
	$(VENV)/bin/grpo-prm analyze examples/chain.jsonl --out $(OUT)
	@echo
	@echo "The figures are in $(OUT)/figures, every number is in $(OUT)/summary.json."

test: $(VENV)/.dev
	$(VENV)/bin/python -m pytest -n auto -q

lint: $(VENV)/.dev
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/lint-imports
	$(VENV)/bin/ty check grpo_prm cli --python $(VENV)

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

clean:
	rm -rf $(VENV) demo.prm build dist *.egg-info
