PYTHON ?= python3
BIN := .venv/bin
OUT ?= demo
.DEFAULT_GOAL := help
.PHONY: help demo test test-slow lint bench lock clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' Makefile | sed 's/:.*## /\t/'

.venv/installed: requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet -r requirements.lock
	$(BIN)/pip install --quiet --no-deps -e .
	touch $@

demo: .venv/installed  ## make the graphite sweep: store, catalog entry and report in demo/
	$(BIN)/nmcdist run catalogs/recipes/graphite-sweep-small.yaml --out $(OUT) --resume
	$(BIN)/nmcdist report $(OUT)/graphite-sweep-small.zarr --out $(OUT)/report
	$(BIN)/nmcdist catalog list --catalog $(OUT)/catalog.yaml

lint: .venv/installed  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: lint  ## lint, types and the test suite
	$(BIN)/pytest -m "not slow"

test-slow: .venv/installed  ## the tests that take minutes each
	$(BIN)/pytest -m slow

bench: .venv/installed  ## ours and the peers side by side, in one run
	$(BIN)/python -m benchmarks

lock: ## write requirements.lock from what is installed in .venv
	$(BIN)/pip freeze --exclude-editable | grep -v '^nmcdist' | sed 's/+cpu$$//' > requirements.lock

clean:  ## remove the environment and what the demo made
	rm -rf .venv $(OUT)
