"""Which exceptions are not a user's failure but Trio's or the interpreter's way to end a task."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import trio

_ESCAPES = (trio.Cancelled, KeyboardInterrupt, SystemExit, GeneratorExit)


def passes_through(error: BaseException) -> bool:
    """Return whether an exception, or a member of a group, must leave every task as it is."""
    return any(isinstance(each, _ESCAPES) for each in _leaves(error))


def was_cancelled(error: BaseException) -> bool:
    """Return whether an exception is a cancellation, or a group that holds one: some cancel scope waits for it."""
    return any(isinstance(each, trio.Cancelled) for each in _leaves(error))


def members(error: BaseException) -> tuple[BaseException, ...]:
    """Return the exceptions of a group, or the exception alone."""
    if isinstance(error, BaseExceptionGroup):
        return cast("BaseExceptionGroup[BaseException]", error).exceptions
    return (error,)


def _leaves(error: BaseException) -> Iterator[BaseException]:
    waiting = [error]
    while waiting:
        each = waiting.pop()
        below = members(each)
        if below == (each,):
            yield each
        else:
            waiting.extend(below)
