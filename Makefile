# The whole project by hand: `make` lists what there is.
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
# What some measurements put before the services, or in the provider's place.
NGINX := /usr/lib/nginx/modules/ngx_http_echo_module.so
# make test T=tests/push_blaster runs a part; J=0 runs it in one process.
T ?= tests
J ?= 2
# make fuzz CASES=100000 throws so many cases at the routes of both services together.
CASES ?= 100000
# make torture KILLS=1000 SEED=7 does so much, and the same again.
KILLS ?= 1000
SEED ?= 1
# make day MINUTES=60 compresses a day into so many, with a fault a minute.
MINUTES ?= 60
# make bench ROWS=20000000 USERS=10000000 measures at the size that docs/benchmarks.md tells of.
ROWS ?= 2000000
USERS ?= 1000000
# make bench-rows ROWS=10000000 sends to so many users.
# make bench-send MESSAGES=1000000 ENGINES=2 sends so many, from so many engines.
MESSAGES ?= 200000
ENGINES ?= 1
AUTOMATIONS ?= 10000
# make scaling SECONDS=20 measures each stage for so long.
SECONDS ?= 20
ROUNDS ?= 20
LINES ?= 100000

# One exact version formats CSS and JavaScript, where node is; REQUIRE_NODE=1 makes a missing node an error.
PRETTIER := npx --yes prettier@3.10.1 --print-width 100
DJLINT := $(BIN)/djlint --quiet
STATIC := "services/**/static/**/*.{css,js}"
where_node = if command -v npx >/dev/null; then $(1); \
  elif test -n "$$REQUIRE_NODE"; then echo "Install nodejs and npm: REQUIRE_NODE is set." >&2; exit 1; \
  else echo "CSS and JavaScript are left out: node is not installed."; fi

.PHONY: help install run test check lint types layers format torture day scaling bench bench-cadence bench-send bench-rows bench-engine bench-pages bench-stops fuzz audit load migrate lock

##@ Use it
run: install ## Start everything with an embedded PostgreSQL and run the example once
	@$(BIN)/local-stack run

migrate: install ## Migrate both databases (their URLs from the environment)
	@$(BIN)/cadence-service migrate
	@$(BIN)/push-blaster migrate

##@ Work on it
install: .venv/installed ## Make .venv and install from requirements-dev.lock

.venv/installed: requirements-dev.lock pyproject.toml
	@echo "Installing into .venv (a minute on a new machine) …"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/pip install -qq --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@$(BIN)/pip install -qq --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

test: install ## Run every test on an embedded PostgreSQL
	@$(BIN)/pytest -q -n $(J) --dist loadfile $(T)

check: lint types layers test ## Everything that must hold before a commit

lint: install ## Style and likely mistakes: ruff; djlint for templates; prettier for CSS and JavaScript
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(DJLINT) --check --lint services
	@$(call where_node,$(PRETTIER) --log-level warn --check $(STATIC))

types: install ## mypy --strict
	@$(BIN)/mypy

layers: install ## import-linter: the architecture as a test
	@$(BIN)/lint-imports --no-cache

format: install ## Format Python, templates, CSS and JavaScript, and mend what ruff can
	@$(BIN)/ruff check --fix --quiet . || true
	@$(BIN)/ruff format .
	@$(DJLINT) --reformat services || $(DJLINT) --reformat services
	@$(call where_node,$(PRETTIER) --log-level warn --write $(STATIC))

screenshots: install ## Draw every page, by day, by night and on a phone, into screenshots/
	@$(BIN)/python -m tests.browser.screenshots

fuzz: install ## Throw CASES= generated cases at all routes; each is answered as OpenAPI tells
	@FUZZ_CASES=$(CASES) $(BIN)/pytest -q -n $(J) tests/fuzz

audit: install ## Ask the package index what is known against requirements-dev.lock, and lint for safety
	@$(BIN)/ruff check --quiet --select S . && echo "ruff S: nothing found."
	@$(BIN)/python -m tests.audit

load: install ## Ask the real processes for SECONDS= at a time, from 16 callers at once (wrk)
	@command -v wrk >/dev/null || apt-get install -qq -y wrk >/dev/null
	@$(BIN)/python -m tests.bench load --seconds $(SECONDS)

torture: install ## kill -9 of KILLS= parts at random, and much else; nothing may be lost (SEED=)
	@$(BIN)/python -m tests.torture --kills $(KILLS) --seed $(SEED)

day: install $(NGINX) ## A day in an hour, with a fault a minute; nothing may stay unexplained (MINUTES=)
	@$(BIN)/python -m tests.day --minutes $(MINUTES) --plot docs/images/day-memory.svg

bench: bench-cadence bench-send bench-rows bench-engine bench-pages bench-stops ## Measure, and print ratios taken side by side in one run

bench-cadence: install ## Measure the cadence service beside the original (ROWS=, USERS=)
	@$(BIN)/python -m tests.bench cadence --rows $(ROWS) --users $(USERS)

bench-engine: install ## Measure the engine with AUTOMATIONS= active automations
	@$(BIN)/python -m tests.bench engine --automations $(AUTOMATIONS)

bench-pages: install ## Measure the live pages in Chromium, with a log of LINES= lines
	@$(BIN)/python -m tests.bench pages --lines $(LINES)

bench-stops: install ## Measure how soon stops take effect, ROUNDS= of each kind
	@$(BIN)/python -m tests.bench stops --rounds $(ROUNDS)

scaling: install $(NGINX) ## Measure 1, 2, 3 cadence replicas and 2 engines while each is killed in turn
	@$(BIN)/python -m tests.bench scaling --seconds $(SECONDS)

bench-send: install $(NGINX) ## Measure the send path beside firebase-admin (MESSAGES=, ENGINES=)
	@$(BIN)/python -m tests.bench.send --messages $(MESSAGES) --engines $(ENGINES)

bench-rows: install $(NGINX) ## Send to ROWS= users: speed, memory of every process, disk
	@$(BIN)/python -m tests.bench.rows --rows $(ROWS)

$(NGINX):
	@apt-get install -qq -y nginx-light libnginx-mod-http-echo >/dev/null

LOCK := $(BIN)/pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras --extra build \
  --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-header
lock: install ## Write both lock files anew from pyproject.toml
	@$(LOCK) --output-file requirements.lock pyproject.toml
	@$(LOCK) --extra dev --constraint requirements.lock \
	  --output-file requirements-dev.lock pyproject.toml

help:
	@awk 'BEGIN {FS = ":.*## "} \
	  /^##@/ {printf "\n%s\n", substr($$0, 5)} \
	  /^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
