"""The store in memory: its faults, one by one."""

from __future__ import annotations

from random import Random

import pytest
import trio
from trio.testing import MockClock

from trioakt import LeaseLostError, NoQuorumError
from trioakt.cluster.memory import MemoryStore, StoreStatistics
from trioakt.cluster.store import Changes, Entry, Removed, Resync, Store

NOTHING = StoreStatistics(keys=0, leases=0, watches=0)


async def holders(store: Store) -> dict[str, bytes]:
    return {entry.key: entry.value for entry in (await store.list("")).entries}


def test_it_and_its_views_are_stores() -> None:
    store = MemoryStore()
    assert isinstance(store, Store)
    assert isinstance(store.view("a"), Store)


async def test_views_have_the_same_keys(autojump_clock: MockClock) -> None:
    store = MemoryStore()
    won, token = await store.view("a").create("key", b"a")
    assert won
    assert await store.view("b").create("key", b"b") == (False, token)
    assert await holders(store) == {"key": b"a"}


async def test_nothing_is_left_when_leases_and_watches_have_ended(autojump_clock: MockClock) -> None:
    store = MemoryStore()
    async with store.grant(5) as lease, store.watch("", 0):
        await store.create("key", b"", lease)
        assert store.statistics() == StoreStatistics(keys=1, leases=1, watches=1)
    assert store.statistics() == NOTHING


async def test_leases_lapse_when_nobody_uses_the_store(autojump_clock: MockClock) -> None:
    store = MemoryStore()
    async with store.view("a").grant(5) as lease:
        await store.view("a").create("key", b"", lease)
        store.partition("a")
        await trio.sleep(10)
        assert store.statistics() == NOTHING


# Cut off


async def test_a_node_that_is_cut_off_gets_no_answer_and_the_others_go_on(autojump_clock: MockClock) -> None:
    store = MemoryStore()
    a, b = store.view("a"), store.view("b")
    store.partition("a")
    for verb in a.create("a", b""), a.list(""), a.put_guarded("a", b"", 1), a.delete("a", 1):
        start = trio.current_time()
        with pytest.raises(NoQuorumError):
            await verb
        assert trio.current_time() == start + 1.0
    assert (await b.create("b", b"")).won
    store.heal("a")
    assert (await a.create("a", b"")).won


async def test_a_verb_goes_on_when_its_node_is_reached_again_in_time(autojump_clock: MockClock) -> None:
    store = MemoryStore()
    store.partition("a")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(store.view("a").create, "key", b"")
        await trio.sleep(0.5)
        store.heal()
    assert await holders(store) == {"key": b""}


async def test_a_verb_that_is_cut_off_on_its_way_back_has_taken_effect(autojump_clock: MockClock) -> None:
    store = MemoryStore()
    store.delay(1.0, 1.0, Random(0))

    async def cut_off() -> None:
        await trio.sleep(1.5)
        store.partition("a")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(cut_off)
        with pytest.raises(NoQuorumError):
            await store.view("a").create("key", b"")
    assert await holders(store) == {"key": b""}


async def test_a_watch_that_is_cut_off_says_so_and_can_be_taken_up_again(autojump_clock: MockClock) -> None:
    store = MemoryStore()
    a = store.view("a")
    async with a.watch("", 0) as changes:
        store.partition("a")
        _, token = await store.create("key", b"")
        with pytest.raises(NoQuorumError):
            await anext(changes)
    store.heal()
    async with a.watch("", 0) as changes:
        assert await anext(changes) == Changes(1, (Entry("key", b"", token),))


async def test_who_is_cut_off_loses_its_lease_before_the_others_get_what_it_had(autojump_clock: MockClock) -> None:
    store = MemoryStore()
    lost_at = 0.0
    async with store.view("a").grant(5) as lease:
        await store.view("a").create("key", b"", lease)
        store.partition("a")
        async with store.watch("", 1) as changes, trio.open_nursery() as nursery:

            async def notice() -> None:
                nonlocal lost_at
                await lease.lost.wait()
                lost_at = trio.current_time()

            nursery.start_soon(notice)
            assert await anext(changes) == Changes(2, (Removed("key"),))
            assert 0 < lost_at < trio.current_time() == 5.0


