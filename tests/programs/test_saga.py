"""The transfers of ``examples/saga.py`` outlive the death of the program at any point."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from examples.saga import Account, Answered, Book, Transfer, Transfers, serve
from tests.programs.bank import ACCOUNTS, check, transfers
from trioakt import ActorFailedError, ActorSystem, JournalError
from trioakt.persistence import MemoryJournal, open_sqlite_journal

ROOT = Path(__file__).parents[2]
FEW = [
    Transfer(1, "ada", "bob", 20),  # one of these two is too much for bob
    Transfer(2, "ada", "bob", 15),
    Transfer(3, "cyd", "dan", 5),
    Transfer(4, "dan", "ada", 10),
]


class MortalJournal(MemoryJournal):
    """Dies at one of its writes, and its program with it: that write is done or not, no later one is."""

    def __init__(self) -> None:
        super().__init__()
        self.writes = 0
        self.dies_at = 0
        self.dies_after_writing = False
        self.death = trio.CancelScope()

    async def append(self, persistence_id: str, after: int, events: Sequence[bytes], token: int = 0) -> None:
        self.writes += 1
        its_time = self.writes == self.dies_at
        if self.death.cancel_called or (its_time and not self.dies_after_writing):
            await self.die()
        await super().append(persistence_id, after, events, token)
        if its_time:
            await self.die()

    async def die(self) -> None:
        self.death.cancel()
        await trio.sleep_forever()

    async def live(self) -> None:
        with self.death:
            await serve(self, ACCOUNTS, FEW)


async def test_some_of_the_transfers_are_done_some_undone_and_some_refused(autojump_clock: MockClock) -> None:
    journal = MortalJournal()
    await journal.live()
    ends = await check(journal, FEW)
    assert ends == {"done": 2, "undone": 1, "refused": 1}


@pytest.mark.parametrize("after_writing", [False, True])
async def test_whichever_write_is_the_last_the_next_run_loses_nothing_and_repeats_nothing(
    autojump_clock: MockClock, after_writing: bool
) -> None:
    write, died = 0, True
    while died:
        write += 1
        journal = MortalJournal()
        journal.dies_at, journal.dies_after_writing = write, after_writing
        await journal.live()
        died = journal.death.cancelled_caught
        journal.dies_at, journal.death = 0, trio.CancelScope()
        await journal.live()
        assert (await check(journal, FEW)).total() == len(FEW)
    assert write > 4 * len(FEW)


async def test_an_answer_that_comes_late_or_twice_changes_nothing(autojump_clock: MockClock) -> None:
    journal = MemoryJournal()
    async with ActorSystem("bank", extensions=[journal]) as system:
        accounts = {name: await system.spawn(Account, name, limit) for name, (_, limit) in ACCOUNTS.items()}
        for name, (cents, _) in ACCOUNTS.items():
            await accounts[name].ask(Book("opening", cents))
        sagas = await system.spawn(Transfers, accounts)
        assert await sagas.ask(FEW[0]) == "done"
        for step in "withdrawn", "refused":
            sagas.tell(Answered(FEW[0].number, "begun", step))
        assert await sagas.ask(FEW[0]) == "done"
    assert await check(journal, FEW[:1]) == {"done": 1}


class FailingJournal(MemoryJournal):
    """Fails at one of its writes, which is done or not; the actor that wrote does not know."""

    def __init__(self, fails_at: int, *, after_writing: bool) -> None:
        super().__init__()
        self.writes_left = fails_at
        self.after_writing = after_writing

    async def append(self, persistence_id: str, after: int, events: Sequence[bytes], token: int = 0) -> None:
        self.writes_left -= 1
        if self.writes_left or self.after_writing:
            await super().append(persistence_id, after, events, token)
        if not self.writes_left:
            raise JournalError("the disk is gone, and back again")


@pytest.mark.parametrize("after_writing", [False, True])
async def test_whichever_write_fails_nothing_is_lost_and_nothing_repeated(
    autojump_clock: MockClock, after_writing: bool
) -> None:
    write, failed = 0, True
    while failed:
        write += 1
        journal = FailingJournal(write, after_writing=after_writing)
        with suppress(BaseExceptionGroup, ActorFailedError):  # who asked for that transfer hears of it, and asks again
            await serve(journal, ACCOUNTS, FEW)
        failed = journal.writes_left <= 0
        await serve(journal, ACCOUNTS, FEW)
        assert (await check(journal, FEW)).total() == len(FEW)
    assert write > 4 * len(FEW)


def test_a_program_that_is_killed_again_and_again_loses_nothing_and_repeats_nothing(tmp_path: Path) -> None:
    rng = random.Random(7)
    command = [sys.executable, "-W", "error", "-m", "tests.programs.bank", str(tmp_path / "bank.db"), "50", "4"]
    ends: list[int] = []
    for longest in [0.3] * 6 + [60.0]:
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"READY\n"
            try:
                process.communicate(timeout=max(rng.uniform(0.0, longest), longest - 0.3))
            except subprocess.TimeoutExpired:
                process.kill()
        ends.append(process.returncode)
    assert ends.count(-signal.SIGKILL) >= 3
    assert ends[-1] == 0

    async def examine() -> int:
        async with open_sqlite_journal(tmp_path / "bank.db") as journal:
            return (await check(journal, transfers(50, seed=4))).total()

    assert trio.run(examine) == 50
