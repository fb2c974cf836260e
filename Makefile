# All that a fresh machine needs is make and Python 3.10 or later. The data of `make serve` is
# in ./var, which `make clean` leaves alone.

PYTHON ?= python3
ARGS ?=

VENV := .venv
INSTALL = $(VENV)/bin/pip install --quiet --disable-pip-version-check --editable

.PHONY: serve test lint doc clean

serve: $(VENV)/.installed
	@$(VENV)/bin/swiftqueue serve $(ARGS)

test: $(VENV)/.installed-test
	$(VENV)/bin/pytest $(ARGS)

lint: $(VENV)/.installed-lint
	$(VENV)/bin/ruff check .

doc: $(VENV)/.installed-doc
	$(VENV)/bin/sphinx-build -W doc/source doc/build

clean:
	rm -rf $(VENV) build dist doc/build .pytest_cache .ruff_cache *.egg-info
	find . -name __pycache__ -prune -exec rm -rf {} +

# The stamps make setup happen once, and again when what is to be installed changes.
$(VENV)/.installed: setup.cfg setup.py pyproject.toml | $(VENV)/bin/pip
	$(INSTALL) .
	@touch $@

$(VENV)/.installed-%: setup.cfg setup.py pyproject.toml | $(VENV)/bin/pip
	$(INSTALL) '.[$*]'
	@touch $@ $(VENV)/.installed

$(VENV)/bin/pip:
	$(PYTHON) -m venv $(VENV)
