"""The instrument: what an application adds to a system to hear of every message; by itself it does nothing."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trioakt._core.ask import Ask, Listener
    from trioakt._core.message import Envelope
    from trioakt._core.ref import ActorRef
    from trioakt._core.system import CoreSystem


arrived_headers: ContextVar[dict[str, str] | None] = ContextVar("trioakt_arrived_headers", default=None)
"""Set while a message from another node is delivered: it has its headers already."""


@contextmanager
def arrived(headers: dict[str, str] | None) -> Generator[None]:
    """Deliver in this block messages that have come from elsewhere with these headers; with ``None``, of this node."""
    token = arrived_headers.set(headers)
    try:
        yield
    finally:
        arrived_headers.reset(token)


class Instrument:
    """Hears of every message of the systems that have it among their ``extensions``; override what is of interest.

    Each method is called in the path of a message, in the system's own thread: it must be quick, must not wait, and
    what it raises is raised in the sender or is the failure of the actor. Where a system has several instruments they
    are called in the order they were given. ``kind`` is the name of the actor class or recipe.
    """

    def opened(self, system: CoreSystem) -> None:
        """Hear that a system starts."""

    def closed(self, system: CoreSystem) -> None:
        """Hear that a system has ended."""

    def sending(self, ref: ActorRef, envelope: Envelope, headers: dict[str, str]) -> None:
        """Hear, in the task of the sender, that a message goes to ``ref``; what is put into ``headers`` goes with it.

        A message that is forwarded is sent once more, with new headers.
        """

    def handling(
        self, ref: ActorRef, kind: str, envelope: Envelope, headers: dict[str, str]
    ) -> AbstractContextManager[None]:
        """Return what is entered around the handler of a message; it sees the exception that ends the handler.

        A context variable that is set there is seen by the handler, the tasks it starts, and its schedules.
        """
        return nullcontext()

    def asked(self, ref: ActorRef, kind: str, ask: Ask) -> Listener | None:
        """Hear, in the task of the asker, of a request to ``ref``; what is returned is called once, when it ends.

        What that raises is logged: it harms neither the asker nor whoever answers.
        """
        return None
