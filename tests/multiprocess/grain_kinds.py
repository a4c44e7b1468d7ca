"""The grains of the clusters under test, and the notes that all of them write into one file."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import ClassVar

from tests.multiprocess.cluster_kinds import Add, Where
from trioakt import ActorSystem, Context, GrainRef, Idle, Placement, message
from trioakt.grains.persistent import EventSourcedGrain
from trioakt.lowlevel import RestPolicy
from trioakt.persistence import open_sqlite_journal

DIRECTORY = "TRIOAKT_TESTS_GRAINS"
"""The variable that says where the nodes keep their journal and their notes; without it they have no grains to use."""


@message(name="tests.grains.total")
class Total:
    """A sum."""

    number: int = 0


@message(name="tests.grains.added")
class Added:
    """One more."""


class Notes:
    """A file in which each line is there whole, whoever else writes: who has counted to what, with which token."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, identity: str, number: int, token: int) -> None:
        """Add a line."""
        file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        try:
            os.write(file, f"{identity} {number} {token}\n".encode())
        finally:
            os.close(file)

    def read(self) -> dict[str, list[tuple[int, int]]]:
        """Return the numbers and tokens of each grain, in the order in which they were written."""
        found: dict[str, list[tuple[int, int]]] = {}
        for line in self._path.read_text().splitlines():
            identity, number, token = line.split()
            found.setdefault(identity, []).append((int(number), int(token)))
        return found


class Tally(EventSourcedGrain[Total]):
    """Counts, and remembers to where."""

    passivation: ClassVar[RestPolicy] = Idle(1.0)

    def __init__(self) -> None:
        super().__init__(Total())

    def apply(self, state: Total, event: Added) -> Total:
        return Total(state.number + 1)

    async def receive(self, ctx: Context, msg: object) -> None:
        match msg:
            case Where():
                ctx.reply(str(ctx.system.endpoint.remote.node))
            case Add():
                token = ctx.fencing_token
                await self.persist(Added())
                ctx.extension(Notes).write(ctx.identity, self.state.number, token)
                ctx.reply([self.state.number, token])
            case _:
                ctx.unhandled()


class Rover(Tally):
    """Counts on any node, whoever owns its shard."""

    placement = Placement.random()


KINDS: tuple[type[Tally], ...] = (Tally, Rover)


def grain_of(system: ActorSystem, identity: str) -> GrainRef:
    """Return the grain with an identity, which tells its class."""
    return system.grain(Rover if identity.startswith("rover") else Tally, identity)


@asynccontextmanager
async def open_extensions() -> AsyncGenerator[list[object]]:
    """Open what the grains of a node need."""
    directory = os.environ.get(DIRECTORY)
    if directory is None:
        yield []
    else:
        async with open_sqlite_journal(Path(directory) / "journal.db") as journal:
            yield [journal, Notes(Path(directory) / "notes")]
