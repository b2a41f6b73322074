"""What docs/TROUBLESHOOTING.md lists exists. That real errors are listed, test_bad_input.py checks."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

import smidgen
from smidgen import errors
from tests.cli.messages import DOCUMENT, documented, fragments


@cache
def sources() -> str:
    """All of the package, with string literals and `expected` joined as `SmidgenError` joins them."""
    folder = Path(str(smidgen.__file__)).parent
    return "\n".join(path.read_text(encoding="utf-8") for path in sorted(folder.rglob("*.py")))


@pytest.mark.parametrize("message", documented())
def test_a_listed_message_is_in_the_source(message: str) -> None:
    parts = [piece for part in fragments(message) for piece in re.split(r", but |\. ", part)]
    missing = [piece for piece in parts if piece.strip(" .,()") not in sources()]
    assert parts
    assert not missing


def test_the_table_of_exit_codes_is_that_of_the_errors() -> None:
    listed = {int(code) for code in re.findall(r"^\| (\d+) \|", DOCUMENT.read_text(encoding="utf-8"), re.M)}
    raised = {item.exit_code for item in vars(errors).values() if hasattr(item, "exit_code")}
    assert listed == raised | {0, 2, 130}
