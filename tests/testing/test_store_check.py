"""The check for stores of one's own: ours pass it, and broken ones are told what they broke."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from random import Random

import pytest
import trio
from trio.testing import MockClock

from trioakt.cluster.lease import Lease
from trioakt.cluster.memory import MemoryStore
from trioakt.cluster.store import Changes, Created, Entry, Listing, Removed, Resync, Store
from trioakt.testing import check_store


@pytest.mark.parametrize("seed", range(3))
async def test_the_store_in_memory_keeps_the_promises(autojump_clock: MockClock, seed: int) -> None:
    store = MemoryStore()
    await check_store(store, seed=seed)
    assert (await store.list("")).entries == ()


@pytest.mark.parametrize("seed", range(3))
async def test_it_keeps_them_when_every_way_takes_a_while(autojump_clock: MockClock, seed: int) -> None:
    store = MemoryStore()
    store.delay(0.0, 0.01, Random(seed))
    await check_store(store, seed=seed)


async def test_the_check_leaves_keys_of_others_alone(autojump_clock: MockClock) -> None:
    store = MemoryStore()
    _, token = await store.create("checks", b"")
    await check_store(store, steps=20)
    assert (await store.list("")).entries == (Entry("checks", b"", token),)


class Sound:
    """A sound store to break in one place."""

    def __init__(self) -> None:
        self.inner = MemoryStore()

    def grant(self, ttl: float) -> AbstractAsyncContextManager[Lease]:
        return self.inner.grant(ttl)

    async def create(self, key: str, value: bytes, lease: Lease | None = None) -> Created:
        return await self.inner.create(key, value, lease)

    async def put_guarded(self, key: str, value: bytes, token: int) -> bool:
        return await self.inner.put_guarded(key, value, token)

    async def delete(self, key: str, token: int) -> bool:
        return await self.inner.delete(key, token)

    async def list(self, prefix: str) -> Listing:
        return await self.inner.list(prefix)

    def watch(self, prefix: str, revision: int) -> AbstractAsyncContextManager[AsyncIterator[Changes | Resync]]:
        return self.inner.watch(prefix, revision)

    async def holder(self, key: str) -> int:
        """Return the token of a key, or 0."""
        return next((one.token for one in (await self.inner.list(key)).entries if one.key == key), 0)


class Overwrites(Sound):
    async def create(self, key: str, value: bytes, lease: Lease | None = None) -> Created:
        created = await self.inner.create(key, value, lease)
        if not created.won:
            await self.inner.put_guarded(key, value, created.token)
        return created


class LooksBeforeItCreates(Sound):
    async def create(self, key: str, value: bytes, lease: Lease | None = None) -> Created:
        held = await self.holder(key)
        return Created(False, held) if held else Created(True, (await self.inner.create(key, value, lease)).token)


class CountsTokensForEachKey(Sound):
    def __init__(self) -> None:
        super().__init__()
        self.counts: dict[str, int] = {}

    async def create(self, key: str, value: bytes, lease: Lease | None = None) -> Created:
        created = await self.inner.create(key, value, lease)
        self.counts[key] = self.counts.get(key, 0) + created.won
        return Created(created.won, self.counts[key])

    async def delete(self, key: str, token: int) -> bool:
        return token == self.counts.get(key) and await self.inner.delete(key, await self.holder(key))

    async def list(self, prefix: str) -> Listing:
        listing = await self.inner.list(prefix)
        entries = (Entry(one.key, one.value, self.counts.get(one.key, 0)) for one in listing.entries)
        return Listing(tuple(entries), listing.revision)


class PutsUnderAnyToken(Sound):
    async def put_guarded(self, key: str, value: bytes, token: int) -> bool:
        return await self.inner.put_guarded(key, value, await self.holder(key))


class DeletesUnderOlderTokens(Sound):
    async def delete(self, key: str, token: int) -> bool:
        held = await self.holder(key)
        return held >= token and await self.inner.delete(key, held)


class PutsANewKey(Sound):
    async def put_guarded(self, key: str, value: bytes, token: int) -> bool:
        return await self.inner.delete(key, token) and (await self.inner.create(key, value)).won


class TakesPatterns(Sound):
    async def list(self, prefix: str) -> Listing:
        listing = await self.inner.list("")
        found = tuple(one for one in listing.entries if one.key.lower().startswith(prefix.lower()))
        return Listing(found, listing.revision)


class ListsOutOfOrder(Sound):
    async def list(self, prefix: str) -> Listing:
        listing = await self.inner.list(prefix)
        return Listing(tuple(sorted(listing.entries, key=lambda one: one.token)), listing.revision)


class ListsFromACopy(Sound):
    def __init__(self) -> None:
        super().__init__()
        self.copies: dict[str, Listing] = {}

    async def list(self, prefix: str) -> Listing:
        stale, self.copies[prefix] = self.copies.get(prefix), await self.inner.list(prefix)
        return stale or self.copies[prefix]


class ListsTooLateARevision(Sound):
    async def list(self, prefix: str) -> Listing:
        listing = await self.inner.list(prefix)
        return Listing(listing.entries, listing.revision + 1)


class TakesAnySize(Sound):
    async def create(self, key: str, value: bytes, lease: Lease | None = None) -> Created:
        return await self.inner.create(key[:1024] or "none", value[: 2**19], lease)


class LosesLargeValues(Sound):
    async def create(self, key: str, value: bytes, lease: Lease | None = None) -> Created:
        return await self.inner.create(key, value[: 2**16] if len(value) <= 2**19 else value, lease)


class Leaves(Sound):
    async def create(self, key: str, value: bytes, lease: Lease | None = None) -> Created:
        return await self.inner.create(key, value)


class CreatesUnderALostLease(Sound):
    async def create(self, key: str, value: bytes, lease: Lease | None = None) -> Created:
        return await self.inner.create(key, value, lease if lease is None or lease.holds else None)


class EndsLeasesKeyByKey(Sound):
    def __init__(self) -> None:
        super().__init__()
        self.leased: dict[str, int] = {}

    @asynccontextmanager
    async def grant(self, ttl: float) -> AsyncGenerator[Lease]:
        async with self.inner.grant(ttl) as lease:
            yield lease
            for key, token in self.leased.items():
                await self.inner.delete(key, token)

    async def create(self, key: str, value: bytes, lease: Lease | None = None) -> Created:
        created = await self.inner.create(key, value, lease)
        if lease is not None and created.won:
            self.leased[key] = created.token
        return created


class EndsAfterAWhile(Sound):
    @asynccontextmanager
    async def grant(self, ttl: float) -> AsyncGenerator[Lease]:
        async with self.inner.grant(ttl) as lease, trio.open_nursery() as nursery:
            nursery.start_soon(self.end, lease, ttl)
            yield lease
            nursery.cancel_scope.cancel()

    async def end(self, lease: Lease, ttl: float) -> None:
        await trio.sleep(1.5 * ttl)
        self.inner.expire("")


class Heard(Sound):
    """Breaks what a watch tells."""

    @asynccontextmanager
    async def watch(self, prefix: str, revision: int) -> AsyncGenerator[AsyncIterator[Changes | Resync]]:
        async with self.inner.watch(prefix, revision) as changes, aclosing(self.retold(changes)) as retold:
            yield retold

    async def retold(self, changes: AsyncIterator[Changes | Resync]) -> AsyncGenerator[Changes | Resync]:
        async for each in changes:
            yield each


class ForgetsRemovals(Heard):
    async def retold(self, changes: AsyncIterator[Changes | Resync]) -> AsyncGenerator[Changes | Resync]:
        async for each in changes:
            if isinstance(each, Changes) and not any(isinstance(one, Removed) for one in each.changes):
                yield each


class TellsTwice(Heard):
    async def retold(self, changes: AsyncIterator[Changes | Resync]) -> AsyncGenerator[Changes | Resync]:
        async for each in changes:
            yield each
            yield each


class TellsRemovalsOneByOne(Heard):
    async def retold(self, changes: AsyncIterator[Changes | Resync]) -> AsyncGenerator[Changes | Resync]:
        async for each in changes:
            assert isinstance(each, Changes)
            for change in each.changes:
                yield Changes(each.revision, (change,))


class TellsOfAllKeys(Sound):
    def watch(self, prefix: str, revision: int) -> AbstractAsyncContextManager[AsyncIterator[Changes | Resync]]:
        return self.inner.watch("", revision)


class ReplaysNothing(Sound):
    @asynccontextmanager
    async def watch(self, prefix: str, revision: int) -> AsyncGenerator[AsyncIterator[Changes | Resync]]:
        now = await self.inner.list("")
        async with self.inner.watch(prefix, now.revision) as changes:
            yield changes


class TellsOnceTooMuch(Sound):
    def watch(self, prefix: str, revision: int) -> AbstractAsyncContextManager[AsyncIterator[Changes | Resync]]:
        return self.inner.watch(prefix, max(0, revision - 1))


class AlwaysResyncs(Heard):
    async def retold(self, changes: AsyncIterator[Changes | Resync]) -> AsyncGenerator[Changes | Resync]:
        yield Resync()


class AnswersTooEarly(Sound):
    """Writes are done a little after they have returned."""

    async def put_guarded(self, key: str, value: bytes, token: int) -> bool:
        holds = await self.holder(key) == token
        if holds:
            trio.lowlevel.spawn_system_task(self.inner.put_guarded, key, value, token)
        return holds


class HasOneWatch(Sound):
    def __init__(self) -> None:
        super().__init__()
        self.one = trio.Lock()

    @asynccontextmanager
    async def watch(self, prefix: str, revision: int) -> AsyncGenerator[AsyncIterator[Changes | Resync]]:
        async with self.one, self.inner.watch(prefix, revision) as changes:
            yield changes


async def test_a_sound_store_passes(autojump_clock: MockClock) -> None:
    store: Store = Sound()
    await check_store(store)


@pytest.mark.parametrize(
    ("broken", "what"),
    [
        (Overwrites, "lost changes nothing"),
        (LooksBeforeItCreates, "20 that create one key at once"),
        (CountsTokensForEachKey, "larger than all before"),
        (PutsUnderAnyToken, "a put under a wrong token"),
        (DeletesUnderOlderTokens, "a delete under a wrong token"),
        (PutsANewKey, "leaves the token"),
        (TakesPatterns, "gives its keys"),
        (ListsOutOfOrder, "in their order"),
        (ListsFromACopy, "a put replaces"),
        (ListsTooLateARevision, "its keys alone"),
        (TakesAnySize, "too large"),
        (LosesLargeValues, "values stay"),
        (Leaves, "the keys of a lease go"),
        (CreatesUnderALostLease, "a lease that is lost"),
        (EndsLeasesKeyByKey, "in one revision"),
        (EndsAfterAWhile, "a lease is held"),
        (ForgetsRemovals, "once, in order"),
        (TellsTwice, "goes forward|its keys alone"),
        (TellsRemovalsOneByOne, "goes forward"),
        (TellsOfAllKeys, "its keys alone"),
        (ReplaysNothing, "hears of revision"),
        (TellsOnceTooMuch, "its keys alone|hears all since"),
        (AlwaysResyncs, "needs no list"),
        (AnswersTooEarly, "a put replaces"),
        (HasOneWatch, "many watches at once"),
    ],
)
async def test_a_broken_store_is_told_what_it_broke(autojump_clock: MockClock, broken: type[Sound], what: str) -> None:
    with pytest.raises(AssertionError, match=what):
        await check_store(broken())
