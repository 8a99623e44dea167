# Two commands do everything on a fresh machine: make results, make test.
SHELL := /bin/bash
# The first of these that will do. Each is run to find out: a name may stand for nothing, as pyenv's do.
NAMES := python3.11 python3.12 python3.13 python3 python
WILL_DO := -c 'import sys; sys.exit(sys.implementation.name != "cpython" or not (3, 11) <= sys.version_info < (3, 14))'
PYTHON ?= $(shell for p in $(NAMES); do $$p $(WILL_DO) 2>/dev/null && echo $$p && break; done)
WRONG = $(if $(PYTHON),PYTHON=$(PYTHON) is not a,The path has no) CPython 3.11, 3.12 or 3.13
VENV := .venv
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
READY := $(VENV)/.ready
# pip, DVC and Snakemake keep files in the home: where it is missing or somebody else's, in .golf.
export HOME := $(shell [ -w ~ ] && echo ~ || echo "$(CURDIR)/.golf/home")

.PHONY: default results demo fashion test lint test-slurm fuzz disturb bench sanitize enter leaderboard check-leaderboard site \
  serve measure-site dashboard pull clean lock

# Plain `make` makes the results, or the demo if the data set cannot be had. It calls AGAIN and not $(MAKE), because
# a line with $(MAKE) in it would run, and fetch the data set, even under `make -n`.
AGAIN := $(MAKE) --no-print-directory
default: $(READY)
	@if golf data --check; then $(AGAIN) results; \
	else echo; echo "*** The real results need the data set above. Running the demo instead: make demo ***"; echo; \
	$(AGAIN) demo; fi

results: $(READY)
	snakemake
	@cat results/ladder.md

demo: $(READY)
	golf demo

# Fashion-MNIST through the same pipeline, in results/fashion. The project's site shows samples of it too.
fashion: $(READY)
	golf fashion
	cp results/fashion/results/site/pictures/samples.png docs/samples/fashion-mnist.png

test: lint
	pytest

# What only a cluster needs, from a lock of its own, and then the demo and one real stage through a Slurm of two nodes, which
# is started on this machine (Debian, as root) and stopped again. SLURM="--no-real" leaves the real stage out.
CLUSTER := $(VENV)/.cluster
$(CLUSTER): $(READY) tests/cluster/cluster.lock
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r tests/cluster/cluster.lock
	@touch $@

test-slurm: $(CLUSTER)
	python tests/cluster/run.py $(SLURM)

# A longer search for faults of the referee than the one in the tests: FUZZ="--bulk 1000000 --whole 20000 --seed 2".
fuzz: $(READY)
	python tests/fuzz.py $(FUZZ)

# Kills, fills the disk, spoils files and starts second runs at random moments of N runs of the demo's pipeline.
N ?= 5
disturb: $(READY)
	python tests/disturb.py --runs $(N) --write

lint: $(READY)
	ruff check .
	ruff format --check .
	mypy

# Measures on this machine, and writes results/bench.json, the table in docs/engine.md and the line in README.md.
bench: $(READY)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r bench.lock
	golf bench

# The engine's tests under AddressSanitizer and UndefinedBehaviorSanitizer.
sanitize: $(READY)
	tests/sanitize.sh

# The workspaces that there are: results/demo, results/fashion or any other that params.yaml describes.
WORKSPACES = $(patsubst %/dvc.yaml,%,$(wildcard results/*/dvc.yaml))

# Folders that may have the published test files. A folder that does not exist does no harm.
TEST_FILES = --data data $(WORKSPACES:%=--data %/data) --data ../shared

# Enters our own networks: those of `make results` and those of every workspace that has run.
enter: $(READY)
	golf enter . $(patsubst %/results/plots/verify.csv,%,$(wildcard results/*/results/plots/verify.csv)) $(TEST_FILES)
	golf leaderboard $(TEST_FILES)

leaderboard: $(READY)
	golf leaderboard $(TEST_FILES)

# Verifies every entry and writes nothing: what CI runs.
check-leaderboard: $(READY)
	golf leaderboard --check $(TEST_FILES)

# The web site alone, from the committed results: for a host. With ADDRESS=https://HOST/PATH the pictures that links show
# have whole addresses, since those who fetch them take no others.
site: $(READY)
	golf data
	golf site
	@[ -z "$(ADDRESS)" ] || { find results/site -name '*.html' -exec \
	  sed -i.bak -E 's#(og:image" content=")(\.\./)*#\1$(ADDRESS:/=)/#' {} + && find results/site -name '*.bak' -delete; }

# Measures how heavy the pages of the site are, and writes the table in docs/site.md.
measure-site: $(READY)
	python tests/measure_site.py

# Shows the site at http://localhost:8000, for browsers that read no scripts from a file system.
serve: $(READY)
	python -m http.server --bind 127.0.0.1 --directory results/site 8000

# Shows the newest Optuna study at http://localhost:8080, also while it runs; or STUDY=postgresql+psycopg://…, as tune.storage
# names it. A study of pieces is never read back from its journal, so what the dashboard writes there changes nothing.
STUDY = $(abspath $(firstword $(shell ls -t .golf/tune/*/journal.log .golf/tune/*/shared.log 2>/dev/null)))
dashboard: $(READY)
	@[ -n "$(STUDY)" ] || { echo "No study has run in this folder: \`golf tune\` runs it."; exit 1; }
	optuna-dashboard "$(STUDY)"

# Every model from DVC's remote: a clone of a team has all results without training (docs/scaling.md).
pull: $(READY)
	dvc pull

# Exact versions with hashes; the build step sees the same setuptools and pybind11. An environment whose
# making was killed, or of another Python, is made again.
$(READY): requirements.lock tests/files.lock pyproject.toml $(wildcard setup.py src/neural_golf/engine/core/*)
	$(if $(shell "$(PYTHON)" $(WILL_DO) 2>/dev/null && echo yes),,$(error $(WRONG); say where one is: make PYTHON=/path/to/python3.12))
	@{ $(VENV)/bin/python $(WILL_DO) && $(VENV)/bin/python -m pip --version; } >/dev/null 2>&1 || \
	  { rm -rf $(VENV); "$(PYTHON)" -m venv $(VENV); }
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r tests/files.lock
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

# Removes unfinished work, the environment and the workspaces, but no result.
clean:
	rm -rf $(VENV) .golf .snakemake build $(WORKSPACES)

COMPILE = uv pip compile --universal --python-version 3.11 --generate-hashes --no-annotate \
  --custom-compile-command "make lock"
lock:
	$(COMPILE) pyproject.toml --extra train --extra torch --extra dev -o requirements.lock
	$(COMPILE) pyproject.toml --extra bench -c requirements.lock -o bench.lock
	$(COMPILE) --group files --no-deps -o tests/files.lock
	$(COMPILE) pyproject.toml --extra cluster --extra watch --no-deps -c requirements.lock -o tests/cluster/cluster.lock
