# Every target that people call is listed by `make help`, with the words behind its `##`.
# Nothing but Python 3.11 or newer and make is needed for `make run`.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= $(shell for name in python3 python3.14 python3.13 python3.12 python3.11; do \
	command -v $$name >/dev/null && $$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& { echo $$name; break; }; done)
VENV := .venv
BIN := $(VENV)/bin
VERSION := $(shell sed -n 's/^VERSION = "\(.*\)"$$/\1/p' services/version.py)
IMAGE ?= narrows:$(VERSION)
CONTAINER ?= $(shell command -v podman || command -v docker || echo podman)
NAME ?=

.PHONY: help run apart test test-long check bench acceptance test-cluster protos generated lock image
.PHONY: environment environment-dev environment-acceptance redis helm clean
.PHONY: check-format check-lint check-types check-layers check-boundaries check-protos check-generated check-chart

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: environment ## start the gateway in one process (installs what it needs first)
	@exec $(BIN)/narrows run $(ARGS)

apart: environment redis ## start each service as its own process, with Redis and traces
	@exec $(BIN)/python deploy/apart.py $(ARGS)

test: environment-dev redis helm ## run the tests, with what they need
	@$(BIN)/python -m pytest $(ARGS)

test-long: environment-dev ## run the tests that take many minutes: 10,000 seeds of simulated limits
	@$(BIN)/python -m pytest -m long $(ARGS)

check: check-format check-lint check-types check-layers check-boundaries check-protos check-generated check-chart ## format, lint, types, layers, protos, generated files, chart

bench: environment-dev redis ## measure CPU per request next to nginx
	@$(BIN)/python -m tests.bench $(ARGS)

# The last line of each test is written by the test itself (tests/acceptance/conftest.py).
acceptance: environment-acceptance redis ## run the acceptance test NAME, or all of them
	@rm -f results/$(or $(NAME),*).line; \
	status=0; $(BIN)/python -m pytest -m acceptance tests/acceptance/$(if $(NAME),test_$(NAME).py) $(ARGS) || status=$$?; \
	cat results/$(or $(NAME),*).line || status=1; \
	exit $$status

test-cluster: NAME = cluster
test-cluster: acceptance ## install the chart in a real cluster and use it (KUBECONFIG)

protos: environment-dev ## generate the messages beside their .proto
	@$(BIN)/python -m tests.repository.protos write

generated: environment-dev ## write the documents and manifests that are made from code
	@$(BIN)/python -m services.generate

lock: environment-dev ## pin every dependency with its hashes
	@$(BIN)/python deploy/lock.py

image: ## build the container image
	$(CONTAINER) build --network host -f deploy/Dockerfile -t $(IMAGE) .

clean: ## remove what was installed and built, but no data
	rm -rf $(VENV) build dist results tests/harness/node/node_modules *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

# Installing. Each line does nothing when the lock file it stands for is installed already.
environment environment-dev environment-acceptance:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed, and none was found. Say which: make PYTHON=/path/to/python3.12" >&2; exit 1; }
	@$(PYTHON) deploy/environment.py $(VENV) $(patsubst environment-%,%,$(patsubst environment,run,$@))

redis:
	@command -v redis-server >/dev/null || deploy/install-redis

# Tests of the chart are skipped where it can neither be found nor built.
helm:
	@charts/helm >/dev/null || true

# Checking, one line a tool.
check-format: environment-dev
	@echo "format"; $(BIN)/ruff format --check --quiet .

check-lint: environment-dev
	@echo "lint"; $(BIN)/ruff check --quiet .

check-types: environment-dev
	@echo "types"; $(BIN)/mypy --no-error-summary

check-layers: environment-dev
	@echo "layers"; found=$$($(BIN)/lint-imports 2>&1) || { echo "$$found"; exit 1; }

check-boundaries: environment-dev
	@echo "boundaries"; $(BIN)/python -m tests.repository.boundaries

check-protos: environment-dev
	@echo "protos"; $(BIN)/buf lint
	@$(BIN)/python -m tests.repository.protos check

check-generated: environment-dev
	@echo "generated"; $(BIN)/python -m services.generate --check

check-chart: environment-dev
	@echo "chart"; charts/check
