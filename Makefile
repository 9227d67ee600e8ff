# Every target sets up what it needs in .venv, from a Python 3.11+ alone: make demo, make test.
# Options: PYTHON=/path/to/python3 (to make .venv with), WORKERS=4 (processes that run tests),
# ARGS='-k name' (for pytest, demo or bench), UPGRADE=1 (make lock: take newer versions).

BIN := .venv/bin
WORKERS ?= 4
ARGS ?=

RUNTIME := .venv/.runtime
DEV := .venv/.dev

# Pyright would ask the registry for a newer version of itself at every run.
export PYRIGHT_PYTHON_IGNORE_WARNINGS := 1
# Images often set it. Then each of the hundreds of Python processes that a run of the tests starts, and each
# worker of pytest, would compile all of our code anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo test unit explore check types layers-and-links compiled provision format bench chaos docs docs-serve screenshots lock clean
.DELETE_ON_ERROR:

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: $(RUNTIME) ## Run the whole system on this machine with real sample tests
	@$(BIN)/qgjob demo $(ARGS)

test: $(DEV) ## Run the checks, then all tests
	@$(MAKE) --no-print-directory -j3 check provision compiled
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pytest -q -n $(WORKERS) --dist worksteal $(ARGS)

unit: $(DEV) ## Run the tests that need no server
	@$(BIN)/python -m pytest -q -n $(WORKERS) --dist worksteal tests/unit $(ARGS)

explore: $(DEV) ## Try new examples in the tests of properties, and more of them
	@HYPOTHESIS_PROFILE=new $(BIN)/python -m pytest -q -m hypothesis -n $(WORKERS) --dist worksteal tests/unit $(ARGS)

check: $(DEV) ## Lint, formatting, types, layers, the docs' links
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check --quiet
	@$(MAKE) --no-print-directory $(if $(findstring jobserver,$(MAKEFLAGS)),,-j2) types layers-and-links

types: $(DEV)
	@$(BIN)/pyright

layers-and-links: $(DEV) # Together they take less time than the types do
	@$(BIN)/lint-imports
	@$(BIN)/python -m scripts.site

compiled: $(DEV) # Else each of the processes that run tests would compile all of them, at the same time
	@$(BIN)/python -m pytest -q --collect-only >/dev/null 2>&1 || true

provision: $(DEV) # What tests of real parts need; most of the time is spent waiting for downloads
	@$(BIN)/python scripts/provision.py

format: $(DEV) ## Format the code and mend what the linter can
	@$(BIN)/ruff check --fix --quiet || true
	@$(BIN)/ruff format

bench: $(DEV) ## Measure, as written down in docs/performance.md
	@$(BIN)/python -m bench $(ARGS)

chaos: $(DEV) ## Run 500 jobs under random kills, and look for what they leave behind
	@$(BIN)/python -m bench.chaos $(ARGS)

docs: $(DEV) ## Write the pages that are made from the code, and build the site in build/site
	@$(BIN)/python -m scripts.lifecycle_doc
	@$(BIN)/python -m scripts.lifecycle_svg
	@$(BIN)/python -m scripts.cli_doc
	@$(BIN)/python -m scripts.manpage
	@$(BIN)/python -m scripts.site

docs-serve: docs ## Build the site and show it at http://127.0.0.1:8000
	@$(BIN)/python -m http.server --bind 127.0.0.1 --directory build/site 8000

screenshots: $(DEV) ## Draw the dashboard's pictures for the docs
	@$(BIN)/python scripts/screenshots.py

COMPILE = $(BIN)/uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --extra web --generate-hashes \
	--no-emit-index-url --annotation-style line --custom-compile-command 'make lock' $(if $(UPGRADE),--upgrade)

lock: $(RUNTIME) ## Write the lock files anew from pyproject.toml
	@$(BIN)/python -m pip install -q --disable-pip-version-check 'uv>=0.9'
	@$(COMPILE) --group build -o requirements.lock
	@$(COMPILE) --group build --group dev -c requirements.lock -o requirements-dev.lock

clean: ## Remove all that make has made, .venv too
	rm -rf .venv dist build .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# --- What each target stands on: made once, and again when a lock file changes ---------------

$(RUNTIME): requirements.lock pyproject.toml scripts/setup-venv.sh
	@scripts/setup-venv.sh runtime
	@touch $@

$(DEV): requirements-dev.lock $(RUNTIME)
	@scripts/setup-venv.sh dev
	@touch $@
