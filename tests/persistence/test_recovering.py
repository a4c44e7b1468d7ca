"""The recovery of event-sourced actors: from which snapshot, what stops it, and what surrounds it."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from tests.persistence.accounts import (
    RESUME,
    Account,
    Balance,
    Changed,
    Forgetful,
    Money,
    OftenSnapshotted,
    OverdrawnError,
    account,
    balance_in_a_new_system,
    change,
    why_failed,
)
from trioakt import (
    ActorFailedError,
    ActorSystem,
    CodecError,
    Context,
    JournalFullError,
    OneForOne,
    RecoveryError,
    StartError,
)
from trioakt.codec import Codec
from trioakt.persistence import EventSourced, MemoryJournal

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


class FullOfSnapshots(MemoryJournal):
    full = True

    async def save_snapshot(self, persistence_id: str, after: int, sequence: int, data: bytes, token: int = 0) -> None:
        if self.full:
            raise JournalFullError("no room")
        await super().save_snapshot(persistence_id, after, sequence, data, token)


async def test_a_snapshot_that_cannot_be_stored_loses_nothing_and_is_tried_again(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    journal = FullOfSnapshots()
    async with account(journal, OftenSnapshotted) as ada:
        assert await change(ada, 1, 2, 3) == 6
        assert "no room" in caplog.text
        journal.full = False
        assert await change(ada, 4) == 10
        assert ada.statistics().restarts == 0
    snapshot = await journal.load_snapshot("ada")
    assert snapshot is not None
    assert snapshot.sequence == 4


async def test_a_state_that_has_grown_too_large_to_be_stored_loses_nothing(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    class Small(OftenSnapshotted):
        codec = Codec(max_size=100)

    journal = MemoryJournal()
    async with account(journal, Small) as ada:
        for number in range(200):
            assert await change(ada, 1) == number + 1
    assert "are more than 100" in caplog.text
    assert (await balance_in_a_new_system(journal, Small)).balance == 200


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
