"""Signals: what is done to an actor beside its messages; they travel in a lane that is never bounded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import attrs

from trioakt._core.message import PoisonPill

if TYPE_CHECKING:
    from trioakt._core.message import TerminationCause
    from trioakt._core.ref import ActorRef


class Watcher(Protocol):
    """Somebody who wants to know when an actor has ended."""

    def terminated(self, ref: ActorRef[Any], cause: TerminationCause) -> None:
        """Hear of the end."""
        ...


@attrs.frozen
class Stop:
    """Stop after the message in hand."""


@attrs.frozen
class Kill:
    """Stop now, cancelling the message in hand."""


@attrs.frozen
class Passivate:
    """Stop, if the actor is at rest: it has no message, no task, no child, and owes no answer."""


@attrs.frozen
class Reinstate:
    """Let a suspended actor go on."""


@attrs.frozen
class Watch:
    """Tell the watcher of the end."""

    watcher: Watcher


@attrs.frozen
class Unwatch:
    """Do not tell it any more."""

    watcher: Watcher


Signal = Stop | Kill | Passivate | PoisonPill | Reinstate | Watch | Unwatch

STOP = Stop()
KILL = Kill()
PASSIVATE = Passivate()
REINSTATE = Reinstate()
POISON_PILL = PoisonPill()
