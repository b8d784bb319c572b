# Two commands matter: `make run` tries Cordée, `make test` proves it. Both install what they need.

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help setup run check test lock audit vendor pictures docs clean

help:  ## say what each command does
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

setup: .venv/.installed  ## install into .venv from the hash-pinned lock

.venv/.installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Cordée needs Python 3.11 or newer; name one with: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv .venv
	$(PIP) --require-hashes -r requirements.lock
	$(PIP) --no-build-isolation --no-deps -q -e .
	@touch $@

.venv/.tools: .venv/.installed requirements-dev.lock
	$(PIP) --require-hashes -r requirements-dev.lock
	@touch $@

run: setup  ## start the whole system with a simulated fleet, and print the address to open
	$(BIN)/cordee demo

check: .venv/.tools  ## formatting, lint, types, import layers, compose file, locks, modules; generated pages are current, the API keeps its promises
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml
	$(BIN)/python tools/lock.py --check
	$(BIN)/python tools/vendor.py --check
	$(BIN)/python tools/words.py --check
	$(BIN)/cordee docs --check

test: browser  ## every test, on real servers
	$(BIN)/pytest -n auto --dist loadfile --no-loadscope-reorder

.PHONY: fuzz
fuzz: .venv/.tools  ## five minutes of coverage-guided fuzzing of what reads bytes (CPython 3.11 on Linux)
	$(PIP) -q --require-hashes -r tests/fuzz/requirements.txt
	mkdir -p .cordee/fuzz && cd .cordee/fuzz && ../../$(BIN)/python ../../tests/fuzz/fuzz_decode.py -max_total_time=300 -max_len=4096 .

.PHONY: fuzzapi
fuzzapi: .venv/.tools  ## 200 generated requests for every route of the API (a quarter of an hour; ROUTES='/v1/vans or /v1/orders' for some)
	CORDEE_API_EXAMPLES=200 $(BIN)/pytest -q tests/integration/test_api_schema.py $(if $(ROUTES),-k '$(ROUTES)')

.PHONY: browser
browser: .venv/.tools
	@command -v chromium-headless-shell >/dev/null || command -v chromium >/dev/null || \
		command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null || $(BIN)/playwright install chromium

lock: .venv/.tools  ## write requirements.lock anew from pyproject.toml
	$(BIN)/python tools/lock.py

audit: .venv/.tools  ## look for known weaknesses in what the locks pin (asks the network)
	$(BIN)/uv tool run pip-audit --strict --disable-pip --require-hashes -r requirements.lock
	$(BIN)/uv tool run pip-audit --strict --disable-pip --require-hashes -r requirements-dev.lock

vendor:  ## fetch the web console's modules anew from tools/web's lock (needs node 20 and npm)
	$(PYTHON) tools/vendor.py

pictures: browser  ## take the pictures of the pages in docs/images anew (two minutes; look at them)
	$(BIN)/python -m tools.pictures

docs: setup  ## write the generated pages of docs/ anew: wire contract, settings, API, schema
	$(BIN)/cordee docs
	$(BIN)/python -m ops.schema_page > docs/SCHEMA.md

clean:  ## remove what `make run` keeps (the demo's data), not .venv
	$(BIN)/cordee clean
