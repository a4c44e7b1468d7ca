"""Actors that store their whole state: what is there in the next life."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from tests.core.actors import Do
from tests.persistence.accounts import RESUME, Count, Counter, Moody, Next
from trioakt import (
    ActorFailedError,
    ActorRef,
    ActorStoppedError,
    ActorSystem,
    CodecError,
    Context,
    JournalFullError,
    OneForOne,
    RecoveryError,
    SequenceConflictError,
    StartError,
)
from trioakt.persistence import Journal, MemoryJournal, open_sqlite_journal


@asynccontextmanager
async def counter(journal: Journal, kind: type[Counter] = Counter, **options: Any) -> AsyncGenerator[ActorRef]:
    """Open a system with one counter."""
    async with ActorSystem("test", extensions=[journal]) as system:
        yield await system.spawn(kind, **options)


async def why_failed(ref: ActorRef) -> BaseException | None:
    """Ask for a number that cannot be had, and return the exception of the handler."""
    with pytest.raises(ActorFailedError) as failed:
        await ref.ask(Next())
    return failed.value.__cause__


async def test_what_was_saved_is_there_in_the_next_system(autojump_clock: MockClock) -> None:
    journal = MemoryJournal()
    for life in range(3):
        async with counter(journal) as ref:
            assert [await ref.ask(Next()) for _ in range(2)] == [life * 2 + 1, life * 2 + 2]


async def test_what_was_saved_is_there_when_the_file_is_opened_again(tmp_path: Path) -> None:
    for life in range(3):
        async with open_sqlite_journal(tmp_path / "journal.db") as journal, counter(journal) as ref:
            assert await ref.ask(Next()) == life + 1


async def test_a_restart_recovers_what_was_saved(autojump_clock: MockClock) -> None:
    def fail(ctx: Context) -> None:
        raise ValueError("mine")

    async with counter(MemoryJournal()) as ref:
        assert await ref.ask(Next()) == 1
        ref.tell(Do(fail))
        assert await ref.ask(Next()) == 2
        assert ref.statistics().restarts == 1


@pytest.mark.parametrize("strategy", [RESUME, OneForOne()])
async def test_a_state_that_could_not_be_saved_is_not_taken(strategy: OneForOne, autojump_clock: MockClock) -> None:
    journal = Moody()
    async with counter(journal, supervision=strategy) as ref:
        assert await ref.ask(Next()) == 1
        journal.full = True
        assert isinstance(await why_failed(ref), JournalFullError)
        journal.full = False
        assert await ref.ask(Next()) == 2


async def test_a_second_writer_is_refused_and_the_restart_knows_what_the_other_saved(
    autojump_clock: MockClock,
) -> None:
    journal = MemoryJournal()
    async with counter(journal) as one, counter(journal) as two:
        assert await one.ask(Next()) == 1
        assert isinstance(await why_failed(two), SequenceConflictError)
        assert await two.ask(Next()) == 2


async def test_a_state_that_could_not_be_read_again_is_not_saved(autojump_clock: MockClock) -> None:
    class Odd(Counter):
        async def receive(self, ctx: Context, msg: Any) -> None:
            await self.save(Count("no number"))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

    journal = MemoryJournal()
    async with counter(journal, Odd) as ref:
        assert isinstance(await why_failed(ref), CodecError)
    assert await journal.load_snapshot("counter") is None


async def test_a_kill_in_the_middle_of_a_save_strikes_when_its_outcome_is_known(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    saved: list[int] = []

    class Watched(Counter):
        def post_stop(self, ctx: Context) -> None:
            saved.append(self.state.number)

    async with open_sqlite_journal(path) as journal, counter(journal, Watched) as ref, trio.open_nursery() as nursery:
        nursery.start_soon(_ask_until_it_ends, ref)
        await trio.sleep(0.02)  # whenever it is, it is in the middle of something
        ref.kill()
        await ref.wait_stopped()
    async with open_sqlite_journal(path) as journal, counter(journal) as ref:
        assert await ref.ask(Next()) == saved[0] + 1


async def _ask_until_it_ends(ref: ActorRef) -> None:
    with pytest.raises(ActorStoppedError):
        while True:
            await ref.ask(Next())


async def test_a_state_that_cannot_be_read_stops_the_recovery(autojump_clock: MockClock) -> None:
    journal = MemoryJournal()
    await journal.save_snapshot("counter", 0, 1, b"noise")
    async with ActorSystem("test", extensions=[journal]) as system:
        with pytest.raises(StartError) as failed:
            await system.spawn(Counter)
    assert isinstance(failed.value.__cause__, RecoveryError)
