"""The trace of a simulation: what happened, in order and in plain words, so that two runs can be compared."""

from __future__ import annotations

import enum
from hashlib import sha256

import attrs
import trio

from trioakt import ActorRef, Failure, TerminationCause
from trioakt.cluster.member import Member
from trioakt.lowlevel import Event

_LONGEST = 200
"""Characters of a text in a trace."""


@attrs.frozen
class TraceEntry:
    """One thing that happened.

    Attributes:
        at: Seconds on Trio's clock.
        node: On which node; empty for what was done to the network.
        kind: The class of an event, ``handling`` for a message, or what was done: ``crash``, ``partition`` ...
        subject: The actor it is about.
        detail: More about it.
    """

    at: float
    node: str
    kind: str
    subject: str = ""
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.at:12.6f}  {self.node:10} {self.kind:16} {self.subject}  {self.detail}".rstrip()


class Trace:
    """Grows while a simulation runs."""

    def __init__(self) -> None:
        self.entries: list[TraceEntry] = []

    def note(self, node: str, kind: str, subject: str = "", detail: str = "") -> None:
        """Add what happens now."""
        self.entries.append(TraceEntry(trio.current_time(), node, kind, subject, detail))

    def note_event(self, node: str, here: str, event: Event) -> None:
        """Add an event of a node whose address is ``here``."""
        names = [field.name for field in attrs.fields(type(event)) if field.name not in ("ref", "at")]
        details = ", ".join(_plain(getattr(event, name)) for name in names)
        self.note(node, type(event).__name__, event.ref.address.removeprefix(here), details)

    def hash(self) -> str:
        """Return a hash of all of it; equal traces have equal ones, in every process."""
        digest = sha256()
        for entry in self.entries:
            digest.update(repr(attrs.astuple(entry)).encode())
        return digest.hexdigest()


def _plain(value: object) -> str:
    """Return a value as text that is the same in every run; of most only the type is."""
    match value:
        case str():
            return value[:_LONGEST]
        case None | bool() | int() | float():
            return str(value)
        case enum.Enum():
            return value.name
        case ActorRef():
            return value.address
        case TerminationCause():
            return value.name
        case Failure():
            return value.type_name
        case Member():
            return value.run
        case _:
            return type(value).__name__
