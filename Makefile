# Needs python3 (3.11 or newer) and make; everything else is installed into $(VENV) on first use.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

RUN := $(VENV)/stamp-run
DEV := $(VENV)/stamp-dev
EVIDENCE := $(VENV)/stamp-evidence

# An environment of its own for the oldest versions that pyproject.toml allows.
FLOORS ?= build/floors
OLDEST := $(FLOORS)/stamp
# What the libraries do for us: numbers, tables, files, processes, compiled code, figures, the command line.
FLOOR_TESTS := $(foreach name,packaging api activations_invariants gaussian point_solver store where summary figures page dask \
  config_errors cli_help cli_show cli_sink cli_phase cli_contract,$(wildcard tests/test_$(name).py tests/*/test_$(name).py))
# One of its own for the driver of the browser, which is Debian's: apt-get install chromium.
BROWSER ?= build/browser
# One of its own for the libraries that the code of recommendations is for.
FRAMEWORKS ?= build/frameworks
FRAMEWORK_TESTS := tests/recommendation/test_emitted_code.py tests/recommendation/test_branch_scale.py \
  tests/initialisers/test_arguments.py tests/studies/test_presets.py tests/checkpoints/test_orbax_folders.py
# Libraries whose layers `make presets` draws again.
LIBRARIES ?= torch flax.linen flax.nnx haiku equinox keras sklearn
OLDEST_OF := $(FLOORS)/bin/uv pip install --quiet --python $(FLOORS) --resolution lowest-direct

.PHONY: demo test test-floors test-frameworks test-browser test-thorough test-slow evidence training never-trained presets gallery gains isometry streams adaptive mutants coverage lint types format bench docs clean

demo: $(RUN)  ## the main job: sweep the edge of chaos and show the summary
	mkdir -p build
	$(BIN)/mfmi sweep configs/edge_of_chaos.yaml -o build/demo.parquet --force

test: $(DEV)  ## the fast tests
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

test-floors: $(OLDEST)  ## tests of what the libraries do for us, at the oldest versions that pyproject.toml allows
	$(FLOORS)/bin/python -m pytest -n 2 --dist loadfile -W ignore::DeprecationWarning $(FLOOR_TESTS)
	$(FLOORS)/bin/python -m pytest -m slow -W ignore::DeprecationWarning tests/studies/test_evidence.py

test-frameworks: $(FRAMEWORKS)/stamp  ## recommended code, and files into an audit: PyTorch, JAX, Flax, Equinox, Haiku, Keras
	KERAS_BACKEND=torch $(FRAMEWORKS)/bin/python -m pytest -m slow -W ignore::DeprecationWarning $(FRAMEWORK_TESTS)

test-thorough: $(DEV)  ## the tests that take seconds each, which the fast suite leaves out
	$(BIN)/python -m pytest -m "thorough and not slow" -n 2 --dist loadfile --no-loadscope-reorder

test-browser: $(BROWSER)/stamp  ## pages of mfmi plot in a real browser, which must be installed: chromium
	$(BROWSER)/bin/python -m pytest -m browser -W ignore::DeprecationWarning tests/report/test_page_in_browser.py

test-slow: $(DEV)  ## the tests that take minutes
	$(BIN)/python -m pytest -m slow

coverage: $(DEV)  ## which lines of the numerical modules the fast and thorough tests run; fails under 95 %
	$(BIN)/python tests/coverage_report.py

lint: $(DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

types: $(DEV)  ## the types again, as pyright sees them, and whether those of the public names are complete; needs node
	$(BIN)/pyright --pythonpath $(BIN)/python
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/pyright --ignoreexternal --verifytypes mfmi

format: $(DEV)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

evidence: $(EVIDENCE)  ## train networks, rank them by what the theory says: docs/evidence.md
	$(BIN)/python -m studies.evidence --docs docs

training: $(EVIDENCE)  ## audit networks while they learn, beside exact and measured values: docs/training.md
	$(BIN)/python -m studies.training --docs docs

never-trained: $(EVIDENCE)  ## how often the finding "never trained" is false or missing: the tables of docs/audit.md
	$(BIN)/python -m studies.never_trained docs/audit.md

presets: $(FRAMEWORKS)/stamp  ## draw the layers of LIBRARIES="torch keras" again, save them with the library's own saver, audit the files
	$(FRAMEWORKS)/bin/python -m studies.presets $(LIBRARIES)

gallery: $(RUN)  ## the six figures of docs/gallery.md
	mkdir -p build/gallery docs/figures
	set -e; for name in phases bound depth sandwich activations noise; do \
	  $(BIN)/mfmi -q sweep configs/gallery_$$name.yaml -o build/gallery/$$name.parquet --force > build/gallery/$$name.txt; \
	done
	$(BIN)/mfmi plot build/gallery/phases.parquet --quantity xi_c -o docs/figures/gallery_phases.png --force
	$(BIN)/mfmi plot build/gallery/bound.parquet -o docs/figures/gallery_bound.png --force
	$(BIN)/mfmi plot build/gallery/depth.parquet -o docs/figures/gallery_depth.png --force
	$(BIN)/mfmi plot build/gallery/sandwich.parquet -o docs/figures/gallery_sandwich.png --force
	$(BIN)/mfmi plot build/gallery/activations.parquet --kind ranking -o docs/figures/gallery_activations.png --force
	$(BIN)/mfmi plot build/gallery/noise.parquet -o docs/figures/gallery_noise.png --force

gains: $(RUN)  ## the table of docs/howto/which_gain.md
	$(BIN)/python -m studies.gains docs/howto/which_gain.md

isometry: $(RUN)  ## the figure of docs/isometry.md: is information largest at isometry?
	mkdir -p build docs/figures
	$(BIN)/mfmi -q sweep configs/isometry.yaml --force
	$(BIN)/python -m studies.isometry_figure build/isometry.parquet docs/figures/isometry.png

streams: $(RUN)  ## the figures of docs/howto/skips_and_norms.md: branch scale and number format
	mkdir -p docs/figures
	$(BIN)/python -m studies.streams docs/figures

adaptive: $(RUN)  ## the figure of docs/howto/adaptive.md: errors of grids and of adaptive sweeps
	mkdir -p docs/figures
	$(BIN)/python -m studies.adaptive docs/figures/adaptive.png

mutants: $(DEV)  ## small faults in the numerical modules, one at a time: which do the tests miss?
	$(BIN)/python tests/mutants/run.py

bench: $(DEV)  ## timings on this machine
	set -e; for script in tests/benchmarks/*.py; do echo "== $$script"; $(BIN)/python "$$script"; done

docs: $(RUN)  ## what of docs/ is made: the references of commands, columns, configs and Python
	set -e; for name in commands columns config; do $(BIN)/python -m mfmi.cli.reference $$name > docs/$$name.md; done
	$(BIN)/python tests/python_reference.py > docs/python.md

clean:  ## remove all that make has made
	rm -rf $(VENV) build dist .pytest_cache .hypothesis .mypy_cache .ruff_cache .coverage htmlcov
	find mfmi tests -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

# The stamps carry the dependency on pyproject.toml; the package itself is installed in place, so its edits need no reinstall.
$(RUN): pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[plot]'
	touch $@

$(DEV): pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[plot,web,dask,dev]'
	touch $@ $(RUN)

$(EVIDENCE): pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[plot,evidence]'
	touch $@ $(RUN)

$(FRAMEWORKS)/stamp: pyproject.toml
	$(PYTHON) -m venv $(FRAMEWORKS)
	$(FRAMEWORKS)/bin/python -m pip install --quiet --disable-pip-version-check pytest hypothesis \
	  torch==2.13.0 flax equinox dm-haiku keras scikit-learn --editable '.[checkpoints]'
	touch $@

$(BROWSER)/stamp: pyproject.toml
	$(PYTHON) -m venv $(BROWSER)
	$(BROWSER)/bin/python -m pip install --quiet --disable-pip-version-check pytest 'playwright>=1.40' --editable '.[web]'
	touch $@

# uv takes the floors from pyproject.toml itself; the build runs at its own floor because it is not isolated.
$(OLDEST): pyproject.toml
	rm -rf $(FLOORS)
	$(PYTHON) -m venv $(FLOORS)
	$(FLOORS)/bin/python -m pip install --quiet --disable-pip-version-check uv
	$(OLDEST_OF) --all-extras --requirements pyproject.toml
	$(PYTHON) -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"])' \
	  | xargs $(OLDEST_OF)
	$(FLOORS)/bin/uv pip install --quiet --python $(FLOORS) editables
	$(FLOORS)/bin/uv pip install --quiet --python $(FLOORS) --no-deps --no-build-isolation --editable .
	touch $@
