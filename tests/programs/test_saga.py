"""The transfers of ``examples/saga.py`` outlive the death of the program at any point."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from examples.saga import Transfer, serve
from tests.programs.bank import ACCOUNTS, check, transfers
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

    async def append(self, persistence_id: str, after: int, events: Sequence[bytes]) -> None:
        self.writes += 1
        its_time = self.writes == self.dies_at
        if self.death.cancel_called or (its_time and not self.dies_after_writing):
            await self.die()
        await super().append(persistence_id, after, events)
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
