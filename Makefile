# Two commands do everything on a fresh machine: `make lab` and `make test`. While you work: `make quick`.

# The newest supported Python of the machine; override with: make PYTHON=/path/to/python3.12 lab
PYTHON ?= $(firstword $(foreach name,python3.13 python3.12 python3.11 python3 python,$(if $(shell $(name) -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo yes),$(name))))
VENV := .venv
BIN := $(VENV)/bin
NOTEBOOK ?= notebooks/01_log_in.ipynb
# JupyterLab refuses to run as root (in a container, say) unless told to; it listens on loopback in any case.
ROOT_FLAG := $(if $(filter 0,$(shell id -u)),--allow-root)

PYTEST := $(BIN)/python -m pytest
# Tests that share nothing run side by side, as many as there are cores; those that drive a browser one after the other.
# Handed out in long runs: one by one, each would wait for its turn.
WORKERS ?= auto
PARALLEL := -n $(WORKERS) --dist worksteal
# Left out whole: to import Dask or a browser takes a second of each worker, for a handful of quick tests.
NOT_QUICK := $(addprefix --ignore=tests/,browser front_ends lite usage/test_dask.py usage/test_dask_joining.py)
QUICK := $(PYTEST) -q -p no:xdist --hypothesis-profile=brief \
	-m "not browser and not notebook and not network and not more and not slow" $(NOT_QUICK)
# Two of three parts that take about as long each; the third is all other folders, new ones among them.
QUICK_1 := $(addprefix tests/,usage wire)
QUICK_2 := $(addprefix tests/,notebook promises views)
SEEDS ?= 20
# The page is built in an environment of its own.
LITE := build/venv-lite
LITE_PORT ?= 8000
# How long the tests took when they last ran whole stands in `make bench`, too.
BEGIN = @mkdir -p build && date +%s > build/.began-
END = @printf '{"seconds": %d}\n' $$(($$(date +%s) - $$(cat build/.began-$@))) > build/make-$@.json

.PHONY: lab demo quick test test-more seeds check notebooks bench browser badge picture lite lite-serve help clean time-of-test time-of-more

help:  ## show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/'

lab: $(VENV)/.lab  ## open JupyterLab on the first notebook
	$(BIN)/jupyter lab $(ROOT_FLAG) --LabApp.default_url=/lab/tree/$(NOTEBOOK)

demo: $(VENV)/.lab  ## run the first notebook without a screen, and print what it did
	@$(BIN)/python -m nbconvert --to markdown --execute --stdout --log-level=ERROR \
		--NbConvertBase.display_data_priority=text/plain $(NOTEBOOK)

quick: $(VENV)/.test  ## run the linters and every test that needs no browser, notebook or network and is not slow (a minute on two cores)
	$(BEGIN)$@
	$(BIN)/python tests/helpers/side_by_side.py '$(MAKE) --no-print-directory check' '$(QUICK) $(QUICK_1)' '$(QUICK) $(QUICK_2)' \
		'$(QUICK) $(addprefix --ignore=,$(QUICK_1) $(QUICK_2))'
	$(END)

test: time-of-test check browser  ## run what CI runs on every change: linters, tests, browsers, notebooks
	$(PYTEST) $(PARALLEL) -m "not browser and not more" --durations=20 --cov --cov-report=
	$(PYTEST) -m "browser and not more" --durations=20 --cov --cov-append --cov-report=term --cov-report=html:build/coverage
	$(MAKE) --no-print-directory notebooks
	$(END)

test-more: time-of-more $(VENV)/.test browser  ## run what is slow and rarely touched: Firefox, other front ends, lowest pins, the page
	$(PYTEST) -m more --durations=20
	$(END)

seeds: $(VENV)/.test  ## run the tests on random data with SEEDS other seeds
	for seed in $$(seq $(SEEDS)); do \
		$(PYTEST) -q $(PARALLEL) -m "hypothesis and not more" --hypothesis-profile=explore --hypothesis-seed=$$seed || exit 1; \
	done

time-of-test:
	$(BEGIN)test
	@echo "make test takes about 16 minutes on two cores; make quick one."

time-of-more:
	$(BEGIN)test-more
	@echo "make test-more takes about 17 minutes on two cores."

check: $(VENV)/.test
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

notebooks: $(VENV)/.test
	PYTHON_KEYRING_BACKEND=keyring.backends.null.Keyring XDG_CONFIG_HOME=$(CURDIR)/build/config PYTHONPATH=tests/helpers $(PYTEST) -p nbval -p over_ipc --nbval --nbval-current-env --nbval-sanitize-with tests/nbval.cfg \
		--nbval-cell-timeout 120 -n $(WORKERS) --dist loadfile $(shell $(PYTHON) tests/helpers/walkthroughs.py)

browser: $(VENV)/.test
	$(BIN)/python tests/browser/browsers.py --install
	$(BIN)/python tests/helpers/keychains.py --install

bench: $(VENV)/.bench  ## measure ours beside the alternatives
	$(BIN)/python benchmarks/run.py

lite: $(LITE)/.made  ## build the page: the notebooks in a browser, without a machine (build/lite)
	$(LITE)/bin/python lite/build.py $(shell $(PYTHON) tests/helpers/walkthroughs.py)

lite-serve: lite  ## build the page, and open it
	@echo "The page is at http://127.0.0.1:$(LITE_PORT)/ until you press Ctrl-C."
	@$(LITE)/bin/python -m webbrowser -t http://127.0.0.1:$(LITE_PORT)/ >/dev/null & \
		exec $(LITE)/bin/python -m http.server --bind 127.0.0.1 --directory build/lite $(LITE_PORT)

badge: $(VENV)/.lab  ## put the Binder badge into the README (see [tool.m3ter_nb] in pyproject.toml)
	$(BIN)/python docs/badge.py

picture:  ## draw who may import whom, docs/wings.svg, from the contracts in pyproject.toml
	$(PYTHON) docs/wings.py

clean:  ## remove what the other commands made
	rm -rf $(VENV) build dist .coverage .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "m3ter_nb needs Python 3.11 or newer, and found none. Install one, or: make PYTHON=/path/to/python3 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "No virtual environment could be made; on Debian and Ubuntu: apt install python3-venv"; exit 1; }

# A stamp for each set of packages, so that the second run starts at once.
$(VENV)/.lab: pyproject.toml | $(VENV)/bin/python
	@echo "Installing m3ter_nb and JupyterLab into $(VENV) (a minute or so, once)."
	@$(BIN)/python -m pip install --quiet --upgrade pip
	@$(BIN)/python -m pip install --progress-bar on --editable '.[lab]'
	@touch $@

$(VENV)/.test: pyproject.toml | $(VENV)/bin/python
	@echo "Installing m3ter_nb and what its tests need into $(VENV) (a few minutes, once)."
	@$(BIN)/python -m pip install --quiet --upgrade pip
	@$(BIN)/python -m pip install --quiet --editable '.[test]'
	@touch $@ $(VENV)/.lab

$(LITE)/.made: lite/requirements.txt
	@echo "Installing what builds the page into $(LITE) (a minute or so, once)."
	@$(PYTHON) -m venv $(LITE)
	@$(LITE)/bin/python -m pip install --quiet --requirement lite/requirements.txt
	@touch $@

$(VENV)/.bench: pyproject.toml | $(VENV)/bin/python
	@echo "Installing m3ter_nb and what the benchmark needs into $(VENV) (a minute or so, once)."
	@$(BIN)/python -m pip install --quiet --upgrade pip
	@$(BIN)/python -m pip install --quiet --editable '.[bench]'
	@touch $@ $(VENV)/.lab
