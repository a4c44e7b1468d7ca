"""The hand-over: how a node lets go of names that it owns, so that no message for them is lost."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING

import trio

from trioakt.cluster.settling import settle
from trioakt.grains.sharing import is_shard
from trioakt.lowlevel import PoisonPill

if TYPE_CHECKING:
    from trioakt.cluster.deeds import Deeds
    from trioakt.cluster.estate import Estate
    from trioakt.cluster.holdings import Holding


class HandOver:
    """Lets go of what an incarnation holds.

    Args:
        estate: By which it is owned.
        deeds: What is written about it.
        limiter: How many names are let go at the same time.
        held: What is held, by name.
        has_heir: Tells whether another node can take a name.
        settled: Called with names of which something has changed.
    """

    def __init__(
        self,
        estate: Estate,
        deeds: Deeds,
        limiter: trio.CapacityLimiter,
        held: dict[str, Holding],
        has_heir: Callable[[Holding], bool],
        settled: Callable[[Iterable[str]], None],
    ) -> None:
        self._estate = estate
        self._deeds = deeds
        self._limiter = limiter
        self._held = held
        self._has_heir = has_heir
        self._settled = settled

    async def let_all_go(self) -> None:
        """Let all go: each actor finishes what waits for it; what nobody can take ends. A lost lease cuts it short."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._stop_without_lease, nursery.cancel_scope)
            leaving = [holding for holding in self._held.values() if holding.leaving]
            await self.let_go([holding for holding in self._held.values() if not holding.leaving])
            for holding in leaving:
                await holding.gone.wait()
            nursery.cancel_scope.cancel()

    async def let_go(self, leaving: Iterable[Holding]) -> None:
        """Let some go, likewise."""
        leaving = tuple(leaving)
        for holding in leaving:
            holding.leaving = True
        if leaving:
            await self._for_each(self._take_back, leaving)
            estate = self._estate
            await settle(estate.endpoint, estate.view, estate.run, [holding.name for holding in leaving])
            await self._for_each(self._end, leaving)

    async def disown(self, holding: Holding) -> None:
        """Own a name no more."""
        self._held.pop(holding.name, None)
        self._settled([holding.name])  # it may have the next owner already, as the lease was lost meanwhile
        await self._deeds.disown(holding.name, holding.token)
        holding.gone.set()

    async def _for_each(self, step: Callable[[Holding], Awaitable[None]], holdings: Iterable[Holding]) -> None:
        async with trio.open_nursery() as nursery:
            for holding in holdings:
                nursery.start_soon(step, holding)

    async def _take_back(self, holding: Holding) -> None:
        """Let all nodes keep their messages for this name, until it has another owner."""
        async with self._limiter:
            await self._deeds.announce(holding.name, holding.token, "")

    async def _end(self, holding: Holding) -> None:
        await holding.started.wait()
        async with self._limiter:
            if holding.ref is None:
                return
            was_stopped = not holding.ref.is_alive  # maybe with a message in hand; its name ends with it
            if not was_stopped:
                holding.ref.tell(PoisonPill())
            with trio.move_on_after(self._estate.system.settings.actors.stop_grace) as grace:
                await holding.ref.wait_stopped()
            if grace.cancelled_caught:
                holding.ref.kill()
                await holding.ref.wait_stopped()
            if not is_shard(holding.name) and (was_stopped or not self._has_heir(holding)):
                await self._deeds.give_up(holding.name, holding.source.token)
            await self.disown(holding)

    async def _stop_without_lease(self, scope: trio.CancelScope) -> None:
        await self._estate.lease.lost.wait()
        scope.cancel()
