# What a change has to pass. Everything runs in the Python environment that is active; `make install`
# fills it. Nothing here needs root: .ci/run installs the programs that some tests want.

PYTHON ?= python

.PHONY: check install lint types unused test format

check: lint types unused test

install:
	$(PYTHON) -m pip install -e '.[test]'

lint:
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .

types:
	$(PYTHON) -m mypy

unused:
	$(PYTHON) -m vulture

# All tests, with the floor of what they cover (setup.cfg, coverage:report). That takes twice the
# processor's time of `pytest` alone.
test:
	$(PYTHON) -m pytest --cov

format:
	$(PYTHON) -m ruff check --fix .
	$(PYTHON) -m ruff format .
