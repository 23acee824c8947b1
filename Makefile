# Chasqui's commands. Each prepares what it needs, once: python3 (3.11), pip and make are enough.
#
#   make demo   [ARGS="--people 50 --once"]          the exchange at work on an invented region
#   make test   [ARGS="tests/passage -k denied"]     the tests, on the embedded PostgreSQL …
#               [DATABASE_URL=postgresql+psycopg2://user@/postgres?host=/run/postgresql]   … or on another
#   make bench  [ARGS="--seconds 30"]                measured speed and size
#   make oracle [CASES=5000]                         random searches against a naive evaluator
#   make noninterference [CASES=20000]               random regions and requests: what is hidden changes no answer
#   make timing [ARGS=1000]                          how long what is hidden takes, beside what is absent
#   make rank-attack [PEOPLE=20000]                  what a dump names by how often something stands in the index
#   make examples [ARGS="--every 9"]                 HL7's official examples into a hub and out again, JSON and XML
#   make vectors [ARGS="labels"]                     decisions on consents: situations, answers and why
#   make mutation [ARGS="--part 1/8"]                takes each guard away: a test has to notice
#   make tamper                                      attacks on the audit log: an offline verifier has to notice
#   make plaintext-scan [NEEDLES=1000]               texts of patients, looked for wherever a hub and an adapter leave bytes
#   make crash [POINTS=200]                         kill hub and database at random: nothing is lost, no answer without an event
#   make torture [DAYS=7] [KILLS=1000]               adapters on weak lines, killed for a week: nothing is lost or doubled
#   make adapters-bench [ARGS="--visits 5000"]       how fast adapters bring records into a hub beside them
#   make fuzz   [ARGS="--max-examples 200"]          requests that nobody would write, against a hub
#   make lint                                        style, types, who may import whom
#   make lock                                        choose newer packages: rewrite requirements.lock
#   make dictionary                                  train the compression dictionary anew
#   make clean                                       remove .venv and caches; var/, with its data, stays

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PACKAGES := $(VENV)/.packages-installed
PROGRAM := $(VENV)/.program-installed
ARGS ?=
CASES ?= 5000

export PIP_ROOT_USER_ACTION := ignore
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_NO_INPUT := 1
export DATABASE_URL

PIP := $(PYTHON) -m pip --quiet --python $(BIN)/python install --no-warn-script-location

.PHONY: help demo test bench oracle noninterference timing rank-attack examples vectors mutation tamper plaintext-scan crash torture adapters-bench fuzz lint lock dictionary clean

help:
	@sed -n '1,/^$$/s/^# \{0,1\}//p' Makefile

demo: $(PROGRAM)
	@$(BIN)/exchange demo $(ARGS)

# pytest-xdist runs the tests in two processes; without it they run in one.
test: $(PROGRAM)
	@if $(BIN)/python -c 'import xdist' 2>/dev/null; then two="-n 2 --dist worksteal"; else two=''; fi; \
	$(BIN)/python -m pytest $$two $(ARGS)

bench: $(PROGRAM)
	@$(BIN)/python -m tests.benchmark $(ARGS)

oracle: $(PROGRAM)
	@$(BIN)/python -m tests.properties.oracle $(CASES)

noninterference: CASES = 20000
noninterference: $(PROGRAM)
	@$(BIN)/python -m tests.properties.noninterference $(CASES)

timing: $(PROGRAM)
	@$(BIN)/python -m tests.properties.timing $(ARGS)

rank-attack: PEOPLE = 200000
rank-attack: $(PROGRAM)
	@$(BIN)/python -m tests.properties.ranking $(PEOPLE) $(ARGS)

examples: $(PROGRAM)
	@$(BIN)/python -m tests.conformance.examples $(ARGS)

vectors: $(PROGRAM)
	@$(BIN)/python -m tests.vectors.run $(ARGS)

mutation: $(PROGRAM)
	@$(BIN)/python -m tests.mutation.run $(ARGS)

tamper: $(PROGRAM)
	@$(BIN)/python -m tests.tamper.run

plaintext-scan: NEEDLES = 1000
plaintext-scan: $(PROGRAM)
	@$(BIN)/python -m tests.plaintext $(NEEDLES) $(ARGS)

crash: POINTS = 200
crash: $(PROGRAM)
	@$(BIN)/python -m tests.crash $(POINTS) $(ARGS)

torture: DAYS = 7
torture: KILLS = 1000
torture: $(PROGRAM)
	@$(BIN)/python -m tests.torture --days $(DAYS) --kills $(KILLS) $(ARGS)

adapters-bench: $(PROGRAM)
	@$(BIN)/python -m tests.benchmark.adapters $(ARGS)

fuzz: $(PROGRAM)
	@$(BIN)/python -m tests.conformance.fuzz $(ARGS)

lint: $(PROGRAM)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

lock: $(PROGRAM)
	@echo 'Choosing package versions; this takes a minute.'
	@made="$$(mktemp -d)"; trap 'rm -rf "$$made"' EXIT; set -e; \
	$(PYTHON) -m venv --without-pip "$$made"; \
	$(PYTHON) -m pip --quiet --python "$$made/bin/python" install --no-warn-script-location pip 'pip-tools>=7.5'; \
	"$$made/bin/pip-compile" --quiet --upgrade --generate-hashes --extra development --strip-extras --allow-unsafe \
	  --no-header --no-emit-index-url --no-emit-find-links --no-emit-trusted-host \
	  --output-file requirements.lock pyproject.toml
	@echo 'requirements.lock is written: read the difference before you commit it.'

dictionary: $(PROGRAM)
	@$(BIN)/python -m exchange.demo.dictionary

clean:
	@rm -rf $(VENV) .mypy_cache .ruff_cache .import_linter_cache .hypothesis build dist
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The locked packages, installed once and again when the lock changes.
$(PACKAGES): requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null \
	  || { echo 'Chasqui needs Python 3.11 as python3 (or name it: make PYTHON=/path/to/python3.11 ...).' >&2; exit 1; }
	@$(PYTHON) -m pip --version >/dev/null 2>&1 \
	  || { echo 'Chasqui needs pip for $(PYTHON): on Debian, apt-get install python3-pip.' >&2; exit 1; }
	@mkdir -p $(VENV) 2>/dev/null && test -w $(VENV) \
	  || { echo 'The folder $(CURDIR) cannot be written: copy the repository to a folder of your own.' >&2; exit 1; }
	@$(BIN)/python -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null \
	  || $(PYTHON) -m venv --clear --without-pip $(VENV)
	@echo 'Installing the locked packages into $(VENV): once, about a minute.'
	@$(PIP) --require-hashes --requirement requirements.lock \
	  || { echo 'The packages were not installed: see the message above; pip must reach a package index.' >&2; exit 1; }
	@touch $@

# The program itself, where it stands; its commands are named in pyproject.toml.
$(PROGRAM): $(PACKAGES) pyproject.toml
	@$(PIP) --no-build-isolation --no-deps --editable . \
	  || { echo 'Chasqui itself was not installed: see the message above.' >&2; exit 1; }
	@touch $@
