"""What an event is in a log: a level, a sentence and its particulars. Pure."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import attrs

from trioakt import (
    ActorFailed,
    ActorPassivated,
    ActorReinstated,
    ActorRestarted,
    ActorStarted,
    ActorStopped,
    ActorSuspended,
    DeadLetter,
    MailboxHigh,
    ShutdownHookFailed,
)
from trioakt.lowlevel import Event
from trioakt.observability.lines import plain


@attrs.frozen
class Story:
    """How a log tells of an event."""

    level: int
    text: str
    extra: dict[str, object]


_TOLD: dict[type[Event], tuple[int, Callable[[Any], str]]] = {
    ActorStarted: (logging.DEBUG, lambda event: "has started"),
    ActorStopped: (logging.DEBUG, lambda event: f"has ended ({event.cause.name})"),
    ActorPassivated: (logging.DEBUG, lambda event: "was passivated"),
    ActorRestarted: (logging.WARNING, lambda event: f"was restarted ({event.restarts})"),
    ActorSuspended: (logging.WARNING, lambda event: f"is suspended: {event.failure}"),
    ActorReinstated: (logging.INFO, lambda event: "goes on"),
    MailboxHigh: (logging.WARNING, lambda event: f"is behind: {event.depth} messages wait"),
}

_LOGGED = (ActorFailed, DeadLetter, ShutdownHookFailed)
"""What the kernel logs by itself, each failure once and dead letters at a limited rate."""


def story_of(event: Event, lowest: int) -> Story | None:
    """Return how a log tells of an event; ``None`` below the lowest level, and where the kernel has told of it."""
    kind = type(event)
    level, text = _TOLD.get(kind, (logging.INFO, None))
    if level < lowest or isinstance(event, _LOGGED):
        return None
    actor = event.ref.path
    extra: dict[str, object] = {"event": kind.__name__, "actor": actor}
    if text is not None:
        return Story(level, f"{actor} {text(event)}", extra)
    names = [field.name for field in attrs.fields(kind) if field.name not in {"ref", "at"}]
    extra |= {name: plain(getattr(event, name)) for name in names}
    return Story(level, f"{actor}: {kind.__name__}", extra)
