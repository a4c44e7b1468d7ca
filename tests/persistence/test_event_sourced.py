"""Event-sourced actors: what is stored, and what a failure in between leaves."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock
from trio.testing import wait_all_tasks_blocked as settle

from tests.core.actors import Do
from tests.persistence.accounts import (
    RESUME,
    Account,
    Balance,
    Changed,
    Money,
    Moody,
    Next,
    OverdrawnError,
    account,
    balance_in_a_new_system,
    change,
    why_failed,
)
from trioakt import (
    ActorSystem,
    CodecError,
    Context,
    Directive,
    JournalError,
    JournalFullError,
    OneForOne,
    Request,
    SequenceConflictError,
    message,
)
from trioakt.persistence import EventSourced, MemoryJournal

# Storing and recovering


async def test_what_was_persisted_is_there_in_the_next_system(autojump_clock: MockClock) -> None:
    journal = MemoryJournal()
    async with account(journal) as ada:
        assert await change(ada, 10) == 10
        assert await change(ada, 5, -3) == 12
    assert await balance_in_a_new_system(journal) == Money(12, (10, 5, -3))


async def test_a_restart_recovers_the_state_before_the_next_message(autojump_clock: MockClock) -> None:
    async with account(Moody()) as ada:
        await change(ada, 10)
        failing, balance = trio.Event(), list[Money]()

        async def ask() -> None:
            await failing.wait()
            balance.append(await ada.ask(Balance()))

        def fail(ctx: Context) -> None:
            failing.set()
            raise ValueError("mine")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            ada.tell(Do(fail))
        assert balance == [Money(10, (10,))]
        assert ada.statistics().restarts == 1


async def test_nothing_to_persist_writes_nothing(autojump_clock: MockClock) -> None:
    journal = MemoryJournal()
    async with account(journal) as ada:
        assert await change(ada) == 0
    assert await journal.read("ada", 0, 10) == []


async def test_the_state_may_be_anything_where_there_are_no_snapshots(autojump_clock: MockClock) -> None:
    class Sum(EventSourced[int]):
        def apply(self, state: int, event: Changed) -> int:
            return state + event.amount

        async def receive(self, ctx: Context, msg: Any) -> None:
            await self.persist(Changed(5), Changed(6))
            ctx.reply(self.state)

    async with ActorSystem("test", extensions=[MemoryJournal()]) as system:
        assert await (await system.spawn(Sum, "sum", 100)).ask(Next()) == 111


async def test_persisting_from_several_tasks_at_once_keeps_every_event(autojump_clock: MockClock) -> None:
    journal = MemoryJournal()

    class Parallel(Account):
        async def receive(self, ctx: Context, msg: Any) -> None:
            async with trio.open_nursery() as nursery:
                for amount in range(10):
                    nursery.start_soon(self.persist, Changed(amount))
            ctx.reply(self.state.balance)

    async with account(journal, Parallel) as ada:
        assert await change(ada, 0) == 45
    assert (await balance_in_a_new_system(journal)).balance == 45


# What must not be stored


async def test_an_event_that_apply_refuses_is_not_stored_nor_those_beside_it(autojump_clock: MockClock) -> None:
    journal = MemoryJournal()
    async with account(journal, supervision=RESUME) as ada:
        await change(ada, 10)
        assert isinstance(await why_failed(ada, 5, -100, 7), OverdrawnError)
        assert await ada.ask(Balance()) == Money(10, (10,))
        assert await change(ada, 1) == 11
    assert await balance_in_a_new_system(journal) == Money(11, (10, 1))


async def test_a_handler_may_catch_what_apply_raises_and_refuse(autojump_clock: MockClock) -> None:
    class Polite(Account):
        async def receive(self, ctx: Context, msg: Any) -> None:
            try:
                await super().receive(ctx, msg)
            except OverdrawnError as error:
                ctx.reply_to.fail(error)

    async with account(MemoryJournal(), Polite) as ada:
        assert isinstance(await why_failed(ada, -1), OverdrawnError)
        assert await change(ada, 1) == 1
        assert ada.statistics().restarts == 0


@message(name="test.reshaped")
class Reshaped:
    """Can be encoded, but not read again: nothing says how it becomes version 2."""


@message(name="test.reshaped", version=2)
class ReshapedLater:
    number: int


class NotAMessage:
    pass


@pytest.mark.parametrize("event", [NotAMessage(), Reshaped()])
async def test_an_event_that_could_not_be_read_again_is_not_stored(event: object, autojump_clock: MockClock) -> None:
    journal = MemoryJournal()

    class Odd(Account):
        async def receive(self, ctx: Context, msg: Any) -> None:
            await self.persist(Changed(1), event)

    async with account(journal, Odd, supervision=RESUME) as ada:
        assert isinstance(await why_failed(ada), CodecError)
    assert await journal.read("ada", 0, 10) == []


async def test_apply_without_a_state_is_an_error_and_stores_nothing(autojump_clock: MockClock) -> None:
    journal = MemoryJournal()

    class Forgot(Account):
        def apply(self, state: Money, event: Any) -> Money:
            return None  # type: ignore[return-value]  # pyright: ignore[reportReturnType]

    async with account(journal, Forgot) as ada:
        assert isinstance(await why_failed(ada, 1), TypeError)
    assert await journal.read("ada", 0, 10) == []


# Writes that fail or are cut short


@pytest.mark.parametrize("strategy", [RESUME, OneForOne()])
async def test_a_failed_write_fails_the_handler_and_leaves_the_state(
    strategy: OneForOne, autojump_clock: MockClock
) -> None:
    journal = Moody()
    async with account(journal, supervision=strategy) as ada:
        await change(ada, 10)
        journal.full = True
        assert isinstance(await why_failed(ada, 5), JournalFullError)
        assert await ada.ask(Balance()) == Money(10, (10,))
        journal.full = False
        assert await change(ada, 7) == 17


async def test_a_kill_in_the_middle_of_a_write_strikes_when_its_outcome_is_known(autojump_clock: MockClock) -> None:
    journal = Moody()
    seen: list[Money] = []

    class Watched(Account):
        async def receive(self, ctx: Context, msg: Any) -> None:
            await super().receive(ctx, msg)
            await trio.sleep_forever()

        def post_stop(self, ctx: Context) -> None:
            seen.append(self.state)

    async with account(journal, Watched) as ada, trio.open_nursery() as nursery:
        journal.gate = trio.Event()
        nursery.start_soon(change, ada, 5)
        await settle()
        ada.kill()
        await trio.sleep(1)
        assert seen == []
        journal.gate.set()
        await ada.wait_stopped()
    assert seen == [Money(5, (5,))]
    assert await balance_in_a_new_system(journal) == Money(5, (5,))


@message(cancellable=True)
class Impatient(Request[int]):
    """A change whose asker may give up in the middle of it."""

    amounts: tuple[int, ...]


async def test_an_asker_that_gives_up_in_the_middle_of_a_write_leaves_state_and_journal_together(
    autojump_clock: MockClock,
) -> None:
    class Quick(Account):
        async def receive(self, ctx: Context, msg: Any) -> None:
            match msg:
                case Impatient(amounts):
                    await self.persist(*map(Changed, amounts))
                    await trio.lowlevel.checkpoint()
                    raise AssertionError("it is cancelled before this")
                case _:
                    await super().receive(ctx, msg)

    journal = Moody()
    async with account(journal, Quick) as ada:
        journal.gate = trio.Event()
        with trio.move_on_after(1):
            await ada.ask(Impatient((5,)))
        await trio.sleep(1)
        journal.gate.set()
        assert await ada.ask(Balance()) == Money(5, (5,))
        assert await change(ada, 1) == 6
    assert await balance_in_a_new_system(journal) == Money(6, (5, 1))


async def test_a_write_without_an_answer_is_found_out_by_the_next_recovery(autojump_clock: MockClock) -> None:
    journal = Moody()
    async with account(journal) as ada:
        journal.gate = trio.Event()
        error = await why_failed(ada, 5)
        assert isinstance(error, JournalError)
        assert "15.0 s" in str(error)
        assert trio.current_time() == 15
        journal.gate.set()
        assert await ada.ask(Balance()) == Money(5, (5,))


# A second writer


async def test_a_second_writer_is_refused_and_the_restart_knows_the_other_writes(autojump_clock: MockClock) -> None:
    journal = MemoryJournal()
    async with account(journal) as one, account(journal) as two:
        await change(one, 10)
        assert isinstance(await why_failed(two, 100), SequenceConflictError)
        assert await two.ask(Balance()) == Money(10, (10,))
        assert await change(two, 1) == 11
        assert isinstance(await why_failed(one, 1_000), SequenceConflictError)


async def test_a_second_writer_can_be_made_to_give_way(autojump_clock: MockClock) -> None:
    journal = MemoryJournal()
    giving_way = OneForOne({SequenceConflictError: Directive.STOP})
    async with account(journal) as one, account(journal, supervision=giving_way) as two:
        await change(one, 10)
        await why_failed(two, 100)
        await two.wait_stopped()
        assert await change(one, 1) == 11
