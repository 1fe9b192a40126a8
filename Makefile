# The whole project by hand: `make` lists what there is.
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
# make test T=tests/push_blaster runs a part; J=0 runs it in one process. Four workers keep two cores
# busy: tests wait half of their time, and those with processes three quarters of it.
T ?= tests
J ?= 4
# make fuzz CASES=100000 throws so many cases at the routes of both services together.
CASES ?= 100000
# make torture KILLS=1000 SEED=7 does so much, and the same again.
KILLS ?= 1000
SEED ?= 1
# make day MINUTES=60 compresses a day into so many, with a fault a minute.
MINUTES ?= 60
# make stories STORIES=1000 SECONDS=60 tries so many, and mixes for so long.
STORIES ?= 1000
SECONDS ?= 60
# Compiled modules are kept, so that each of many processes starts sooner.
unexport PYTHONDONTWRITEBYTECODE
# Programs that some measurements need.
NGINX := /usr/lib/nginx/modules/ngx_http_echo_module.so
WRK := /usr/bin/wrk

# One exact version formats CSS and JavaScript, where node is; REQUIRE_NODE=1 makes a missing node an error.
PRETTIER := npx --yes prettier@3.10.1 --print-width 100
DJLINT := $(BIN)/djlint --quiet
STATIC := "services/**/static/**/*.{css,js}"
where_node = if command -v npx >/dev/null; then $(1); \
  elif test -n "$$REQUIRE_NODE"; then echo "Install nodejs and npm: REQUIRE_NODE is set." >&2; exit 1; \
  else echo "CSS and JavaScript are left out: node is not installed."; fi

.PHONY: help run migrate install quick test again check lint types layers format coverage lock screenshots fuzz audit torture day operate statistics bench

##@ Use it
run: install ## Start everything with an embedded PostgreSQL and run the example once
	@$(BIN)/local-stack run

migrate: install ## Migrate both databases (their URLs from the environment)
	@$(BIN)/cadence-service migrate
	@$(BIN)/push-blaster migrate

##@ Work on it
install: .venv/installed ## Make .venv and install from requirements-dev.lock

.venv/installed: requirements-dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed, and $(PYTHON) is %d.%d. Name a newer one: make PYTHON=python3.11 …" % sys.version_info[:2])'
	@echo "Installing into .venv (a minute on a new machine) …"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/pip install -qq --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@$(BIN)/pip install -qq --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

quick: install ## Run the tests that need one PostgreSQL and nothing else, of every layer
	@$(BIN)/pytest -q -n $(J) -m "not (processes or programs or nginx or systemd or slow)" $(T)

test: install ## Run every test on an embedded PostgreSQL
	@$(BIN)/pytest -q -n $(J) $(T)

again: install ## Run the tests that failed last again, one after the other, if they are three at most
	@failed=$$(grep -c :: .pytest_cache/v/cache/lastfailed 2>/dev/null); \
	  test "$${failed:-0}" -ge 1 -a "$${failed:-0}" -le 3 || { echo "Not run again: $${failed:-0} failed."; exit 1; }
	@echo "These failed beside others, and run again alone:"; grep :: .pytest_cache/v/cache/lastfailed
	@$(BIN)/pytest -q -n 0 --last-failed $(T)

check: install ## Everything that must hold before a commit
	@$(MAKE) --no-print-directory -j2 --output-sync=target lint types layers compiled
	@$(MAKE) --no-print-directory test

# In a clean clone each worker would compile all tests for itself. What cannot be imported is said by the tests.
compiled: install
	@$(BIN)/pytest -q --collect-only -n 0 $(T) >/dev/null || true

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

coverage: install ## Run every test, and list the modules of which less than 90 % ran
	@$(BIN)/pytest -q -n $(J) --cov --cov-report= $(T); failed=$$?; \
	  $(BIN)/coverage report | awk 'NR < 3 || /^TOTAL/ || $$NF + 0 < 90'; exit $$failed

lock: install ## Write both lock files anew from pyproject.toml
	@$(LOCK) --output-file requirements.lock pyproject.toml
	@$(LOCK) --extra dev --constraint requirements.lock \
	  --output-file requirements-dev.lock pyproject.toml

LOCK := $(BIN)/pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras --extra build \
  --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-header

screenshots: install ## Draw every page, light, dark and on a phone: the example, empty, and on a bad day
	@$(BIN)/python -m tests.browser.screenshots

##@ Test it for longer, and measure it
fuzz: install ## Send CASES= generated requests to all routes; answers must fit the OpenAPI document
	@FUZZ_CASES=$(CASES) $(BIN)/pytest -q -n $(J) tests/fuzz

stories: install ## Compare cadence with a model in STORIES= stories, mix all it does for SECONDS=, and live through three years
	@PUSH_STORIES=$(STORIES) PUSH_MIX_SECONDS=$(SECONDS) CLOCK_AUTOMATIONS=167 $(BIN)/pytest -q -n0 \
	  tests/cadence_service/test_model.py tests/cadence_service/test_everything_at_once.py tests/push_blaster/clock

audit: install ## Look up known vulnerabilities of the pinned dependencies, and run ruff's security rules
	@$(BIN)/ruff check --quiet --select S . && echo "ruff S: nothing found."
	@$(BIN)/python -m tests.audit

torture: install ## Kill processes KILLS= times at random; nothing may be lost or doubled (SEED=)
	@$(BIN)/python -m tests.torture --kills $(KILLS) --seed $(SEED)

day: install $(NGINX) ## Live through a day in MINUTES=, with a fault a minute; each alert needs a reason
	@$(BIN)/python -m tests.day --minutes $(MINUTES) --plot docs/images/day-memory.svg

operate: install $(NGINX) ## Live through an operator's night: back up, upgrade, rotate, restore, while it sends
	@$(BIN)/python -m tests.operate

statistics: bench-statistics ## Simulate RUNS= experiments of each kind; at most 5 % may go wrong

bench: install ## List what can be measured; make bench-cadence measures one thing
	@$(BIN)/python -m tests.bench

bench-%: install
	@$(BIN)/python -m tests.bench $* $(filter-out PYTHON=%,$(MAKEOVERRIDES))

bench-all: install $(NGINX)
	@for name in cadence send rows engine pages stops; do $(BIN)/python -m tests.bench $$name || exit 1; done

bench-send bench-journal bench-rows bench-scaling: $(NGINX)
bench-events: $(NGINX)
bench-load bench-events: $(WRK)
scaling load: %: bench-% # the names that they had before

$(NGINX):
	@apt-get install -qq -y nginx-light libnginx-mod-http-echo >/dev/null

$(WRK):
	@apt-get install -qq -y wrk >/dev/null

help:
	@awk 'BEGIN {FS = ":.*## "} \
	  /^##@/ {printf "\n%s\n", substr($$0, 5)} \
	  /^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
