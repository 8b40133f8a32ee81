# Every target sets up .venv by itself; it needs Python 3.11 or newer and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PAGES := README.md README.zh-CN.md $(filter-out docs/lesson-%,$(wildcard docs/*.md))

.PHONY: help demo test test-long faults fuzz bench docs site pictures format clean

help:
	@echo "make demo       install into .venv and train on the embedded digits"
	@echo "make test       formatting, lint, types and tests"
	@echo "make test-long  the tests that take minutes"
	@echo "make faults     1,000 kills, failed writes, power cuts; writes what it saw into docs/reliability.md"
	@echo "make fuzz       ten minutes of hostile files and command lines; MINUTES=60, TARGETS='csv history'"
	@echo "make bench      measure against other trainers; QUICK=1 takes about six minutes"
	@echo "make docs       run the documentation's commands and show what they print"
	@echo "make site       build the documentation site in both languages into build/site"
	@echo "make pictures   train what the README's pictures show, and draw them"
	@echo "make format     put the code into its format"

demo: $(VENV)/user
	$(BIN)/epochal train digits
	@printf '\n%s\n  %s\n' "So that your shell finds the command epochal:" ". $(BIN)/activate"

test: $(VENV)/dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check --no-cache .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/pytest -n 3 --dist loadfile -m "not slow"

test-long: $(VENV)/dev
	$(BIN)/pytest -m slow

faults: $(VENV)/dev
	@mkdir -p build
	$(BIN)/pytest tests/faults tests/run/test_many_runs.py tests/run/test_changes.py -m "slow or not slow" \
		-o junit_family=xunit1 --junitxml build/faults.xml
	$(BIN)/python tests/faults/table.py build/faults.xml

fuzz: $(VENV)/dev
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[fuzz]' 2>/dev/null || true  # goes on without
	$(BIN)/python tests/fuzz/fuzz.py $(TARGETS) --minutes $(or $(MINUTES),10)

bench: $(VENV)/dev
	$(BIN)/python bench/suite.py $(if $(QUICK),--quick)

docs: $(VENV)/dev
	$(BIN)/python tools/refresh_docs.py $(PAGES)
	$(BIN)/python tools/refresh_lessons.py

site: $(VENV)/site
	$(BIN)/python tools/make_site.py

pictures: $(VENV)/dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[pictures]'
	$(BIN)/python tools/pictures.py

format: $(VENV)/dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) .bench-venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Epochal needs Python 3.11 or newer; this is $$($(PYTHON) --version 2>&1). Try: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
		{ rm -rf $(VENV); echo "No virtual environment could be made. On Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }

$(VENV)/user: $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	@touch $@

$(VENV)/site: $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[site]'
	@touch $@ $(VENV)/user

$(VENV)/dev: $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@ $(VENV)/user
