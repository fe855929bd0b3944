.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PACKAGES := libs/contracts libs/rating libs/kit services/auth services/gateway services/billing services/ledger services/notifier sandbox
LOCKS := tools/bootstrap.lock requirements.lock $(addsuffix /pyproject.toml,$(PACKAGES))

$(VENV)/installed: $(LOCKS)
	@echo "setting up $(VENV) (first time: about a minute)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r tools/bootstrap.lock
	@$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation $(addprefix -e ,$(PACKAGES))
	@touch $@
