# pasidlab: `make demo` and `make test` set up what they need; only Python 3.11+, make and a package index are assumed.
PYTHON ?= python3
BIN := .venv/bin
WORKERS ?= $(shell $(PYTHON) -c 'import os; print(min(4, os.cpu_count() or 1) + 1)')

unexport PYTHONDONTWRITEBYTECODE  # the tests start the command hundreds of times

.PHONY: setup demo test lint promote docs pictures clean

setup: .venv/.ready

.venv/.ready: requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "error: Python 3.11 or newer is needed, this is " + sys.version.split()[0])'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

demo: setup
	$(BIN)/pasidlab check --events preempt,migrate,softirq || test $$? -eq 1  # 1: some designs are violated, which is what they show
	$(BIN)/python examples/demo_run.py

test: setup
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

lint: setup
	$(BIN)/ruff check src tests examples docs
	$(BIN)/mypy

promote: setup
	$(BIN)/python docs/files.py
	PYTHONPATH=tests $(BIN)/python tests/model/counts.py
	$(BIN)/python tests/model/reached.py
	$(BIN)/python tests/zoo/verdicts.py
	PASIDLAB_PROMOTE=1 $(BIN)/python -m pytest tests/cli

docs: setup
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r docs/requirements.txt
	$(BIN)/python -m sphinx -W --keep-going -q -b html -c docs . build/docs
	echo '<link rel="icon" href="data:,"><meta http-equiv="refresh" content="0; url=docs/index.html">' > build/docs/index.html

pictures: setup  # needs chromium
	$(BIN)/python docs/pictures.py

clean:
	rm -rf .venv build
