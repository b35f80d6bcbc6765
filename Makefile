# Everything a developer types. Each target installs or builds what it needs, once.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup environments engine image check lint types unit test test-all soak up deploy status down demo lock clean

PY := .venv/bin/python
PYTEST := $(PY) -m pytest

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup:  ## the Python environment .venv
	@scripts/setup.sh

engine: setup
	@scripts/engine.sh

image: engine  ## the simulator's Docker image
	@scripts/build-image.sh

check: setup  ## style, types and unit tests; needs no services
	@$(MAKE) --no-print-directory -j2 --keep-going --output-sync=target lint types unit

lint:
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@.venv/bin/lint-imports --no-logo --cache-dir .ruff_cache/imports

types:
	@$(PY) -m mypy

unit:
	@$(PYTEST) -q -n auto tests/unit

# What only tests need: a worker machine's environment, and those in which CityLearn proves datasets.
environments: setup
	@scripts/setup.sh worker
	@scripts/setup.sh wheel
	@scripts/setup-citylearn.sh
	@scripts/apt.sh busybox-static iproute2 iptables chromium

test: check image environments  ## everything: check, then the tests with real Docker, Ray and a database
	@$(PYTEST) -m "not long" --ignore=tests/unit

test-all: check image environments  ## as test, with the long forms of some suites
	@$(PYTEST) --ignore=tests/unit

soak: environments engine  ## faults at random for SECONDS, chosen by SEED; ends with a table
	@$(PY) -m tests.faults.soak --seconds $(or $(SECONDS),600) --seed $(or $(SEED),1)

up: image  ## start Ray, the application and what they need here; again after a change: redeploy
	@$(PY) -m scripts.stack up

deploy: setup  ## redeploy the application; running jobs go on
	@$(PY) -m scripts.stack deploy

status: setup  ## what runs, and where
	@$(PY) -m scripts.stack status

down: setup  ## end what up and demo started
	@$(PY) -m scripts.stack down
	@scripts/engine.sh stop

demo: up  ## build a dataset from a sample site, run a simulation on it and show its result
	@$(PY) -m scripts.demo

lock:  ## pin the newest versions that pyproject.toml allows in requirements.lock, and the image's part of them
	@test -x .venv-lock/bin/uv || { python3 -m venv .venv-lock && .venv-lock/bin/pip install -q uv; }
	@.venv-lock/bin/uv pip compile -q pyproject.toml --all-extras --python-version 3.11 --generate-hashes --upgrade \
	    --no-header --no-annotate -o requirements.lock
	@.venv-lock/bin/uv pip compile -q pyproject.toml -c requirements.lock --python-version 3.11 --generate-hashes \
	    --python-platform x86_64-unknown-linux-gnu --no-header --no-annotate -o requirements-runtime.lock

clean:  ## remove what was built here: environments, caches, the run folder with its data
	@test ! -x $(PY) || $(MAKE) --no-print-directory down
	@rm -rf .run .venv .venv-* .mypy_cache .ruff_cache .pytest_cache .hypothesis
	@find . -name __pycache__ -prune -exec rm -rf {} +
