"""A journal in memory, for tests: as durable as the object."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

import trio.lowlevel

from trioakt.errors import FencedError, SequenceConflictError
from trioakt.persistence.journal import Record


class _Line:
    """What is stored under one identity."""

    def __init__(self) -> None:
        self.last = 0
        self.fence = 0
        self.events: list[Record] = []
        self.snapshot: Record | None = None


class MemoryJournal:
    """A ``Journal`` that lives as long as the object, through as many systems and Trio runs as you like."""

    def __init__(self) -> None:
        self._lines: dict[str, _Line] = {}

    async def fence(self, persistence_id: str, token: int) -> None:
        """As ``Journal.fence``."""
        await trio.lowlevel.checkpoint()
        self._fenced(persistence_id, token).fence = token

    async def append(self, persistence_id: str, after: int, events: Sequence[bytes], token: int = 0) -> None:
        """As ``Journal.append``; when cancelled, nothing was stored."""
        await trio.lowlevel.checkpoint()
        line = self._writable(persistence_id, after, token)
        line.events += map(Record._make, enumerate(events, after + 1))
        line.last = after + len(events)

    async def read(self, persistence_id: str, after: int, limit: int) -> Sequence[Record]:
        """As ``Journal.read``."""
        await trio.lowlevel.checkpoint()
        events = self._line(persistence_id).events
        first = _place_after(after, events)
        return events[first : first + limit]

    async def save_snapshot(self, persistence_id: str, after: int, sequence: int, data: bytes, token: int = 0) -> None:
        """As ``Journal.save_snapshot``; when cancelled, nothing was stored."""
        await trio.lowlevel.checkpoint()
        line = self._writable(persistence_id, after, token)
        line.last = sequence
        line.snapshot = Record(sequence, data)

    async def load_snapshot(self, persistence_id: str) -> Record | None:
        """As ``Journal.load_snapshot``."""
        await trio.lowlevel.checkpoint()
        return self._line(persistence_id).snapshot

    async def delete_events(self, persistence_id: str, up_to: int, token: int = 0) -> None:
        """As ``Journal.delete_events``."""
        await trio.lowlevel.checkpoint()
        events = self._fenced(persistence_id, token).events
        del events[: _place_after(up_to, events)]

    def _line(self, persistence_id: str) -> _Line:
        return self._lines.setdefault(persistence_id, _Line())

    def _fenced(self, persistence_id: str, token: int) -> _Line:
        line = self._line(persistence_id)
        if line.fence > token:
            raise FencedError(persistence_id, token, line.fence)
        return line

    def _writable(self, persistence_id: str, after: int, token: int) -> _Line:
        line = self._fenced(persistence_id, token)
        if line.last != after:
            raise SequenceConflictError(persistence_id, after, line.last)
        return line


def _place_after(number: int, events: Sequence[Record]) -> int:
    return bisect_right(events, number, key=lambda event: event.sequence)
