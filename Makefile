# make demo | test | check: each sets up its own virtual environment first.
VENV := .venv
PY := $(VENV)/bin/python
export SMIDGEN_DATA ?= $(wildcard $(CURDIR)/../shared/data)
