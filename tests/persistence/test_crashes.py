"""What survives the death of the process, and what becomes of two processes that write the same."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from random import Random

import trio

from tests.persistence.accounts import Account, Balance, Changed, change
from tests.persistence.writer import KINDS
from trioakt import ActorFailedError, ActorRef, ActorSystem, Context, OneForOne, SequenceConflictError
from trioakt.codec import Codec
from trioakt.persistence import open_sqlite_journal

ROOT = Path(__file__).parent.parent.parent
ROUNDS = 5


def acknowledged_until_killed(path: Path, lines: int) -> dict[str, int]:
    """Run the writer, kill it after so many lines, and return the last number that each account has acknowledged."""
    last = dict.fromkeys(KINDS, 0)
    command = [sys.executable, "-m", "tests.persistence.writer", str(path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for number, line in enumerate(process.stdout):  # also what is in the pipe when it is dead
            if number == lines:
                process.kill()
            if line.endswith("\n"):
                name, _, acknowledged = line.partition(" ")
                last[name] = int(acknowledged)
    return last


async def recovered(path: Path) -> dict[str, tuple[int, ...]]:
    """Return the numbers that each account finds again."""
    async with open_sqlite_journal(path) as journal, ActorSystem("check", extensions=[journal]) as system:
        accounts = {name: await system.spawn(kind, name) for name, kind in KINDS.items()}
        return {name: (await account.ask(Balance())).changes for name, account in accounts.items()}


def test_every_acknowledged_event_survives_the_death_of_the_process_once_and_in_order(tmp_path: Path) -> None:
    rng = Random(3)
    path = tmp_path / "journal.db"
    for _ in range(ROUNDS):
        last = acknowledged_until_killed(path, rng.randrange(1, 200))
        found = trio.run(recovered, path)
        for name, numbers in found.items():
            assert numbers == tuple(range(1, len(numbers) + 1))
            assert len(numbers) - last[name] in {0, 1}  # one may have been stored and not yet told


async def change_often(path: Path, name: str, outcomes: list[object]) -> None:
    """Be a system that changes the same account as others; note the balance after each change, or why it failed."""
    patient = OneForOne(max_restarts=1_000)
    async with open_sqlite_journal(path) as journal, ActorSystem(name, extensions=[journal]) as system:
        account = await system.spawn(Account, supervision=patient)
        for _ in range(100):
            try:
                outcomes.append(await change(account, 1))
            except ActorFailedError as error:
                outcomes.append(type(error.__cause__))


async def test_of_two_systems_on_one_file_each_change_is_made_once_or_refused(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    outcomes: list[object] = []
    async with trio.open_nursery() as nursery:
        for name in "one", "two":
            nursery.start_soon(change_often, path, name, outcomes)
    made = sorted(outcome for outcome in outcomes if isinstance(outcome, int))
    assert {outcome for outcome in outcomes if not isinstance(outcome, int)} <= {SequenceConflictError}
    async with open_sqlite_journal(path) as journal:
        events = await journal.read("ada", 0, 1_000)
    assert [Codec().decode(event.data) for event in events] == [Changed(1)] * len(made)
    assert made == list(range(1, len(made) + 1))
    assert len(outcomes) == 200


async def test_a_cancellation_of_everything_leaves_each_state_and_what_is_stored_of_it_together(
    tmp_path: Path,
) -> None:
    path = tmp_path / "journal.db"
    balances = dict.fromkeys([f"a{number}" for number in range(10)], 0)
    last_words: dict[str, int] = {}

    class LastWords(Account):
        def post_stop(self, ctx: Context) -> None:
            last_words[self.persistence_id] = self.state.balance

    async def change_on_and_on(account: ActorRef, name: str) -> None:
        while True:
            balances[name] = await change(account, 1)

    with trio.CancelScope() as everything:
        async with (
            open_sqlite_journal(path) as journal,
            ActorSystem("test", extensions=[journal]) as system,
            trio.open_nursery() as nursery,
        ):
            for name in balances:
                nursery.start_soon(change_on_and_on, await system.spawn(LastWords, name), name)
            await trio.sleep(0.05)  # whenever it is, it is in the middle of something
            everything.cancel()
    async with open_sqlite_journal(path) as journal:
        for name, balance in balances.items():
            stored = len(await journal.read(name, 0, 100_000))
            assert stored == last_words[name]
            assert stored >= balance
