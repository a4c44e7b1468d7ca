"""The store in memory: for tests and simulations, on Trio's clock alone, with faults to inject."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from random import Random
from typing import TypeVar

import attrs
import trio

from trioakt.cluster.lease import Lease, keep
from trioakt.cluster.store import Changes, Created, Entry, Listing, Removed, Resync, check_entry
from trioakt.errors import LeaseLostError, NoQuorumError

_TIMEOUT = 1.0
"""Seconds after which a node that is cut off gives a verb or a watch up."""
_LONGEST_HISTORY = 10_000
"""How many revisions are remembered at least, unless they are forgotten on purpose."""

T = TypeVar("T")


@attrs.frozen
class StoreStatistics:
    """What a store in memory has now.

    Attributes:
        keys: All that are there.
        leases: All that have neither lapsed nor been given back.
        watches: All that are open.
    """

    keys: int
    leases: int
    watches: int


class MemoryView:
    """A ``MemoryStore`` as one node reaches it, which can be cut off alone; it is a ``Store``."""

    def __init__(self, server: _Server, node: str) -> None:
        self._server = server
        self._link = _Link(server, node)

    def grant(self, ttl: float) -> AbstractAsyncContextManager[Lease]:
        """As ``Store.grant``."""
        return keep(self._link, ttl)

    async def create(self, key: str, value: bytes, lease: Lease | None = None) -> Created:
        """As ``Store.create``."""
        check_entry(key, value)
        if lease is None:
            created = await self._link.call(lambda data: data.create(key, value, None))
        else:
            lease.check()
            held = lease.id
            created = await self._link.call(lambda data: data.create(key, value, held))
        if created is None:
            raise LeaseLostError(f"{lease!r} is not known any more")
        return created

    async def put_guarded(self, key: str, value: bytes, token: int) -> bool:
        """As ``Store.put_guarded``."""
        check_entry(key, value)
        return await self._link.call(lambda data: data.put(key, value, token))

    async def delete(self, key: str, token: int) -> bool:
        """As ``Store.delete``."""
        return await self._link.call(lambda data: data.delete(key, token))

    async def list(self, prefix: str) -> Listing:
        """As ``Store.list``."""
        return await self._link.call(lambda data: data.find(prefix))

    @asynccontextmanager
    async def watch(self, prefix: str, revision: int) -> AsyncGenerator[AsyncIterator[Changes | Resync]]:
        """As ``Store.watch``."""
        await trio.lowlevel.checkpoint()
        self._server.watches += 1
        try:
            yield _Watch(self._link, prefix, revision)
        finally:
            self._server.watches -= 1


class MemoryStore(MemoryView):
    """A ``Store`` for the nodes of one process, which loses everything with it.

    It takes no time but that of Trio's clock, which a test may fake, and has no task of its own. Its faults can be
    called for at any moment. To cut off single nodes, or end their leases, give each a ``view`` of its own.
    """

    def __init__(self) -> None:
        super().__init__(_Server(), "")

    def view(self, node: str) -> MemoryView:
        """Return the store as a node reaches it; all views have the same keys."""
        return MemoryView(self._server, node)

    def statistics(self) -> StoreStatistics:
        """Return frozen figures, to check that nothing is left."""
        data = self._server.now()
        return StoreStatistics(len(data.entries), len(data.leases), self._server.watches)

    def freeze(self) -> None:
        """Let nothing be answered until ``thaw``: verbs wait, watches are silent, and leases do lapse."""
        self._server.frozen = True

    def thaw(self) -> None:
        """Answer again."""
        self._server.frozen = False
        self._server.wake()

    def delay(self, low: float, high: float, rng: Random) -> None:
        """Let each request, each answer and each piece of news take a while from now on; twice 0 ends it.

        Args:
            low: The fewest seconds.
            high: The most seconds.
            rng: Where the chance comes from.
        """
        self._server.delay = (lambda: rng.uniform(low, high)) if high > 0 else None

    def partition(self, *nodes: str) -> None:
        """Cut nodes off until ``heal``.

        Their verbs and watches raise ``NoQuorumError`` after a second. A verb whose request has arrived takes effect.
        """
        self._server.cut_off.update(nodes)
        self._server.wake()

    def heal(self, *nodes: str) -> None:
        """Let nodes that are cut off reach the store again; without a name, all."""
        self._server.cut_off.difference_update(nodes or set(self._server.cut_off))
        self._server.wake()

    def expire(self, node: str) -> None:
        """End the leases of a node before their time, as an administrator may; it notices when it renews them."""
        data = self._server.now()
        for lease in [lease for lease, held in data.leases.items() if held.node == node]:
            data.revoke(lease)
        self._server.wake()

    def forget(self) -> None:
        """Forget all changes so far: watches that have not heard of them yet get ``Resync``."""
        data = self._server.now()
        data.forget(data.revision)
        self._server.wake()


class _Watch:
    """What is heard of the keys with a prefix; the place in the history moves on when something has arrived."""

    def __init__(self, link: _Link, prefix: str, revision: int) -> None:
        self._link = link
        self._prefix = prefix
        self._revision = revision
        self._arrived: deque[Changes | Resync] = deque()
        self._is_over = False

    def __aiter__(self) -> AsyncIterator[Changes | Resync]:
        return self

    async def __anext__(self) -> Changes | Resync:
        await trio.lowlevel.checkpoint()
        while not self._arrived:
            if self._is_over:
                raise StopAsyncIteration
            news = await self._link.news(self._revision)
            self._is_over = news is None
            if news is None:
                self._arrived.append(Resync())
            else:
                self._revision = news[-1].revision
                self._arrived.extend(_about(self._prefix, news))
        return self._arrived.popleft()


def _about(prefix: str, news: list[Changes]) -> list[Changes]:
    """Leave what concerns a prefix."""
    found = [(each.revision, tuple(one for one in each.changes if one.key.startswith(prefix))) for each in news]
    return [Changes(revision, changes) for revision, changes in found if changes]


class _Link:
    """The way from one node to the store and back."""

    def __init__(self, server: _Server, node: str) -> None:
        self._server = server
        self._node = node

    async def call(self, verb: Callable[[_Data], T]) -> T:
        """Let a verb take effect, unless it does not arrive, and bring back what it returns, unless that does not.

        Raises:
            NoQuorumError: One of them did not.
        """
        await self.travel()
        await self._server.until(lambda: not self._server.frozen)
        data = self._server.now()
        before = data.revision, len(data.leases)
        outcome = verb(data)
        if before != (data.revision, len(data.leases)):
            self._server.wake()
        if self._server.delay is not None:
            await self.travel()
        return outcome

    async def news(self, revision: int) -> list[Changes] | None:
        """Wait for changes after a revision; ``None`` where they are forgotten.

        Raises:
            NoQuorumError: The node is cut off.
        """
        server = self._server
        while True:
            await self.travel()
            if not server.frozen and server.now().revision != revision:
                news = server.data.since(revision)
                await self.travel()
                return news
            await server.until(lambda: self._is_cut_off or (not server.frozen and server.data.revision != revision))

    async def travel(self) -> None:
        """Go one way.

        Raises:
            NoQuorumError: The node is cut off.
        """
        delay = self._server.delay
        await trio.sleep(0 if delay is None else delay())
        if self._is_cut_off:
            await self._server.until(lambda: not self._is_cut_off, trio.current_time() + _TIMEOUT)
        if self._is_cut_off:
            raise NoQuorumError(f"the store does not answer {self._node or 'anybody'}")

    @property
    def _is_cut_off(self) -> bool:
        return self._node in self._server.cut_off

    async def grant_lease(self, ttl: float) -> str:
        """Begin a lease."""
        return await self.call(lambda data: data.grant(self._node, trio.current_time() + ttl, ttl))

    async def renew_lease(self, key: str) -> bool:
        """Renew a lease."""
        return await self.call(lambda data: data.renew(key, trio.current_time()))

    async def revoke_lease(self, key: str) -> None:
        """End a lease."""
        await self.call(lambda data: data.revoke(key))


class _Server:
    """What all nodes share: the data, the faults, and the event of a change in either."""

    def __init__(self) -> None:
        self.data = _Data()
        self.frozen = False
        self.cut_off: set[str] = set()
        self.delay: Callable[[], float] | None = None
        self.watches = 0
        self._changed = trio.Event()

    def now(self) -> _Data:
        """Return the data without the leases that have lapsed."""
        if self.data.lapse(trio.current_time()):
            self.wake()
        return self.data

    def wake(self) -> None:
        """Let all who wait look again."""
        self._changed.set()
        self._changed = trio.Event()

    async def until(self, condition: Callable[[], bool], deadline: float = math.inf) -> None:
        """Wait for a condition, up to a deadline; leases lapse meanwhile."""
        await trio.lowlevel.checkpoint()
        while not condition() and trio.current_time() < deadline:
            with trio.move_on_at(min(deadline, math.inf if self.frozen else self.data.next_lapse)):
                await self._changed.wait()
            if not self.frozen:
                self.now()


@attrs.define
class _Held:
    """A lease as the store sees it."""

    node: str
    ttl: float
    lapses: float
    keys: set[str] = attrs.Factory(set[str])


class _Data:
    """Keys, leases and history; no time passes in here. Each revision is one place of the history."""

    def __init__(self) -> None:
        self.revision = 0
        self.entries: dict[str, Entry] = {}
        self.leases: dict[str, _Held] = {}
        self._grants = 0
        self._owners: dict[str, str] = {}
        """The leases of the keys that have one."""
        self._history: list[Changes] = []

    @property
    def next_lapse(self) -> float:
        """When the next lease lapses."""
        return min((held.lapses for held in self.leases.values()), default=math.inf)

    def grant(self, node: str, lapses: float, ttl: float) -> str:
        self._grants += 1
        self.leases[str(self._grants)] = _Held(node, ttl, lapses)
        return str(self._grants)

    def renew(self, lease: str, now: float) -> bool:
        held = self.leases.get(lease)
        if held is not None:
            held.lapses = now + held.ttl
        return held is not None

    def revoke(self, lease: str) -> None:
        held = self.leases.pop(lease, None)
        if held is not None and held.keys:
            self._change(*map(Removed, sorted(held.keys)))

    def lapse(self, now: float) -> bool:
        """End the leases that have lapsed, in their order; return whether there were any."""
        over = sorted((held.lapses, lease) for lease, held in self.leases.items() if held.lapses <= now)
        for _, lease in over:
            self.revoke(lease)
        return bool(over)

    def create(self, key: str, value: bytes, lease: str | None) -> Created | None:
        """Create a key; ``None`` where the lease is not known."""
        if lease is not None and lease not in self.leases:
            return None
        there = self.entries.get(key)
        if there is not None:
            return Created(False, there.token)
        if lease is not None:
            self._owners[key] = lease
            self.leases[lease].keys.add(key)
        token = self.revision + 1
        self._change(Entry(key, value, token))
        return Created(True, token)

    def put(self, key: str, value: bytes, token: int) -> bool:
        return self._has(key, token) and self._change(Entry(key, value, token))

    def delete(self, key: str, token: int) -> bool:
        return self._has(key, token) and self._change(Removed(key))

    def find(self, prefix: str) -> Listing:
        found = tuple(self.entries[key] for key in sorted(self.entries) if key.startswith(prefix))
        return Listing(found, self.revision)

    def since(self, revision: int) -> list[Changes] | None:
        """Return what has changed since; ``None`` where it is forgotten, or the revision has never been."""
        start = revision - (self.revision - len(self._history))
        return self._history[start:] if 0 <= start < len(self._history) else None

    def forget(self, revision: int) -> None:
        """Forget the changes up to a revision."""
        del self._history[: revision - (self.revision - len(self._history))]

    def _has(self, key: str, token: int) -> bool:
        there = self.entries.get(key)
        return there is not None and there.token == token

    def _change(self, *changes: Entry | Removed) -> bool:
        for change in changes:
            if isinstance(change, Entry):
                self.entries[change.key] = change
            else:
                del self.entries[change.key]
                owner = self.leases.get(self._owners.pop(change.key, ""))
                if owner is not None:
                    owner.keys.remove(change.key)
        self.revision += 1
        self._history.append(Changes(self.revision, changes))
        if len(self._history) > 2 * _LONGEST_HISTORY:
            self.forget(self.revision - _LONGEST_HISTORY)
        return True
