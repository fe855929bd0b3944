.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PACKAGES := libs/contracts libs/rating libs/kit services/auth services/gateway services/billing services/ledger services/notifier sandbox
SOURCES := $(addsuffix /src,$(PACKAGES))
LOCKS := tools/bootstrap.lock requirements.lock $(addsuffix /pyproject.toml,$(PACKAGES))
# Workers, each with its own Kafka, PostgreSQL and Redis; `make test PYTEST='-k name'` narrows. Most tests wait more
# than they compute, so twice as many as there are cores.
WORKERS ?= 4
# One worker has the product of all, the other what has servers of its own (sandbox.work_order).
WHOLE_WORKERS ?= 2
WHOLE := sandbox/tests tests/e2e
# A file stays with one worker; the order is that of sandbox.work_order.
BY_FILE := --dist loadfile --no-loadscope-reorder
# Named at the end of each run: `make test` is to stay under a quarter of an hour.
SLOWEST := --durations=25 --durations-min=2
# Empty is off: otherwise every program that a test starts is compiled anew.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help setup run demo demo-money test test-parts test-whole check proofs judges bench reset mail lock release-contracts

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 20

setup: $(VENV)/installed ## install everything that the other targets need into .venv

$(VENV)/installed: $(LOCKS)
	@echo "setting up $(VENV) (about a minute the first time)"
	@$(PYTHON) -c 'import sys; sys.exit("Faregate needs Python 3.11 or newer; name one: make PYTHON=python3.12 …" if sys.version_info < (3, 11) else 0)'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r tools/bootstrap.lock
	@$(BIN)/uv pip sync --quiet --compile-bytecode --python $(BIN)/python --require-hashes requirements.lock tools/bootstrap.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation $(addprefix -e ,$(PACKAGES))
	@touch $@

run: setup ## bring the whole stack up; Ctrl-C stops it
	@$(BIN)/python -m sandbox up

demo: setup ## the whole story in the terminal, in under a minute
	@$(BIN)/python -m sandbox demo

demo-money: setup ## the story of money over simulated months; fails where ledger, billing and Stripe differ
	@$(BIN)/python -m sandbox demo-money

mail: setup ## list the sandbox mailbox
	@$(BIN)/python -m sandbox mail

reset: setup ## forget everything that `make run` kept
	@$(BIN)/python -m sandbox reset

test: test-parts test-whole ## unit to end-to-end, on real servers

test-parts: setup ## libraries, services and stand-ins, each by itself
	@$(BIN)/python -m pytest -m "not judge and not stack and not proof" $(SLOWEST) -n $(WORKERS) $(BY_FILE) $(PYTEST)

test-whole: setup ## the whole product, end to end
	@$(BIN)/python -m pytest -m "stack and not proof" $(SLOWEST) -n $(WHOLE_WORKERS) $(BY_FILE) $(WHOLE) $(PYTEST)

check: setup ## format, lint, types, imports, dependencies, contracts, sizes
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy $(SOURCES) tools
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/python tools/check_dependencies.py $(PACKAGES)
	@$(BIN)/python -m contracts check
	@$(BIN)/python tools/check_sizes.py
	@$(BIN)/python tools/check_addresses.py

proofs: setup ## the hard cap, rolling restarts and lost servers under load, simulated years, the story of money, a day away, Keycloak: half an hour and more
	@$(BIN)/python -m pytest -m proof $(PYTEST)

judges: setup ## what outside judges say: Node, Go, Chromium, nginx; what is missing is skipped by name
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r tools/judges.lock
	@PATH=$(abspath $(BIN)):$$PATH $(BIN)/python -m pytest -m judge sandbox/tests tests/judges $(PYTEST)

bench: setup ## measure; prints ratios and writes build/bench.json
	@$(BIN)/python -m sandbox.bench

lock: setup ## resolve the dependencies anew
	@$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
		--no-emit-index-url $(foreach name,contracts rating kit auth gateway billing ledger notifier sandbox,--no-emit-package faregate-$(name)) \
		$(addsuffix /pyproject.toml,$(PACKAGES)) requirements-dev.in -o requirements.lock
	@$(BIN)/uv pip compile --quiet --upgrade --universal --generate-hashes --no-annotate --no-header tools/judges.in -o tools/judges.lock

release-contracts: setup ## make today's event schemas the released ones; refuses a breaking change
	@$(BIN)/python -m contracts release
