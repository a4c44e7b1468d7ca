"""The correlation id: one id for all that follows from one cause, carried along with the messages; it knows no logs.

Beside it stands what a log line says of a trace, so that who writes logs need not know who makes traces.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar, Token
from random import Random
from typing import TYPE_CHECKING

from trioakt.lowlevel import Instrument

if TYPE_CHECKING:
    from types import TracebackType

    from trioakt.lowlevel import ActorRef, CoreSystem, Envelope

HEADER = "correlation-id"
"""The name under which the id goes with a message."""

_LONGEST = 128

_current: ContextVar[str | None] = ContextVar("trioakt_correlation", default=None)

span_in_hand: ContextVar[tuple[int, int]] = ContextVar("trioakt_span", default=(0, 0))
"""Trace id and span id of the message in hand; zeros where nothing is traced."""


def correlation_id() -> str | None:
    """Return the id of what this task is doing; ``None`` where nothing has given it one."""
    return _current.get()


def ids() -> dict[str, str]:
    """Return the ids of what this task is doing, as far as it has some, by what they are called in a log."""
    found: dict[str, str] = {}
    if (correlation := _current.get()) is not None:
        found["correlation_id"] = correlation
    trace_id, span_id = span_in_hand.get()
    if trace_id:
        found |= {"trace_id": f"{trace_id:032x}", "span_id": f"{span_id:016x}"}
    return found


@contextmanager
def correlated(by: str) -> Generator[None]:
    """Do what is in the block, and all that follows from it, under this id.

    Args:
        by: Printable characters, at most 128: the number of an order, the id of an HTTP request.

    Raises:
        ValueError: It is empty, too long or not printable.
    """
    if not (0 < len(by) <= _LONGEST and by.isprintable()):
        raise ValueError(f"a correlation id is 1 to {_LONGEST} printable characters, got {by[:200]!r}")
    token = _current.set(by)
    try:
        yield
    finally:
        _current.reset(token)


class Correlation(Instrument):
    """Gives each message the id of what caused it: ``ActorSystem(..., extensions=[Correlation()])``.

    A message that a handler sends has the id of the message in hand, and so have those of its tasks, pipes and
    schedules. A message from outside of all handlers has the id of the block ``correlated`` around it, or a new one.
    """

    def __init__(self) -> None:
        self._rng = Random()

    def opened(self, system: CoreSystem) -> None:
        """Draw the new ids from the chance of the system, so that a seeded run repeats them."""
        self._rng = Random(system.settings.rng.getrandbits(64))

    def sending(self, ref: ActorRef, envelope: Envelope, headers: dict[str, str]) -> None:
        """Send the id along."""
        headers[HEADER] = _current.get() or self._new()

    def handling(
        self, ref: ActorRef, kind: str, envelope: Envelope, headers: dict[str, str]
    ) -> AbstractContextManager[None]:
        """Handle a message under its id."""
        return _Correlated(headers.get(HEADER) or self._new())

    def _new(self) -> str:
        return f"{self._rng.getrandbits(64):016x}"


class _Correlated(AbstractContextManager[None]):
    """While it is entered, the task has this id. After a failure it stays, for what supervision does and logs."""

    __slots__ = ("_by", "_token")

    def __init__(self, by: str) -> None:
        self._by = by
        self._token: Token[str | None]

    def __enter__(self) -> None:
        self._token = _current.set(self._by)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None:
            _current.reset(self._token)
