"""What went wrong and where: the path from a message down to the field; it knows nothing of types and bytes."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

_LONGEST = 200
"""Characters of a path and of a foreign text that are shown."""


class Fault(Exception):
    """Something cannot be encoded or decoded; ``steps`` lead to it from the message."""

    def __init__(self, text: str, *steps: str) -> None:
        super().__init__(text)
        self.text = text
        self.steps = list(steps)

    @property
    def path(self) -> str:
        """The steps as Python would write them: ``items[3].price``."""
        return shorten("".join(reversed(self.steps)).removeprefix("."))


@contextmanager
def at(step: str) -> Generator[None]:
    """Note that whatever fails in here lies one step further down: ``.price``, ``[3]``."""
    try:
        yield
    except Fault as fault:
        fault.steps.append(step)
        raise
    except Exception as error:
        raise Fault(describe(error), step) from error


def describe(error: Exception) -> str:
    """Tell in one short line what was raised, whatever its ``str`` does."""
    if isinstance(error, Fault):
        return error.text
    try:
        text = str(error)
    except Exception:
        text = "its text cannot be shown"
    return shorten(f"{type(error).__name__}: {text}")


def unexpected(wanted: str, value: object) -> Fault:
    """Return the fault of a value that is not what its field takes."""
    return Fault(f"expected {wanted}, got {shorten(repr(value)) if isinstance(value, str) else type(value).__name__}")


def shorten(text: str) -> str:
    """Cut a text that may come from a stranger."""
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
