"""Eviction: when a system has more actors than it should, some of those at rest are passivated."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Literal, get_args

import attrs
import trio

from trioakt.lowlevel import PASSIVATE, Watch
from trioakt.patterns.background import run_in_background
from trioakt.patterns.passivation import Never

if TYPE_CHECKING:
    from trioakt.lowlevel import ActorRef, CoreSystem, Standing, TerminationCause

EvictionPolicy = Literal["lru", "lfu", "mru"]
"""Who goes first: the least recently used, the least frequently used, or the most recently used."""


def _fraction(instance: object, attribute: attrs.Attribute[float], value: float) -> None:
    if not 0 < value <= 1:
        raise ValueError(f"{attribute.name} must be above 0 and at most 1, got {value!r}")


@attrs.frozen
class Eviction:
    """Keep the number of actors of a system down; give it as ``ActorSystem(eviction=Eviction(limit=10_000))``.

    When more actors than the limit are alive, as many are passivated as brings them to ``(1 - fraction) * limit``. Only
    actors at rest are (see ``Idle``), and none that was spawned with ``passivation=Never()``.

    Attributes:
        limit: Actors that may be alive, those of the toolkit (routers, for one) included.
        policy: Who goes first: ``"lru"``, the least recently used; ``"lfu"``, those that have handled the fewest
            messages; ``"mru"``, the most recently used.
        fraction: The part of the limit that is made free.
        interval: Seconds from one look to the next.
    """

    limit: int = attrs.field(validator=[attrs.validators.instance_of(int), attrs.validators.ge(1)])
    policy: EvictionPolicy = attrs.field(default="lru", validator=attrs.validators.in_(get_args(EvictionPolicy)))
    fraction: float = attrs.field(default=0.2, validator=_fraction)
    interval: float = attrs.field(default=5.0, validator=attrs.validators.gt(0))

    def rested(self, cell: Standing) -> None:
        """Hear that an actor has come to rest; the kernel calls this."""
        if cell.parent is not None and not isinstance(cell.options.passivation, Never):
            cell.system.service(Evictor).note(cell)


class Evictor:
    """Looks at the number of actors of one system, and passivates those that the policy names."""

    def __init__(self, system: CoreSystem) -> None:
        eviction = system.settings.eviction
        assert isinstance(eviction, Eviction)
        self._eviction = eviction
        self._system = system
        self._rested: OrderedDict[ActorRef, Standing] = OrderedDict()
        """Who may be evicted, in the order in which they came to rest."""
        self._leaving: set[ActorRef] = set()
        run_in_background(system, self._run, name="eviction")

    def note(self, cell: Standing) -> None:
        """Note that an actor has come to rest."""
        if cell.ref not in self._rested:
            cell.ref.recipient.signal(Watch(self))
            self._rested[cell.ref] = cell
        self._rested.move_to_end(cell.ref)

    def terminated(self, ref: ActorRef, cause: TerminationCause) -> None:
        """Hear that an actor has ended; the kernel calls this."""
        self._rested.pop(ref, None)
        self._leaving.discard(ref)

    async def _run(self) -> None:
        while True:
            await trio.sleep(self._eviction.interval)
            alive = self._system.tally.alive - len(self._leaving)
            if alive > self._eviction.limit:
                self._evict(alive - int(self._eviction.limit * (1 - self._eviction.fraction)))

    def _evict(self, count: int) -> None:
        for ref in self._candidates():
            ref.recipient.signal(PASSIVATE)
            if self._rested[ref].closed:
                self._leaving.add(ref)
                count -= 1
            if not count:
                break

    def _candidates(self) -> list[ActorRef]:
        rested = self._rested
        match self._eviction.policy:
            case "lru":
                return list(rested)
            case "mru":
                return list(reversed(rested))
            case "lfu":
                return sorted(rested, key=lambda ref: rested[ref].handled)
