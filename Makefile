# Each target sets itself up: .venv, made with the machine's own python3, holds exactly what requirements.lock names.

PYTHON ?= python3
VENV ?= .venv
UV ?= .venv-lock/bin/uv

bin := $(VENV)/bin
python := $(bin)/python
pytest := $(python) -m pytest
sources := contracts projections services
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help demo test faults slow planted check requirements bench-append bench-import bench-query bench-replay lock clean
.DELETE_ON_ERROR:

help:
	@echo 'make demo          the story of half a minute, on a real log'
	@echo 'make test          the tests, but for those that are slow or inject faults'
	@echo 'make faults        the tests that kill and restart real processes'
	@echo 'make slow          the tests that take long'
	@echo 'make planted       faults in the models, and rules taken out, one by one: tests catch each'
	@echo 'make check         style, types, layout, generated files'
	@echo 'make requirements  the rows of the requirements that have a passing test'
	@echo 'make bench-append  commands a second, against eventsourcing on SQLite and PostgreSQL'
	@echo 'make bench-import  how fast real logs come in, and what CPU each process takes for a fact'
	@echo 'make bench-query   what a question takes, while the views go on folding'
	@echo 'make bench-replay  all views from the first event on, against eventsourcing and bare transport'
	@echo 'make lock          requirements.lock and constraints.txt anew, from pyproject.toml'
	@echo 'make clean         remove what was made here, but for the log in .attorn'

demo: $(VENV)/.installed
	@$(bin)/attorn demo

# Two at a time, file by file: a file's tests may share what is slow to start.
test: $(VENV)/.installed
	$(pytest) -n 2 --dist loadfile

# pytest ends with 5 when no test carries the marker: that is no failure.
faults slow: $(VENV)/.installed
	$(pytest) -m $@ || { code=$$?; [ $$code -eq 5 ] && echo 'no test carries the marker $@ yet' || exit $$code; }

planted: $(VENV)/.installed
	@$(python) tools/planted_faults.py $(FAULTS)
	@$(python) tools/planted_rows.py $(ROWS)

check: $(VENV)/.installed
	$(bin)/ruff check .
	$(bin)/ruff format --check .
	$(bin)/mypy $(sources)
	$(bin)/pyright --pythonpath $(python) $(sources)
	$(pytest) tests/test_layout.py
	@if [ -f tools/generate.py ]; then echo '$(python) tools/generate.py --check'; $(python) tools/generate.py --check; fi

requirements: $(VENV)/.installed
	@$(python) tools/requirements_table.py

bench-append: $(VENV)/.installed
	@$(python) bench/append.py $(BENCH)

bench-import: $(VENV)/.installed
	@$(python) bench/import.py $(BENCH)

bench-query: $(VENV)/.installed
	@$(python) bench/query.py $(BENCH)

bench-replay: $(VENV)/.installed
	@$(python) bench/replay.py $(BENCH)

# The virtualenv is begun afresh when the lock changes, so that nothing stays in it that the lock does not name. The lock is
# complete, hence --no-deps; the project itself is then built with the hatchling of the lock, without asking any index.
$(VENV)/.locked: requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit("attorn needs Python 3.11 or later, and $(PYTHON) is " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	@echo 'setting up $(VENV) from requirements.lock, a minute or so'
	@$(PYTHON) -m venv --clear $(VENV)
	@$(python) -m pip install -qq --no-input --no-deps --require-hashes -r requirements.lock
	@touch $@

$(VENV)/.installed: $(VENV)/.locked pyproject.toml
	@$(python) -m pip install -qq --no-input --no-deps --no-build-isolation --editable .
	@touch $@

# One resolution for every platform and every Python that we support; versions move only here.
# constraints.txt says the same without hashes: pip refuses hashed constraints beside a local project.
lock_options := pyproject.toml --all-extras --group dev --universal --no-header --no-annotate --upgrade --quiet
lock: | $(UV)
	$(UV) pip compile $(lock_options) --generate-hashes -o requirements.lock
	sed -e '/^ *--hash=/d' -e 's/ *\\$$//' requirements.lock > constraints.txt

.venv-lock/bin/uv:
	@$(PYTHON) -m venv .venv-lock
	@.venv-lock/bin/python -m pip install -qq --no-input 'uv>=0.13,<0.14'

clean:
	rm -rf .venv* dist build .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
