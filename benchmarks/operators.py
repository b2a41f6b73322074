"""Runs the standard tests of the `onnx` package and writes docs/OPERATORS.md and results/operators.json.

`--light` adds the nine large image networks (minutes, up to 2 GB of memory); else their results stay.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import onnx

from benchmarks.common import progress
from benchmarks.conformance.cases import LIGHT, light_cases, model_cases, node_cases
from benchmarks.conformance.page import PAGE, page
from benchmarks.conformance.records import RESULTS, Record, grouped, probed
from benchmarks.conformance.verdicts import verdict
from smidgen.load.onnx_walk import CAPTURED
from smidgen.report.model import write_whole


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--light", action="store_true")
    light = parser.parse_args().light
    with tempfile.TemporaryDirectory() as folder:
        cases = progress([*node_cases(), *model_cases()], "tests")
        verdicts = [verdict(case, Path(folder)) for case in cases]
        large = grouped(verdict(case, Path(folder)) for case in light_cases()) if light else _kept()
    record = Record(onnx.__version__, (*grouped(verdicts), *large), probed(verdicts, CAPTURED))
    record.write()
    write_whole(PAGE, page(record))


def _kept() -> tuple:  # type: ignore[type-arg]
    """The results of the large networks of the last run with them."""
    groups = Record.read().groups if RESULTS.exists() else ()
    return tuple(group for group in groups if group.kind == LIGHT)


if __name__ == "__main__":
    main()
