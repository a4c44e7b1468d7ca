"""Grains that keep their state in the journal: what the next activation knows, and what nobody may store."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock
from trio.testing import wait_all_tasks_blocked as settle

from tests.cluster.nodes import open_town
from tests.core.actors import Do, run_hook
from tests.persistence.accounts import Change, Changed, Count, Money, Next, change, why_failed
from tests.persistence.owners import Way, change_in_vain, lose
from trioakt import ActorSystem, Context
from trioakt.errors import FencedError
from trioakt.grains.persistent import EventSourcedGrain, SnapshottedGrain
from trioakt.patterns.passivation import Idle
from trioakt.persistence import Journal, MemoryJournal, open_sqlite_journal


class Account(EventSourcedGrain[Money]):
    passivation = Idle(60.0)
    snapshot_every = 3

    def __init__(self) -> None:
        super().__init__(Money())

    def apply(self, state: Money, event: Changed) -> Money:
        return Money(state.balance + event.amount, (*state.changes, event.amount))

    async def receive(self, ctx: Context, msg: Any) -> None:
        match msg:
            case Change(amounts):
                await self.persist(*map(Changed, amounts))
                ctx.reply(self.state.balance)
            case Do(function):
                await run_hook(function, ctx)
            case _:
                ctx.unhandled()


class Savings(Account):
    """Another kind of account."""


class Counter(SnapshottedGrain[Count]):
    def __init__(self) -> None:
        super().__init__(Count(), kind="counters")

    async def receive(self, ctx: Context, msg: Next) -> None:
        await self.save(Count(self.state.number + 1))
        ctx.reply(self.state.number)


class CounterByAnotherName(Counter):
    """What has become of ``Counter`` in a later release."""


@asynccontextmanager
async def bank(journal: Journal) -> AsyncGenerator[ActorSystem]:
    """Open a system with this journal."""
    async with ActorSystem("bank", extensions=[journal]) as system:
        yield system


async def test_a_grain_that_was_passivated_has_its_state_when_it_is_activated_again(autojump_clock: MockClock) -> None:
    async with bank(MemoryJournal()) as system:
        ada = system.grain(Account, "ada")
        for visit in range(1, 6):
            assert await change(ada, 10) == visit * 10
            await trio.sleep(100)
            with pytest.raises(TypeError, match="not active"):
                ada.statistics()


async def test_the_state_is_there_before_the_first_of_many_messages(autojump_clock: MockClock) -> None:
    journal = MemoryJournal()
    for life in range(3):
        async with bank(journal) as system, trio.open_nursery() as nursery:
            balances: list[int] = []

            async def note(system: ActorSystem = system, balances: list[int] = balances) -> None:
                balances.append(await change(system.grain(Account, "ada"), 1))

            for _ in range(10):
                nursery.start_soon(note)
        assert sorted(balances) == list(range(life * 10 + 1, life * 10 + 11))


async def test_a_grain_that_fails_recovers_its_state(autojump_clock: MockClock) -> None:
    def fail(ctx: Context) -> None:
        raise ValueError("mine")

    async with bank(MemoryJournal()) as system:
        ada = system.grain(Account, "ada")
        await change(ada, 10)
        ada.tell(Do(fail))
        assert await change(ada, 5) == 15


async def test_each_identity_of_each_kind_has_a_state_of_its_own(autojump_clock: MockClock) -> None:
    grains = [(kind, identity) for kind in (Account, Savings) for identity in ("ada", "ada/1", "eve", "雪 ☃")]
    journal = MemoryJournal()
    for _ in range(2):
        async with bank(journal) as system:
            for amount, (kind, identity) in enumerate(grains):
                await change(system.grain(kind, identity), amount)
    async with bank(journal) as system:
        balances = [await change(system.grain(kind, identity)) for kind, identity in grains]
    assert balances == [2 * amount for amount in range(len(grains))]


async def test_a_state_that_is_stored_whole_is_there_when_the_file_is_opened_again(tmp_path: Path) -> None:
    for life in range(3):
        async with open_sqlite_journal(tmp_path / "journal.db") as journal, bank(journal) as system:
            assert await system.grain(Counter, "visits").ask(Next()) == life + 1


async def test_a_class_that_was_renamed_finds_what_is_kept_under_the_name_that_it_gives(
    autojump_clock: MockClock,
) -> None:
    journal = MemoryJournal()
    async with bank(journal) as system:
        assert await system.grain(Counter, "visits").ask(Next()) == 1
        assert await system.grain(Counter, "visits").ask(Next()) == 2
    async with bank(journal) as system:
        assert await system.grain(CounterByAnotherName, "visits").ask(Next()) == 3
    assert await journal.load_snapshot("grains/counters/visits") is not None


async def test_a_grain_that_has_a_newer_owner_stores_nothing(autojump_clock: MockClock) -> None:
    journal = MemoryJournal()
    identity = f"grains/{__name__}.Account/ada"
    async with bank(journal) as system:
        ada = system.grain(Account, "ada")
        await change(ada, 10)
        await journal.fence(identity, 1)
        assert isinstance(await why_failed(ada, 5), FencedError)
    assert len(await journal.read(identity, 0, 10)) == 1


async def test_a_system_without_a_journal_is_told_so(autojump_clock: MockClock) -> None:
    async with ActorSystem("bank") as system:
        assert "Journal" in str(await why_failed(system.grain(Account, "ada"), 10))


# In a cluster


async def test_a_grain_that_is_activated_again_on_its_node_comes_back_with_the_same_token(
    autojump_clock: MockClock,
) -> None:
    way = Way(MemoryJournal())
    async with open_town() as town:
        node = await town.start("a", grains=[Account], extensions=[way])
        for visit in range(1, 4):
            assert await change(node.grain(Account, "ada"), 10) == visit * 10
            await trio.sleep(100)
    assert len(way.fences) == 3
    assert len(set(way.fences)) == 1
    assert way.fences[0] > 0


async def test_a_grain_moves_with_its_state_to_an_owner_with_a_larger_token(autojump_clock: MockClock) -> None:
    journal = MemoryJournal()
    first, second = Way(journal), Way(journal)
    async with open_town() as town:
        one = await town.start("first", grains=[Account], extensions=[first])
        other = await town.start("second", grains=[Account], extensions=[second])
        ada = other.grain(Account, "ada")
        await change(ada, 10)
        owner, heir = (one, second) if first.fences else (other, first)
        await town.leave(owner)
        ada = (one if owner is other else other).grain(Account, "ada")
        assert await change(ada, 1) == 11
    tokens = [*first.fences, *second.fences]
    assert len(set(tokens)) == 2
    assert heir.fences == [max(tokens)]


async def test_a_write_that_arrives_when_another_node_has_the_grain_is_not_stored(autojump_clock: MockClock) -> None:
    journal = MemoryJournal()
    way = Way(journal)
    async with open_town() as town, trio.open_nursery() as nursery:
        first = await town.start("first", grains=[Account], extensions=[way])
        await change(first.grain(Account, "ada"), 10)
        second = await town.start("second", grains=[Account], extensions=[journal])
        way.gate = trio.Event()
        nursery.start_soon(change_in_vain, first.grain(Account, "ada"))
        await settle()

        await lose(town)
        ada = second.grain(Account, "ada")
        assert await change(ada) == 10
        way.gate.set()
        await settle()

        assert await change(ada, 1) == 11
    assert len(await journal.read(f"grains/{__name__}.Account/ada", 0, 10)) == 2
