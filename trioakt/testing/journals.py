"""The check that a journal of your own keeps the promises of ``Journal``; it raises AssertionError."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager
from random import Random
from typing import TYPE_CHECKING

import trio
import trio.lowlevel

from trioakt.errors import FencedError, SequenceConflictError

if TYPE_CHECKING:  # not when it runs: the test kit needs no codec
    from trioakt.persistence import Journal

_IDENTITIES = ("a", "account-ada", "a/b c", "it's; --", "雪 ☃", "x" * 500)
_CONTENTS = (b"", b"\0", bytes(range(256)), b"plain", b"y" * 100_000)
_RIVALS = 20
_MOST = 1_000


async def check_journal(journal: Journal, *, steps: int = 500, seed: int = 0) -> None:
    """Write and read at random, and check what every journal owes whoever uses it.

    Events come back as they went in, in their order, and identities do not mix. A write that follows another number
    than the last is refused and stores nothing, and of many at once exactly one is taken. A write that is cancelled is
    stored wholly or not at all. The numbers go on when events are deleted, and a snapshot takes the place of the one
    before. A token that is smaller than the fence is refused, and from the moment on in which the fence is there,
    nothing of an owner before is stored any more.

    Args:
        journal: An empty one. What is durable about it is for you to test.
        steps: How many times to write or read.
        seed: Where the chance comes from.

    Raises:
        AssertionError: The journal breaks a promise; the text says which.
    """
    rng = Random(seed)
    lines = [_Line(journal, identity, rng) for identity in _IDENTITIES]
    for line in lines:
        await line.compare()
    for _ in range(steps):
        line = rng.choice(lines)
        await line.step()
        await line.read_some()
    for line in lines:
        await line.compare()
        await line.rival()
        await line.cancel()
        await line.compare()
        await line.overtake()
        await line.compare()


class _Line:
    """One identity of the journal under test, beside what must be stored under it."""

    def __init__(self, journal: Journal, identity: str, rng: Random) -> None:
        self._journal = journal
        self._identity = identity
        self._rng = rng
        self._last = 0
        self._events: dict[int, bytes] = {}
        self._snapshot: tuple[int, bytes] | None = None
        self._fence = 0

    # ------------------------------------------------------------------- one step

    async def step(self) -> None:
        steps = [self.append, self.append, self.append_wrongly, self.save, self.save_wrongly, self.delete]
        await self._rng.choice([*steps, self.raise_fence, self.write_too_late])()

    async def append(self) -> None:
        events = self._some_events()
        with _taken():
            await self._journal.append(self._identity, self._last, events, self._fence)
        self._stored(events)

    async def append_wrongly(self) -> None:
        after = self._wrong()
        with _refused(self._identity, after, self._last):
            await self._journal.append(self._identity, after, self._some_events(), self._fence)

    async def save(self) -> None:
        sequence, data = self._last + self._rng.randint(0, 1), self._rng.choice(_CONTENTS)
        with _taken():
            await self._journal.save_snapshot(self._identity, self._last, sequence, data, self._fence)
        self._last, self._snapshot = sequence, (sequence, data)

    async def save_wrongly(self) -> None:
        after = self._wrong()
        with _refused(self._identity, after, self._last):
            await self._journal.save_snapshot(self._identity, after, after, b"wrong", self._fence)

    async def delete(self) -> None:
        up_to = self._rng.randint(0, self._last)
        with _taken():
            await self._journal.delete_events(self._identity, up_to, self._fence)
        self._events = {number: data for number, data in self._events.items() if number > up_to}

    async def raise_fence(self) -> None:
        token = self._fence + self._rng.randint(0, 1)
        with _taken():
            await self._journal.fence(self._identity, token)
        self._fence = token

    async def write_too_late(self) -> None:
        """Write as an owner of the past, who may know the last number or not."""
        if self._fence == 0:
            return
        who, token, after = self._identity, self._rng.randrange(self._fence), self._rng.randint(0, self._last)
        writes: list[Callable[[], Awaitable[None]]] = [
            lambda: self._journal.fence(who, token),
            lambda: self._journal.append(who, after, [b"late"], token),
            lambda: self._journal.save_snapshot(who, after, after, b"late", token),
            lambda: self._journal.delete_events(who, after, token),
        ]
        with _fenced_off(who, token, self._fence):
            await self._rng.choice(writes)()

    async def read_some(self) -> None:
        after, limit = self._rng.randint(0, self._last + 1), self._rng.randint(1, 5)
        batch = list(await self._journal.read(self._identity, after, limit))
        assert len(batch) <= limit, f"read() gave {len(batch)} events, the limit is {limit}"
        due = [(number, data) for number, data in self._events.items() if number > after]
        assert bool(batch) == bool(due), f"read() gave {len(batch)} events where {len(due)} are left"
        assert batch == due[: len(batch)], f"the events of {self._identity!r} come back as they went in, in order"

    # ----------------------------------------------------------------- all of them

    async def compare(self) -> None:
        snapshot = await self._journal.load_snapshot(self._identity)
        assert snapshot == self._snapshot, f"the snapshot of {self._identity!r} is the one saved last"
        stored = await self._read_all()
        assert stored == self._events, f"the events of {self._identity!r} are those that went in"

    async def rival(self) -> None:
        """Write from many tasks at once."""
        won: list[int] = []

        async def write(number: int) -> None:
            try:
                await self._journal.append(self._identity, after, [b"%d" % number, b"too"], self._fence)
            except SequenceConflictError:
                return
            won.append(number)

        after = self._last
        async with trio.open_nursery() as nursery:
            for number in range(_RIVALS):
                nursery.start_soon(write, number)
        assert len(won) == 1, f"of {_RIVALS} writers at once {len(won)} were taken"
        self._stored([b"%d" % won[0], b"too"])

    async def cancel(self) -> None:
        """Cancel writes after more and more steps of the scheduler."""
        for patience in range(10):
            events = self._some_events()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._journal.append, self._identity, self._last, events, self._fence)
                for _ in range(patience):
                    await trio.lowlevel.checkpoint()
                nursery.cancel_scope.cancel()
            stored = await self._read_all()
            if stored != self._events:
                self._stored(events)
                assert stored == self._events, "a write that was cancelled is stored wholly or not at all"

    async def overtake(self) -> None:
        """Raise the fence while the owner before writes."""
        for patience in range(10):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._write_on_and_on, self._fence)
                for _ in range(patience):
                    await trio.lowlevel.checkpoint()
                self._fence += 1
                await self._journal.fence(self._identity, self._fence)
                found = await self._read_all()
            stored = await self._read_all()
            assert stored == found, "something of an owner of the past is stored after the fence is there"
            assert stored == self._events, f"the events of {self._identity!r} are those that went in"

    async def _write_on_and_on(self, token: int) -> None:
        for _ in range(_MOST):  # a journal that fences nobody off shall not hang the check
            events = self._some_events()
            try:
                await self._journal.append(self._identity, self._last, events, token)
            except FencedError:
                return
            self._stored(events)

    # ---------------------------------------------------------------------- inside

    async def _read_all(self) -> dict[int, bytes]:
        stored: dict[int, bytes] = {}
        after = 0
        while batch := await self._journal.read(self._identity, after, 100):
            stored.update(batch)
            after = batch[-1].sequence
        return stored

    def _some_events(self) -> list[bytes]:
        return self._rng.choices(_CONTENTS, k=self._rng.randint(1, 4))

    def _wrong(self) -> int:
        return self._rng.choice([number for number in range(self._last + 3) if number != self._last])

    def _stored(self, events: Sequence[bytes]) -> None:
        self._events.update(enumerate(events, self._last + 1))
        self._last += len(events)


@contextmanager
def _taken() -> Generator[None]:
    """Check that the block is not refused."""
    try:
        yield
    except SequenceConflictError as conflict:
        raise AssertionError(f"a write after the last number is refused: {conflict}") from conflict
    except FencedError as error:
        raise AssertionError(f"the owner of the present is refused: {error}") from error


@contextmanager
def _fenced_off(identity: str, token: int, fence: int) -> Generator[None]:
    """Check that the block is refused to an owner of the past, and that the error tells the tokens."""
    try:
        yield
    except FencedError as error:
        told = (error.persistence_id, error.token, error.fence)
        assert told == (identity, token, fence), f"the refusal tells {told} instead of {(identity, token, fence)}"
    except SequenceConflictError as conflict:
        raise AssertionError(f"an owner of the past hears that there is a conflict: {conflict}") from conflict
    else:
        raise AssertionError(f"the token {token} is taken where the fence is {fence}")


@contextmanager
def _refused(identity: str, after: int, last: int) -> Generator[None]:
    """Check that the block is refused, and that the error tells the numbers."""
    try:
        yield
    except SequenceConflictError as conflict:
        told = (conflict.persistence_id, conflict.after, conflict.last)
        assert told == (identity, after, last), f"the conflict tells {told} instead of {(identity, after, last)}"
    else:
        raise AssertionError(f"a write after {after} is taken where {last} is the last number")
