"""Event-sourced actors: what is stored, what is recovered, and what a failure in between leaves."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from trio.testing import MockClock
from trio.testing import wait_all_tasks_blocked as settle

from tests.core.actors import Do
from tests.persistence.accounts import (
    Account,
    Balance,
    Changed,
    Forgetful,
    Money,
    Moody,
    Next,
    OftenSnapshotted,
    OverdrawnError,
    balance_in_a_new_system,
    change,
)
from trioakt import (
    ActorFailedError,
    ActorRef,
    ActorSystem,
    CodecError,
    Context,
    Directive,
    JournalError,
    JournalFullError,
    OneForOne,
    RecoveryError,
    Request,
    SequenceConflictError,
    StartError,
    message,
)
from trioakt.codec import Codec
from trioakt.persistence import EventSourced, MemoryJournal

RESUME = OneForOne(default=Directive.RESUME)


@asynccontextmanager
async def account(
    journal: MemoryJournal, kind: type[Account] = Account, *args: Any, **options: Any
) -> AsyncGenerator[ActorRef]:
    """Open a system with one account."""
    async with ActorSystem("test", extensions=[journal]) as system:
        yield await system.spawn(kind, *args, **options)


async def why_failed(account: ActorRef, *amounts: int) -> BaseException | None:
    """Ask for a change that must fail, and return the exception of the handler."""
    with pytest.raises(ActorFailedError) as failed:
        await change(account, *amounts)
    return failed.value.__cause__


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


async def test_a_snapshot_of_a_writer_that_was_overtaken_is_refused(autojump_clock: MockClock) -> None:
    journal = MemoryJournal()
    async with account(journal, OftenSnapshotted, supervision=RESUME) as one:
        await change(one, 1, 2, 3)
        await change(one, 4, 5)
        await journal.append("ada", 5, [Codec().encode(Changed(6))])
        assert isinstance(await why_failed(one, 7), SequenceConflictError)
        assert await journal.load_snapshot("ada") is not None
    assert (await balance_in_a_new_system(journal, OftenSnapshotted)).balance == 21


# Snapshots


async def test_a_snapshot_spares_the_events_before_it(autojump_clock: MockClock) -> None:
    journal = MemoryJournal()
    async with account(journal, OftenSnapshotted) as ada:
        for amount in range(1, 9):
            await change(ada, amount)
    replayed: list[int] = []
    async with account(journal, OftenSnapshotted, "ada", replayed) as ada:
        assert await ada.ask(Balance()) == Money(36, (1, 2, 3, 4, 5, 6, 7, 8))
    assert replayed == [7, 8]


async def test_snapshots_go_on_in_the_next_life_where_they_were(autojump_clock: MockClock) -> None:
    journal = MemoryJournal()
    for amount in range(5):
        async with account(journal, OftenSnapshotted) as ada:
            await change(ada, amount)
    snapshot = await journal.load_snapshot("ada")
    assert snapshot is not None
    assert snapshot.sequence == 3


async def test_events_before_a_snapshot_can_be_deleted(autojump_clock: MockClock) -> None:
    journal = MemoryJournal()
    async with account(journal, Forgetful) as ada:
        for amount in range(1, 6):
            await change(ada, amount)
    assert [event.sequence for event in await journal.read("ada", 0, 10)] == [4, 5]
    assert (await balance_in_a_new_system(journal, Forgetful)).balance == 15


async def test_a_snapshot_that_finds_no_room_loses_nothing_and_is_tried_again(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    class FullOfSnapshots(Moody):
        async def append(self, persistence_id: str, after: int, events: Sequence[bytes]) -> None:
            await MemoryJournal.append(self, persistence_id, after, events)

    journal = FullOfSnapshots()
    journal.full = True
    async with account(journal, OftenSnapshotted) as ada:
        with caplog.at_level(logging.WARNING, "trioakt"):
            assert await change(ada, 1, 2, 3) == 6
        assert "no room" in caplog.text
        journal.full = False
        assert await change(ada, 4) == 10
    snapshot = await journal.load_snapshot("ada")
    assert snapshot is not None
    assert snapshot.sequence == 4


async def test_a_state_that_cannot_be_stored_is_found_out_at_the_start(autojump_clock: MockClock) -> None:
    class Plain(EventSourced[int]):
        snapshot_every = 10

    async with ActorSystem("test", extensions=[MemoryJournal()]) as system:
        with pytest.raises(StartError) as failed:
            await system.spawn(Plain, "plain", 0)
    assert isinstance(failed.value.__cause__, CodecError)


# Recoveries that fail


async def why_not_started(journal: MemoryJournal, kind: type[Account] = Account) -> BaseException | None:
    """Spawn an account that cannot be recovered, and return why."""
    async with ActorSystem("test", extensions=[journal]) as system:
        with pytest.raises(StartError) as failed:
            await system.spawn(kind)
    return failed.value.__cause__


async def test_an_event_that_cannot_be_applied_any_more_stops_the_recovery(autojump_clock: MockClock) -> None:
    journal = MemoryJournal()
    await journal.append("ada", 0, [Codec().encode(Changed(amount)) for amount in (10, -100, 5)])
    error = await why_not_started(journal)
    assert isinstance(error, RecoveryError)
    assert (error.persistence_id, error.sequence) == ("ada", 2)
    assert isinstance(error.__cause__, OverdrawnError)


async def test_an_event_that_cannot_be_read_stops_the_recovery(autojump_clock: MockClock) -> None:
    journal = MemoryJournal()
    await journal.append("ada", 0, [b"noise"])
    error = await why_not_started(journal)
    assert isinstance(error, RecoveryError)
    assert isinstance(error.__cause__, CodecError)


async def test_a_snapshot_that_cannot_be_read_stops_the_recovery(autojump_clock: MockClock) -> None:
    journal = MemoryJournal()
    await journal.save_snapshot("ada", 0, 7, b"noise")
    error = await why_not_started(journal)
    assert isinstance(error, RecoveryError)
    assert (error.sequence, type(error.__cause__)) == (7, CodecError)


async def test_a_missing_event_stops_the_recovery(autojump_clock: MockClock) -> None:
    journal = MemoryJournal()
    async with account(journal) as ada:
        await change(ada, 1, 2, 3)
    await journal.delete_events("ada", 1)
    error = await why_not_started(journal)
    assert isinstance(error, RecoveryError)
    assert error.sequence == 1


async def test_a_recovery_that_takes_too_long_is_given_up_after_the_init_timeout(autojump_clock: MockClock) -> None:
    class Slow(MemoryJournal):
        async def load_snapshot(self, persistence_id: str) -> None:
            await trio.sleep_forever()

    assert isinstance(await why_not_started(Slow()), trio.TooSlowError)
    assert trio.current_time() == 5


async def test_a_system_without_a_journal_is_told_so(autojump_clock: MockClock) -> None:
    async with ActorSystem("test") as system:
        with pytest.raises(StartError) as failed:
            await system.spawn(Account)
    assert "Journal" in str(failed.value.__cause__)


async def test_a_recovery_that_fails_at_a_restart_is_for_the_supervisor(autojump_clock: MockClock) -> None:
    journal = MemoryJournal()
    with pytest.raises(ExceptionGroup) as ended:
        async with account(journal) as ada:
            await change(ada, 1, 2, 3)
            await journal.delete_events("ada", 1)
            await why_failed(ada, -100)
            await trio.sleep(60)
    assert ended.group_contains(RecoveryError)


# Hooks of one's own


async def test_a_pre_start_of_ones_own_finds_the_recovered_state(autojump_clock: MockClock) -> None:
    class Greeting(Account):
        async def pre_start(self, ctx: Context) -> None:
            await super().pre_start(ctx)
            if not self.state.changes:
                await self.persist(Changed(5))  # the present for a new account

    journal = MemoryJournal()
    for _ in range(3):
        async with account(journal, Greeting) as ada:
            assert await ada.ask(Balance()) == Money(5, (5,))


async def test_a_pre_start_that_forgets_to_recover_is_told_so(autojump_clock: MockClock) -> None:
    class Careless(Account):
        async def pre_start(self, ctx: Context) -> None:
            pass

    async with account(MemoryJournal(), Careless, supervision=RESUME) as ada:
        error = await why_failed(ada, 1)
        assert isinstance(error, RuntimeError)
        assert "super().pre_start" in str(error)
        with pytest.raises(ActorFailedError):
            await ada.ask(Balance())


async def test_a_last_event_may_be_persisted_in_post_stop(autojump_clock: MockClock) -> None:
    class Thorough(Account):
        async def post_stop(self, ctx: Context) -> None:
            await self.persist(Changed(100))

    journal = MemoryJournal()
    async with account(journal, Thorough) as ada:
        await change(ada, 1)
    assert (await balance_in_a_new_system(journal)).balance == 101


async def test_an_account_that_restarts_again_and_again_loses_nothing(autojump_clock: MockClock) -> None:
    journal = MemoryJournal()
    async with account(journal, OftenSnapshotted, supervision=OneForOne(max_restarts=1_000)) as ada:
        for number in range(20):
            await change(ada, 1)
            await why_failed(ada, -1_000)
            assert (await ada.ask(Balance())).balance == number + 1
    assert (await balance_in_a_new_system(journal, OftenSnapshotted)).balance == 20


async def test_an_empty_identity_is_refused() -> None:
    with pytest.raises(ValueError, match="empty"):
        Account("")