# Frozen


async def test_a_frozen_store_answers_when_it_thaws(autojump_clock: MockClock) -> None:
    store = MemoryStore()
    store.freeze()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(store.create, "key", b"")
        await trio.sleep(100)
        assert store.statistics() == NOTHING
        store.thaw()
    assert await holders(store) == {"key": b""}


async def test_a_frozen_store_lets_leases_lapse(autojump_clock: MockClock) -> None:
    store = MemoryStore()
    async with store.grant(5) as lease:
        await store.create("key", b"", lease)
        store.freeze()
        await lease.lost.wait()
        assert trio.current_time() == 4.0
        await trio.sleep(2)
        store.thaw()
        assert await holders(store) == {}


async def test_a_watch_hears_after_the_thaw_what_happened_before_the_frost(autojump_clock: MockClock) -> None:
    store = MemoryStore()
    async with store.watch("", 0) as changes:
        await store.create("key", b"")
        store.freeze()
        with trio.move_on_after(10) as scope:
            await anext(changes)
        assert scope.cancelled_caught
        store.thaw()
        assert isinstance(await anext(changes), Changes)


# Late


async def test_each_way_takes_as_long_as_it_is_told(autojump_clock: MockClock) -> None:
    store = MemoryStore()
    store.delay(0.5, 0.5, Random(0))
    await store.create("key", b"")
    assert trio.current_time() == 1.0
    async with store.watch("", 0) as changes:
        await anext(changes)
    assert trio.current_time() > 1.0
    store.delay(0, 0, Random(0))
    start = trio.current_time()
    await store.list("")
    assert trio.current_time() == start


# Forgetful


async def test_a_watch_from_before_what_was_forgotten_is_told_to_list_again_and_ends(autojump_clock: MockClock) -> None:
    store = MemoryStore()
    await store.create("old", b"")
    store.forget()
    async with store.watch("", 0) as changes:
        assert [each async for each in changes] == [Resync()]


async def test_a_watch_that_has_heard_everything_goes_on_after_it_was_forgotten(
    autojump_clock: MockClock,
) -> None:
    store = MemoryStore()
    _, old = await store.create("old", b"")
    async with store.watch("", 0) as changes:
        await anext(changes)
        store.forget()
        await store.delete("old", old)
        assert await anext(changes) == Changes(2, (Removed("old"),))


async def test_a_watch_from_a_revision_that_has_never_been_is_told_to_list_again(autojump_clock: MockClock) -> None:
    async with MemoryStore().watch("", 7) as changes:
        assert [each async for each in changes] == [Resync()]


async def test_the_history_is_bounded(autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trioakt.cluster.memory._LONGEST_HISTORY", 10)
    store = MemoryStore()
    _, token = await store.create("key", b"")
    for number in range(50):
        await store.put_guarded("key", b"%d" % number, token)
    async with store.watch("", 1) as changes:
        assert await anext(changes) == Resync()
    async with store.watch("", 51 - 10) as changes:
        assert isinstance(await anext(changes), Changes)


# Without its lease


async def test_a_node_whose_leases_are_ended_loses_its_keys_at_once_and_notices_soon(autojump_clock: MockClock) -> None:
    store = MemoryStore()
    async with store.view("a").grant(5) as mine, store.view("b").grant(5) as other:
        await store.view("a").create("a", b"", mine)
        await store.view("b").create("b", b"", other)
        store.expire("a")
        assert await holders(store) == {"b": b""}
        with pytest.raises(LeaseLostError):
            await store.view("a").create("late", b"", mine)
        await mine.lost.wait()
        assert trio.current_time() == 1.0
        await trio.sleep(10)
        assert other.holds
