"""Every error a user can meet. Each says where, what was found, what was expected and what to do.

Exit codes of the command line are attributes of the classes, so that the two can't drift apart.
"""

from __future__ import annotations

from typing import Any


class SmidgenError(Exception):
    """Base of all expected errors; the command line prints it as one line and exits with `exit_code`."""

    exit_code = 1

    def __init__(self, where: str, found: str, expected: str = "", remedy: str = "") -> None:
        self.where, self.found, self.expected, self.remedy = where, found, expected, remedy
        but = f", but {expected}" if expected else ""
        super().__init__(f"{where}: {found}{but}." + (f" {remedy}." if remedy else ""))

    def __reduce__(self) -> tuple[Any, ...]:
        """By its fields: subclasses take other arguments, and errors travel between processes."""
        return _revived, (type(self), str(self), dict(self.__dict__))


class BadInput(SmidgenError):
    """The user's data, model, options or recipe can't be used as given."""

    exit_code = 3


class Unwritable(BadInput):
    """A file or folder can't be written: the disk is full, permission is missing, something is in the way."""


class IllegalGraph(SmidgenError):
    """A graph breaks a rule: an unknown value, a shape that does not fit, a cycle."""

    exit_code = 3


class Unsupported(SmidgenError):
    """A target or an emitter can't express what was asked."""

    exit_code = 4


class BudgetError(SmidgenError):
    """No candidate fits the budget."""

    exit_code = 5


class BadFile(SmidgenError):
    """A file is truncated, corrupt, hostile or newer than this version."""

    exit_code = 6


class Mismatch(SmidgenError):
    """Two runs that must agree bit for bit do not."""

    exit_code = 7


class MissingExtra(SmidgenError):
    """An optional dependency is not installed."""

    exit_code = 8

    def __init__(self, feature: str, package: str, extra: str) -> None:
        super().__init__(
            feature, f"the package {package} is not installed", "", f"Run: pip install 'smidgen[{extra}]'"
        )


def first_line(problem: Exception) -> str:
    """The first line of what another library's exception says; its class if it says nothing."""
    return next((line.strip() for line in str(problem).splitlines() if line.strip()), type(problem).__name__)


def _revived(kind: type[SmidgenError], message: str, fields: dict[str, Any]) -> SmidgenError:
    error = kind.__new__(kind, message)
    error.__dict__.update(fields)
    return error
