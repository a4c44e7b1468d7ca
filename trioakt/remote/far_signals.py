"""Signals to grains of other nodes: their activation there is found first, as a signal starts none."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Protocol

import trio

from trioakt.errors import TrioaktError
from trioakt.grains.ref import GrainRef
from trioakt.lowlevel import ActorRef, Signal, TerminationCause, Unwatch, Watch, Watcher

if TYPE_CHECKING:
    from trioakt.grains.ref import GrainRecipient

_log = logging.getLogger("trioakt")


class Home(Protocol):
    """Whose signals are passed on.

    Attributes:
        nursery: Where that happens.
        is_over: Whether it happens no more.
    """

    nursery: trio.Nursery
    is_over: bool


class FarSignals:
    """Passes signals on to activations on other nodes.

    Args:
        home: Whose.
        find: Returns the activation of a grain, wherever it is.
    """

    def __init__(self, home: Home, find: Callable[[GrainRecipient], Awaitable[ActorRef[Any] | None]]) -> None:
        self._home = home
        self._find = find
        self._watches: dict[tuple[GrainRecipient, Watcher], _FarWatcher] = {}

    def pass_on(self, grain: GrainRecipient, signal: Signal) -> None:
        """Pass a signal on, in a moment; a watcher hears of the end at once where nothing is active."""
        if isinstance(signal, Unwatch):
            watch = self._watches.pop((grain, signal.watcher), None)
            if watch is not None and watch.there is not None:
                watch.there.recipient.signal(Unwatch(watch))
            return
        if isinstance(signal, Watch):
            watch = self._watches[grain, signal.watcher] = _FarWatcher(self, grain, signal.watcher)
            signal = Watch(watch)
        if not self._home.is_over:
            self._home.nursery.start_soon(self._pass_on, grain, signal)
        elif isinstance(signal, Watch):
            signal.watcher.terminated(GrainRef(grain), TerminationCause.STOPPED)

    async def _pass_on(self, grain: GrainRecipient, signal: Signal) -> None:
        there, cause = None, TerminationCause.STOPPED
        try:
            there = await self._find(grain)
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

    def forget(self, watch: _FarWatcher) -> bool:
        """Forget a watch that is over; return whether anybody still wants to know."""
        key = (watch.grain, watch.watcher)
        return self._watches.get(key) is watch and self._watches.pop(key) is watch


class _FarWatcher:
    """Watches an activation on another node, and tells of it by the name of the grain."""

    def __init__(self, far: FarSignals, grain: GrainRecipient, watcher: Watcher) -> None:
        self.grain = grain
        self.watcher = watcher
        self.there: ActorRef[Any] | None = None
        self._far = far

    def terminated(self, ref: ActorRef[Any], cause: TerminationCause) -> None:
        if self._far.forget(self):
            self.watcher.terminated(GrainRef(self.grain), cause)
