# `make` alone lists the targets. Each runs from a fresh clone: the first one sets everything up.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

PYTHON := .venv/bin/python
LOCAL := $(PYTHON) -m local
OURS := $(notdir $(wildcard shared/* services/* clients/* deploy/cloud-simulator deploy/local deploy/migrator))
# Checked one by one: test modules of two members may have the same name.
TESTS := $(wildcard shared/*/tests services/*/tests clients/*/tests deploy/*/tests tests)
# Its name holds the clone's path: a clone that was moved is set up again.
STAMP := .venv/.installed-$(shell pwd -P | cksum | cut -d' ' -f1)

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(STAMP): requirements.lock deploy/local/bootstrap.sh $(wildcard shared/*/pyproject.toml services/*/pyproject.toml clients/*/pyproject.toml deploy/*/pyproject.toml)
	@sh deploy/local/bootstrap.sh
	@touch $@

.PHONY: demo
demo: $(STAMP) ## bring all up, create a project and watch it become active (ARGS="--fail-user": a failed run, healed)
	@$(LOCAL) demo $(ARGS)

.PHONY: up
up: $(STAMP) ## start broker, database, cloud simulator and services, wait until ready (REPLICAS=2: two of each service)
	@$(LOCAL) up

.PHONY: down
down: $(STAMP) ## end every process, keep the data (WIPE=1 drops it)
	@$(LOCAL) down

.PHONY: status
status: $(STAMP) ## what runs, and whether it is ready
	@$(LOCAL) status

.PHONY: logs
logs: $(STAMP) ## follow the logs (NAME=user-syncer: of one process)
	@$(LOCAL) logs $${NAME:+"$$NAME"}

.PHONY: token
token: $(STAMP) ## print a token (USER_ID=3: of that user; else the first admin's)
	@$(LOCAL) token $(USER_ID)

.PHONY: console
console: $(STAMP) ## print the console's address, which signs you in once (USER_ID=3: as that user)
	@$(LOCAL) console $(USER_ID)

.PHONY: screenshots
screenshots: $(STAMP) ## take the console's screenshots again, into docs/console
	@SCREENSHOTS=docs/console $(PYTHON) -m pytest tests/console/test_screenshots.py $(ARGS)

.PHONY: migrate
migrate: $(STAMP) ## bring database schemas and broker definitions up to date
	@$(LOCAL) migrate

.PHONY: rebuild-status
rebuild-status: $(STAMP) ## derive the read model again from the event log
	@$(LOCAL) run status-projector rebuild

# Most of a test's time is waiting, so the halves run side by side; the log of the first is shown at its end.
APART := tests/ops tests/security
.PHONY: test
test: $(STAMP) ## all tests, on a private stack of their own (ARGS="tests/e2e -k retry": some)
ifdef ARGS
	@$(PYTHON) -m pytest $(ARGS)
else
	@mkdir -p .run; \
	$(PYTHON) -m pytest shared services clients deploy bench $(APART) >.run/test-parts.log 2>&1 & parts=$$!; \
	trap "kill $$parts 2>/dev/null" INT TERM; \
	$(PYTHON) -m pytest tests $(addprefix --ignore=,$(APART)); whole=$$?; \
	wait $$parts; status=$$?; \
	cat .run/test-parts.log; \
	test $$whole -eq 0 && test $$status -eq 0
endif

.PHONY: e2e
e2e: $(STAMP) ## only the tests across services, through HTTP, two replicas of each
	@$(PYTHON) -m pytest tests $(ARGS)

.PHONY: check
check: $(STAMP) ## format, lint, types, the house's import rules, generated files, known vulnerabilities
	@.venv/bin/ruff format --check -q . || { echo "Not formatted; run: make format"; exit 1; }
	@.venv/bin/ruff check -q .
	@.venv/bin/mypy $(wildcard shared/*/src services/*/src clients/*/src deploy/*/src)
	@for tests in $(TESTS); do MYPYPATH=$${tests%tests} .venv/bin/mypy $$tests || exit 1; done
	@.venv/bin/mypy bench --exclude bench/peers
	@.venv/bin/mypy deploy/healthcheck.py deploy/compose/environment.py deploy/grafana/generate.py deploy/kubernetes/trial_secrets.py docs/picture.py
	@.venv/bin/lint-imports --no-logo
	@$(PYTHON) deploy/grafana/generate.py --check
	@$(PYTHON) docs/picture.py --check
	@$(PYTHON) -m local.asyncapi --check
	@$(PYTHON) -m local.audit

.PHONY: asyncapi
asyncapi: $(STAMP) ## write the events' description (docs/asyncapi.yaml) again, from the code
	@$(PYTHON) -m local.asyncapi

.PHONY: format
format: $(STAMP) ## format the code and sort its imports
	@.venv/bin/ruff check -q --select I --fix . && .venv/bin/ruff format -q .

.PHONY: faults
faults: $(STAMP) ## the fault matrix, with its table of figures (QUICK=1: a short cut of it; ARGS="--rows 4,5")
	@$(PYTHON) -m tests.faults $(if $(QUICK),--quick) $(ARGS)

.PHONY: chaos
chaos: $(STAMP) ## everything asked for at once while services die and the cloud fails, then judged (ARGS="--seed 3 --seconds 45 --rounds 1")
	@$(PYTHON) -m tests.chaos $(ARGS)

.PHONY: rabbitmq-4
rabbitmq-4: $(STAMP) ## broker tests, end-to-end tests and the quick faults on Debian 13's RabbitMQ 4 (as root on Debian; 6 minutes)
	@programs=$$($(PYTHON) -m local.rabbitmq_4) && export UCA_RABBITMQ_PROGRAMS="$$programs" && \
		$(PYTHON) -m pytest shared/backbone/tests tests/e2e $(ARGS) && $(PYTHON) -m tests.faults --quick --unrecorded

.PHONY: bench
bench: $(STAMP) ## measured comparisons with peers, bar by bar (QUICK=1: in 5 minutes; ARGS="w1 w3": some workloads)
	@QUICK=$(QUICK) $(PYTHON) -m bench $(ARGS)

.PHONY: bench-compare
bench-compare: $(STAMP) ## this tree and another commit on this machine, by ratio (BASE=commit)
	@$(PYTHON) -m bench.versions $(or $(BASE),HEAD~1)

.PHONY: service
service: $(STAMP) ## a new service: make service NAME=audit-log
	@$(LOCAL) service "$$NAME"
	@.venv/bin/ruff check -q --select I --fix "services/$$NAME" && .venv/bin/ruff format -q "services/$$NAME"
	@$(PYTHON) deploy/grafana/generate.py
	@$(PYTHON) docs/picture.py
	@$(PYTHON) -m local.asyncapi

.PHONY: images
images: ## a Docker image of each service, the migrator and the simulator (VERSION=0.1.0; BASE=… another base image)
	@for service in $(notdir $(wildcard services/*)) migrator cloud-simulator; do \
		docker build -q $(if $(BASE),--build-arg BASE=$(BASE)) $(if $(UV_DEFAULT_INDEX),--build-arg UV_DEFAULT_INDEX) --network host \
			--build-arg SERVICE=$$service -f deploy/Dockerfile -t uca/$$service:$(or $(VERSION),latest) . || exit 1; \
	done

.PHONY: compose-env
compose-env: $(STAMP) ## make the secrets that deploy/compose.yaml asks for, in deploy/.env; what is there stays
	@$(PYTHON) deploy/compose/environment.py

.PHONY: kubernetes-secrets
kubernetes-secrets: compose-env ## print Kubernetes secrets for a trial, from deploy/.env
	@$(PYTHON) deploy/kubernetes/trial_secrets.py

.PHONY: manifests
manifests: $(STAMP) ## render and check the Kubernetes manifests of each overlay
	@$(PYTHON) -m pytest tests/ops/test_manifests.py $(ARGS)

.PHONY: alerts
alerts: $(STAMP) ## check and test the alert rules, and see a slow run fire and resolve
	@$(PYTHON) -m pytest tests/ops/test_alerts.py tests/ops/test_slow_alert.py $(ARGS)

.PHONY: dashboards
dashboards: $(STAMP) ## make Grafana's dashboards and alert rules again, from deploy/grafana/panels.yml and deploy/prometheus/rules.yml
	@$(PYTHON) deploy/grafana/generate.py

.PHONY: picture
picture: $(STAMP) ## draw one event's way into docs/architecture.md again
	@$(PYTHON) docs/picture.py

.PHONY: lock
lock: $(STAMP) ## pin the dependencies again (UPGRADE=1: to their newest versions)
	@.venv/bin/uv pip compile -q --universal --generate-hashes --no-emit-index-url --python-version 3.11 --group dev pyproject.toml \
		$(if $(UPGRADE),--upgrade) $(addprefix --no-emit-package uca-,$(OURS)) --custom-compile-command "make lock" -o requirements.lock

.PHONY: peers-lock
peers-lock: $(STAMP) ## pin what the benchmark compares with (UPGRADE=1: to their newest versions)
	@.venv/bin/uv pip compile -q --universal --generate-hashes --no-emit-index-url --python-version 3.11 \
		--group pyproject.toml:peers $(if $(UPGRADE),--upgrade) --custom-compile-command "make peers-lock" -o bench/peers.lock

.PHONY: keystone-lock
keystone-lock: $(STAMP) ## pin the Keystone that tests and demo run (UPGRADE=1: to the newest of what keystone.in allows)
	@.venv/bin/uv pip compile -q --universal --generate-hashes --no-emit-index-url --python-version 3.11 shared/clouds/keystone.in \
		$(if $(UPGRADE),--upgrade) --custom-compile-command "make keystone-lock" -o shared/clouds/keystone.lock
