"""Signals to grains of other nodes: their activation there is found first, as a signal starts none."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import trio

from trioakt.errors import TrioaktError
from trioakt.grains.ref import GrainRef
from trioakt.lowlevel import ActorRef, Address, Signal, TerminationCause, Unwatch, Watch, Watcher

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from trioakt.cluster.membership import Membership
    from trioakt.grains.ref import GrainRecipient
    from trioakt.remote.endpoint import Endpoint

_log = logging.getLogger("trioakt")


class FarGrains:
    """Passes signals on to activations on other nodes, and tells others which are here.

    Args:
        membership: This node's.
        endpoint: Its way to others.
        find: Returns the activation of a grain whose shard this node owns.
    """

    def __init__(
        self,
        membership: Membership,
        endpoint: Endpoint,
        find: Callable[[GrainRecipient], Awaitable[ActorRef[Any] | None]],
    ) -> None:
        self._membership = membership
        self._endpoint = endpoint
        self._find_here = find
        self._watches: dict[tuple[GrainRecipient, Watcher], _FarWatcher] = {}
        endpoint.inquiries["grain"] = self._answer

    def signal(self, grain: GrainRecipient, signal: Signal) -> None:
        """Pass a signal on, in a moment; a watcher hears of the end at once where nothing is active."""
        if isinstance(signal, Unwatch):
            watch = self._watches.pop((grain, signal.watcher), None)
            if watch is not None and watch.there is not None:
                watch.there.recipient.signal(Unwatch(watch))
            return
        if isinstance(signal, Watch):
            watch = self._watches[grain, signal.watcher] = _FarWatcher(self, grain, signal.watcher)
            signal = Watch(watch)
        if not self._membership.is_over:
            self._membership.nursery.start_soon(self._pass_on, grain, signal)
        elif isinstance(signal, Watch):
            signal.watcher.terminated(GrainRef(grain), TerminationCause.STOPPED)

    async def _pass_on(self, grain: GrainRecipient, signal: Signal) -> None:
        there, cause = None, TerminationCause.STOPPED
        try:
            there = await self.find(grain)
        except trio.Cancelled:
            if isinstance(signal, Watch):  # this node ends: nothing is heard any more
                signal.watcher.terminated(GrainRef(grain), cause)
            raise
        except TrioaktError as error:
            _log.warning("%s does not reach %s: %s", type(signal).__name__, grain.address, error)
            cause = TerminationCause.NODE_LOST
        if not isinstance(signal, Watch):
            if there is not None:
                there.recipient.signal(signal)
            return
        watch = signal.watcher
        assert isinstance(watch, _FarWatcher)
        if there is None:
            watch.terminated(GrainRef(grain), cause)
        elif self._watches.get((grain, watch.watcher)) is watch:
            watch.there = there
            there.recipient.signal(signal)

    async def find(self, grain: GrainRecipient) -> ActorRef[Any] | None:
        """Return the activation of a grain, wherever it is.

        Raises:
            TrioaktError: It cannot be known now.
        """
        view = self._membership.view
        owner = view.owners.get(grain.shard)
        member = None if owner is None else view.members.get(owner.fact.run.rpartition("/")[0])
        if member is None:
            return None
        if member.node == self._membership.us:  # maybe it is not held any more
            return await self._find_here(grain)
        node = Address.parse(member.address).node
        text = await self._endpoint.inquire(node, "grain", f"{grain.kind}/{grain.id}")
        return self._endpoint.ref_of(text) if text else None

    async def _answer(self, question: str) -> str:
        """Return the ref of an activation on this node; empty if there is none."""
        ref = self._endpoint.ref_of(f"grain/{question}")
        assert isinstance(ref, GrainRef)
        found = await self._find_here(ref.grain)
        return "" if found is None else self._endpoint.name_of(found)

    def forget(self, watch: _FarWatcher) -> bool:
        """Forget a watch that is over; return whether anybody still wants to know."""
        key = (watch.grain, watch.watcher)
        return self._watches.get(key) is watch and self._watches.pop(key) is watch


class _FarWatcher:
    """Watches an activation on another node, and tells of it by the name of the grain."""

    def __init__(self, far: FarGrains, grain: GrainRecipient, watcher: Watcher) -> None:
        self.grain = grain
        self.watcher = watcher
        self.there: ActorRef[Any] | None = None
        self._far = far

    def terminated(self, ref: ActorRef[Any], cause: TerminationCause) -> None:
        if self._far.forget(self):
            self.watcher.terminated(GrainRef(self.grain), cause)
