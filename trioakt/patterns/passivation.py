"""Passivation: an actor that is idle, or has done its share, is stopped, and costs nothing until it is needed again."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import attrs
import trio

from trioakt.lowlevel import PASSIVATE, Watch
from trioakt.patterns.background import run_in_background
from trioakt.patterns.rhythm import Agenda

if TYPE_CHECKING:
    from trioakt.lowlevel import ActorRef, CoreSystem, Standing, TerminationCause

_AT_ONCE = 100
"""Actors that are passivated before others get their turn."""
_PATIENCE = 1.0
"""Seconds: an actor that was due but not at rest is looked at again after at least so long."""


def _positive(instance: object, attribute: attrs.Attribute[float], value: object) -> None:
    if not isinstance(value, int | float):
        raise TypeError(f"{attribute.name} must be a number of seconds, got {value!r}")
    if not (value > 0 and math.isfinite(value)):
        raise ValueError(f"{attribute.name} must be a finite number of seconds above 0, got {value!r}")


@attrs.frozen
class Idle:
    """Passivate an actor that has been at rest for a while; give it as ``passivation=Idle(300.0)``.

    An actor is at rest while it waits for a message and has none, nor a stashed one, no task of its own runs, it owes
    no answer and has no children.

    Attributes:
        after: Seconds.
    """

    after: float = attrs.field(validator=_positive)

    def rested(self, cell: Standing) -> None:
        """Hear that an actor has come to rest; the kernel calls this."""
        cell.system.service(Passivator).note(cell.ref, self.after)


@attrs.frozen
class AfterMessages:
    """Passivate an actor as soon as it is at rest and has handled so many messages; see ``Idle`` for what rest is.

    Attributes:
        count: Messages, counted over restarts.
    """

    count: int = attrs.field(validator=[attrs.validators.instance_of(int), attrs.validators.ge(1)])

    def rested(self, cell: Standing) -> None:
        """Hear that an actor has come to rest; the kernel calls this."""
        if cell.handled - cell.stashings >= self.count:
            cell.system.service(Passivator).note(cell.ref, 0.0)


@attrs.frozen
class Never:
    """Never passivate this actor, not even when the system has too many and evicts."""

    def rested(self, cell: Standing) -> None:
        """Hear that an actor has come to rest; the kernel calls this."""


class Passivator:
    """Passivates the actors of one system when they are due.

    When an actor comes to rest only the time is noted. Its one entry in the agenda is looked at when it falls due, and
    is put off if the actor has had messages since: a busy actor costs a dictionary entry each time, not a timer.
    """

    def __init__(self, system: CoreSystem) -> None:
        self._rested: dict[ActorRef, tuple[float, float]] = {}
        """When each actor came to rest, and after how many seconds it may be passivated."""
        self._agenda: Agenda[ActorRef] = Agenda()
        self._changed = trio.Event()
        run_in_background(system, self._run, name="passivation")

    @property
    def waiting(self) -> int:
        """How many actors it knows."""
        return len(self._rested)

    def note(self, ref: ActorRef, after: float) -> None:
        """Note that an actor has come to rest, and may be passivated after so many seconds."""
        now = trio.current_time()
        if ref not in self._rested:
            ref.recipient.signal(Watch(self))
            self._put(ref, now + after)
        self._rested[ref] = (now, after)

    def terminated(self, ref: ActorRef, cause: TerminationCause) -> None:
        """Hear that an actor has ended; the kernel calls this."""
        self._rested.pop(ref, None)
        self._agenda.discard(ref)

    def _put(self, ref: ActorRef, due: float) -> None:
        if due < self._agenda.next_at:
            self._changed.set()
        self._agenda.put(ref, due)

    async def _run(self) -> None:
        while True:
            self._changed = trio.Event()
            with trio.move_on_at(self._agenda.next_at):
                await self._changed.wait()
            now = trio.current_time()
            for number, (_, ref) in enumerate(self._agenda.take(now), 1):
                if not number % _AT_ONCE:
                    await trio.lowlevel.checkpoint()
                if ref not in self._rested:  # it has ended meanwhile
                    continue
                rested, after = self._rested[ref]
                if rested + after <= now:
                    ref.recipient.signal(PASSIVATE)  # which it heeds if it is at rest: if not, that is for another time
                self._put(ref, max(rested + after, now + _PATIENCE))
