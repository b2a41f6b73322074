# make demo | test | check | sanitize | bench. Each first sets up its own virtual environment, .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
DATA := $(abspath ../shared/data)
ifneq ($(wildcard $(DATA)/.),)
export SMIDGEN_DATA ?= $(DATA)
endif
C_FILES := $(wildcard src/smidgen/kernels/*/*.[ch] src/smidgen/kernels/c/*/*.h src/smidgen/kernels/native/*.[ch]pp src/smidgen/kernels/native/*.c src/smidgen/targets/plugin/*.c)
SOURCES := $(C_FILES) CMakeLists.txt pyproject.toml

.PHONY: demo test check sanitize format bench clean

demo: $(VENV)/.demo
	$(BIN)/smidgen compress watch --target cortex-m4 --budget flash=64KB,ram=48KB --max-drop 1 --time 5m --out runs/watch

test: $(VENV)/.dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

check: $(VENV)/.dev
	$(BIN)/ruff format --check src tests benchmarks examples
	$(BIN)/ruff check src tests benchmarks examples
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/clang-format --dry-run --Werror $(C_FILES)

sanitize: $(VENV)/.dev
	.ci/sanitize $(BIN)/python

format: $(VENV)/.dev
	$(BIN)/ruff format src tests benchmarks examples
	$(BIN)/ruff check --fix src tests benchmarks examples
	$(BIN)/clang-format -i $(C_FILES)

bench: $(VENV)/.dev
	for script in benchmarks/*.py benchmarks/methods/*.py; do PYTHONPATH=. $(BIN)/python $$script || exit 1; done

# torch comes first, pinned, so that nothing else can pull a CUDA build.
$(VENV)/.torch: constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) install -q torch==2.13.0
	touch $@

$(VENV)/.demo: $(VENV)/.torch $(shell find src -type f -name '*.*')
	$(PIP) install -q -c constraints.txt ".[compress,data,mcu]"
	$(PIP) install -q --no-deps "seglearn>=1.2.5"
	touch $@

$(VENV)/.dev: $(VENV)/.torch $(SOURCES)
	$(PIP) install -q -c constraints.txt "scikit-build-core>=0.10" "nanobind>=2.4" ninja cmake
	$(PIP) install -q -c constraints.txt --no-build-isolation -e ".[compress,data,mcu,dev]"
	$(PIP) install -q --no-deps "seglearn>=1.2.5"
	touch $@

clean:
	rm -rf $(VENV) build runs .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
