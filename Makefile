PYTHON ?= python3
BIN := .venv/bin
OUT ?= demo
WORKERS ?= 2
# The processes of the tests share the cores; more threads of BLAS and OpenMP only wait for each other there.
ONE_THREAD := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
.DEFAULT_GOAL := help
.PHONY: help demo docs page pictures test test-slow lint bench notebooks lock clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' Makefile | sed 's/:.*## /\t/'

.venv/installed: requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet -r requirements.lock
	$(BIN)/pip install --quiet --no-deps -e .
	touch $@

# quantimpy's wheels are of numpy 1, so it has an environment of its own.
.venv-quantimpy/installed: requirements-quantimpy.lock
	$(PYTHON) -m venv .venv-quantimpy
	.venv-quantimpy/bin/pip install --quiet -r requirements-quantimpy.lock
	touch $@

# PyAPD compiles its formulas with a torch of its own.
.venv-pyapd/installed: requirements-pyapd.lock
	$(PYTHON) -m venv .venv-pyapd
	.venv-pyapd/bin/pip install --quiet -r requirements-pyapd.lock
	touch $@

# poromics brings Jupyter and Julia along, which its solver does not need.
.venv-poromics/installed: requirements-poromics.lock
	$(PYTHON) -m venv .venv-poromics
	.venv-poromics/bin/pip install --quiet --no-deps -r requirements-poromics.lock
	touch $@

demo: .venv/installed  ## make the graphite sweep and a dozen particles: stores, catalog and reports in demo/
	$(BIN)/nmcdist run catalogs/recipes/graphite-sweep-small.yaml --out $(OUT) --resume
	$(BIN)/nmcdist report $(OUT)/graphite-sweep-small.zarr --out $(OUT)/report
	$(BIN)/nmcdist run catalogs/recipes/nmc811-particles-small.yaml --out $(OUT) --resume
	$(BIN)/nmcdist report $(OUT)/nmc811-particles-small.zarr --out $(OUT)/particle-report
	$(BIN)/nmcdist catalog list --catalog $(OUT)/catalog.yaml

docs: .venv/installed  ## build the documentation into site/; warnings are errors
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

page:  ## build the scripts of the page from web/ into the service
	cd web && npm ci --ignore-scripts --no-audit --no-fund && npm run check && npm run build

pictures: .venv/installed  ## take the pictures of the page for the documentation, with chromium
	NMCDIST_PICTURES=docs/images $(BIN)/pytest -q tests/service/test_page.py tests/service/test_page_jobs.py -k "look_as or watched"

lint: .venv/installed  ## ruff, mypy, and that imports point one way
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache --no-logo

test: lint .venv-quantimpy/installed .venv-pyapd/installed  ## lint, types and the test suite
	$(ONE_THREAD) $(BIN)/pytest -m "not slow" --numprocesses $(WORKERS) --dist loadfile --timeout 600

test-slow: .venv/installed .venv-quantimpy/installed .venv-pyapd/installed  ## the tests that take minutes each
	$(ONE_THREAD) $(BIN)/pytest -m slow

bench: .venv/installed .venv-quantimpy/installed .venv-pyapd/installed .venv-poromics/installed  ## ours and the peers side by side, in one run
	$(BIN)/python -m benchmarks
	$(BIN)/python -m benchmarks.generation
	$(BIN)/python -m benchmarks.meshes
	$(BIN)/python -m benchmarks.registration

notebooks: .venv/installed  ## run the notebooks of examples/ and store their outputs
	$(BIN)/python examples/notebooks/execute.py

lock: ## write requirements.lock from what is installed in .venv
	$(BIN)/pip freeze --exclude-editable | grep -v '^nmcdist' | sed 's/+cpu$$//' > requirements.lock

clean:  ## remove the environment and what the demo made
	rm -rf .venv .venv-quantimpy .venv-pyapd .venv-poromics $(OUT) site
