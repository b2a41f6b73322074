"""The machine and the versions that produced a report."""

from __future__ import annotations

import os
import platform
import shlex
import sys
from collections.abc import Sequence
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version

from smidgen import __version__
from smidgen.report.model import Environment
from smidgen.run.cpu import cpu_name

PACKAGES = ("numpy", "torch", "onnx", "onnxruntime", "optuna", "scikit-learn", "ziglang")


def environment_of(command: Sequence[str], seeds: Sequence[int], data_digest: str) -> Environment:
    """Describe this machine. `command` is the command line, program first."""
    return Environment(
        command=shlex.join(command),
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        cpu=f"{cpu_name()}, {os.cpu_count()} logical cores",
        platform=f"{platform.system()} {platform.machine()}",
        seeds=tuple(seeds),
        data_digest=data_digest,
        versions={"smidgen": __version__, "python": sys.version.split()[0], **_installed()},
    )


def _installed() -> dict[str, str]:
    return {package: found for package in PACKAGES if (found := _version(package))}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
