"""Owners of the past: what they cannot store any more, and where the token comes from that tells them apart."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock
from trio.testing import wait_all_tasks_blocked as settle

from tests.cluster.nodes import Town, open_town
from tests.persistence.accounts import (
    RESUME,
    Account,
    Balance,
    Counter,
    Forgetful,
    Money,
    Next,
    account,
    change,
    why_failed,
)
from tests.persistence.owners import Way, change_in_vain, lose
from trioakt import ActorFailedError, ActorRef, ActorSystem, StartError
from trioakt.errors import FencedError
from trioakt.persistence import MemoryJournal


async def singleton(town: Town, way: MemoryJournal, kind: type[Account] = Account) -> ActorRef:
    """Return an account that a first node has, which is cut off by ``lose``."""
    node = await town.start("first", kinds=[kind], extensions=[way])
    return await node.spawn_singleton(kind, name="ada")


# What is refused


async def test_an_owner_of_the_past_can_store_nothing_and_keeps_its_state(autojump_clock: MockClock) -> None:
    journal = MemoryJournal()
    async with account(journal, supervision=RESUME) as ada:
        await change(ada, 10)
        await journal.fence("ada", 1)
        assert isinstance(await why_failed(ada, 5), FencedError)
        assert await ada.ask(Balance()) == Money(10, (10,))
    assert len(await journal.read("ada", 0, 10)) == 1


async def test_an_owner_of_the_past_can_save_nothing(autojump_clock: MockClock) -> None:
    journal = MemoryJournal()
    async with ActorSystem("test", extensions=[journal]) as system:
        counter = await system.spawn(Counter, supervision=RESUME)
        await counter.ask(Next())
        await journal.fence("counter", 1)
        with pytest.raises(ActorFailedError) as failed:
            await counter.ask(Next())
    assert isinstance(failed.value.__cause__, FencedError)
    snapshot = await journal.load_snapshot("counter")
    assert snapshot is not None
    assert snapshot.sequence == 1


async def test_an_owner_of_the_past_does_not_start(autojump_clock: MockClock) -> None:
    journal = MemoryJournal()
    await journal.fence("ada", 7)
    async with ActorSystem("test", extensions=[journal]) as system:
        with pytest.raises(StartError) as failed:
            await system.spawn(Account)
    error = failed.value.__cause__
    assert isinstance(error, FencedError)
    assert (error.persistence_id, error.token, error.fence) == ("ada", 0, 7)
    assert "the newer owner has it" in str(error)


# Where the token comes from


async def test_a_singleton_stores_with_its_fencing_token_events_snapshots_and_deletions(
    autojump_clock: MockClock,
) -> None:
    way = Way(MemoryJournal())
    async with open_town() as town:
        ada = await singleton(town, way, Forgetful)
        for amount in range(1, 6):
            await change(ada, amount)
    assert len(way.fences) == 1
    assert way.fences[0] > 0
    assert [event.sequence for event in await way.read("ada", 0, 10)] == [4, 5]


async def test_a_singleton_that_is_restarted_has_the_token_that_it_had(autojump_clock: MockClock) -> None:
    way = Way(MemoryJournal())
    async with open_town() as town:
        ada = await singleton(town, way)
        await change(ada, 10)
        await why_failed(ada, -100)
        assert await change(ada, 1) == 11
    first, second = way.fences
    assert first == second


async def test_a_write_that_arrives_when_another_node_has_the_singleton_is_not_stored(
    autojump_clock: MockClock,
) -> None:
    journal = MemoryJournal()
    way = Way(journal)
    async with open_town() as town, trio.open_nursery() as nursery:
        ada = await singleton(town, way)
        await change(ada, 10)
        second = await town.start("second", kinds=[Account], extensions=[journal])
        way.gate = trio.Event()
        nursery.start_soon(change_in_vain, ada)
        await settle()

        await lose(town)
        found = await second.locate("ada")
        assert found is not None
        assert await found.ask(Balance()) == Money(10, (10,))
        way.gate.set()
        await settle()

        assert len(await journal.read("ada", 0, 10)) == 1
        assert await change(found, 1) == 11
