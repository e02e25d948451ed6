# The only commands of this project; CI calls them and nothing else. `make help` lists them.
PYTHON  ?= python3
VENV    := .venv
BIN     := $(VENV)/bin
SOURCES := $(shell find cleaner -name '*.py' -o -name '*.pyi') pyproject.toml README.md LICENSE
CODE    := cleaner tests tools benchmarks
# Test durations, for the report of `make test`.
TIMING  := build/timing
# Unit tests use all cores; idle workers take tests from busy ones.
SPREAD  := -n logical --dist worksteal
# The folders, files or tests that `make quick` and `make e2e` run; if empty, all.
T       :=
# pytest with workers does not name a path that it cannot find, so only existing folders get workers.
FOLDERS  = $(patsubst %/.,%,$(wildcard $(addsuffix /.,$(T))))
PROTOS  := $(wildcard cleaner/runtime/pb/*.proto)

.DEFAULT_GOAL := help
.PHONY: help demo test quick check unit e2e reap lint format types protos protos-check wheel lock bench bench-gentle bench-full-ledger bench-churn bench-large-image bench-crossings package-graph renames-check dashboards board-schema alerts metrics recordings pictures board-pictures clean

ifneq ($(T),)
ifneq ($(filter-out quick e2e,$(or $(MAKECMDGOALS),help)),)
$(error T=$(T) is for `make quick` and `make e2e`; the other targets take no choice of tests)
endif
endif

help: ## list the targets
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 20

# This file is written last, so an environment whose creation was interrupted is created again.
$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("$(PYTHON) is Python %d.%d; 3.11 or later is needed: make PYTHON=python3.11" % sys.version_info[:2])'
	@$(PYTHON) -m venv --clear $(VENV)
	@touch $@

$(VENV)/.dependencies: requirements/dev.txt | $(VENV)/.made
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@touch $@

# The built wheel is what is tested: installed again whenever a source changed.
$(VENV)/.wheel: $(VENV)/.dependencies $(SOURCES)
	@rm -rf dist
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation --wheel-dir dist .
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --force-reinstall dist/*.whl
	@touch $@

wheel: $(VENV)/.wheel ## build the wheel into dist/ and install it into .venv

demo: $(VENV)/.wheel ## the real daemon against a private containerd on its own disk (root), else simulated
	@PYTHONPATH=tools $(BIN)/python -m demo

test: ## run all that CI runs, about 30 minutes; report minutes per step and e2e file, and the ten slowest tests
	@PYTHONPATH=tools $(PYTHON) -m timing wheel lint types protos-check unit e2e

quick: $(VENV)/.dependencies ## unit tests on the work tree in about a minute, with few examples and no coverage; T=tests/unit/core runs some
	@test -x $(BIN)/cleaner || $(MAKE) --no-print-directory wheel T= # once, for its version; PYTHONPATH selects the work tree
	@PYTHONPATH=. $(BIN)/pytest -q $(if $(filter-out $(FOLDERS),$(T)),,$(SPREAD)) --hypothesis-profile=quick $(or $(T),tests/unit)

check: lint types unit ## all that needs no root: some minutes

unit: $(VENV)/.wheel ## unit tests of the wheel, with branch coverage; 100 % of the core
	$(BIN)/coverage erase
	$(BIN)/pytest $(SPREAD) --cov --cov-report= --timing=$(TIMING)/unit.tsv tests/unit
	$(BIN)/coverage report --fail-under=90
	$(BIN)/coverage report --include='*/cleaner/core/*' --fail-under=100

e2e: $(VENV)/.wheel ## end to end, on private containerds (root, Debian); skipped elsewhere, a failure in CI; T=tests/e2e/test_lab.py runs some
	$(BIN)/pytest --timing=$(TIMING)/e2e.tsv $(or $(T),tests/e2e)

reap: $(VENV)/.dependencies ## remove what a killed end-to-end run left (root); the next run does so too
	@PYTHONPATH=tools $(BIN)/python -m lab reap

lint: $(VENV)/.dependencies ## ruff: format and lint
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/ruff check $(CODE)

format: $(VENV)/.dependencies ## let ruff write the format
	$(BIN)/ruff format $(CODE)
	$(BIN)/ruff check --fix $(CODE)

types: $(VENV)/.wheel ## mypy, strict
	$(BIN)/mypy $(CODE)

protos: $(VENV)/.dependencies ## generate the gRPC stubs from the .proto files
	$(BIN)/python -m grpc_tools.protoc -I . --python_out=. --pyi_out=. --grpc_python_out=. $(PROTOS)
	$(BIN)/python -m grpc_tools.protoc -I tools --python_out=tools --pyi_out=tools $(wildcard tools/lab/pb/*.proto)

protos-check: protos ## fail where the committed stubs are not what the generator gives
	@git diff --exit-code --stat -- cleaner/runtime/pb tools/lab/pb || { echo 'stubs are stale: commit what make protos wrote'; exit 1; }

lock: ## resolve pyproject.toml into requirements/, with hashes
	@$(PYTHON) -m venv build/lock && build/lock/bin/python -m pip install --quiet uv
	build/lock/bin/uv pip compile --quiet --upgrade pyproject.toml --universal --python-version 3.11 \
	  --generate-hashes --no-emit-index-url --no-strip-extras --custom-compile-command 'make lock' -o requirements/run.txt
	build/lock/bin/uv pip compile --quiet --upgrade pyproject.toml --group dev --universal --python-version 3.11 \
	  --generate-hashes --no-emit-index-url --no-strip-extras --custom-compile-command 'make lock' -o requirements/dev.txt

bench: $(VENV)/.wheel ## figures on 1,000 images of a real containerd (root), of a year of memory, and estimated beside measured bytes
	@PYTHONPATH=tools $(BIN)/python -m benchmarks.light
	@PYTHONPATH=tools $(BIN)/python -m benchmarks.ledger
	@$(BIN)/pytest -q -rP -p no:cacheprovider tests/e2e/test_estimates.py -k removals

bench-gentle: $(VENV)/.wheel ## how long pods take to start during a nightly sweep, and without (root)
	@PYTHONPATH=tools $(BIN)/python -m benchmarks.gentle

bench-full-ledger: $(VENV)/.wheel ## prune a million rows on a disk with 0, 1 and 20 MB free, in batches and at once (root)
	@PYTHONPATH=tools:tests $(BIN)/python -m benchmarks.full_ledger

bench-churn: $(VENV)/.wheel ## how full the disk gets while images are pulled without end, at rising rates (root)
	@PYTHONPATH=tools:tests $(BIN)/python -m benchmarks.churn

bench-large-image: $(VENV)/.wheel ## pull an image larger than the free space, with and without counting pulls in progress (root)
	@PYTHONPATH=tools:tests $(BIN)/python -m benchmarks.large_image

bench-crossings: $(VENV)/.wheel ## how long after a crossing of the high watermark the first byte is freed (root)
	@PYTHONPATH=tools:tests $(BIN)/python -m benchmarks.crossings

dashboards: $(VENV)/.dependencies ## write the boards of dashboards/ from tools/dashboards/
	@PYTHONPATH=tools $(BIN)/python -m dashboards

board-schema: $(VENV)/.dependencies ## write the schema that the boards must satisfy, from @grafana/schema (npm, Node 20)
	@PYTHONPATH=tools $(BIN)/python -m board_schema

alerts: $(VENV)/.dependencies ## write the PrometheusRule from the groups in alerts/
	@PYTHONPATH=tools $(BIN)/python -m rules

package-graph: $(VENV)/.dependencies ## draw the imports between the packages of cleaner/ into docs/packages.md
	@PYTHONPATH=tools $(BIN)/python -m package_graph

renames-check: $(VENV)/.dependencies ## compare the golden files with those of OLD, an older revision, across docs/renames.md
	@PYTHONPATH=tools $(BIN)/python -m renames $(OLD)

metrics: $(VENV)/.wheel ## write docs/metrics.md from the registry of the daemon
	@PYTHONPATH=tools $(BIN)/python -m metrics_page

recordings: $(VENV)/.wheel ## record into tests/recordings what the containerds of the lab do (root)
	@PYTHONPATH=tools:tests $(BIN)/python -m support.recording

pictures: $(VENV)/.wheel ## draw the README's pictures from the program's output
	@PYTHONPATH=tools $(BIN)/python -m pictures

board-pictures: $(VENV)/.dependencies ## draw the boards with Grafana's components (needs npm and chromium; 500 MB in the cache)
	@PYTHONPATH=tools:tests $(BIN)/python -m pictures.boards

clean: ## remove what was built; the lab's cache of packages stays
	rm -rf $(VENV) dist build tools/board_schema/node_modules .coverage .mypy_cache .pytest_cache .ruff_cache .hypothesis
