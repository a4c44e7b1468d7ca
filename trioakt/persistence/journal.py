"""What a journal owes to those who write in it. To it, events and snapshots are bytes without a meaning."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol, runtime_checkable


class Record(NamedTuple):
    """One stored event or snapshot."""

    sequence: int
    """The number of the event among those of its identity, from 1 on; of a snapshot, that of the last event in it."""
    data: bytes
    """What was given to be stored."""


@runtime_checkable
class Journal(Protocol):
    """Keeps events in order, and the last snapshot, for many identities.

    Each identity has one line of sequence numbers, and each write names the number that it follows. If that is not the
    last one, somebody else has written, and the write is refused: this is how a second writer is found out. Each
    identity has a fence besides, 0 at first: a write with a smaller fencing token comes from an owner of the past, and
    is refused whatever numbers it knows.

    A write that returns is durable. One that raises ``FencedError``, ``SequenceConflictError`` or ``JournalFullError``
    stored nothing; one that is cancelled, or raises another ``JournalError``, stored all or nothing, and nobody knows
    which.

    A journal is shared by many tasks of one Trio run. Test one of your own with ``trioakt.testing.check_journal``.
    """

    async def fence(self, persistence_id: str, token: int) -> None:
        """Refuse, from now on, every write with a smaller token; a write that was taken before can be read now.

        Where the fence is this token already, nothing is written.

        Raises:
            FencedError: A larger one is there.
            JournalError: It could not be stored.
        """
        ...

    async def append(self, persistence_id: str, after: int, events: Sequence[bytes], token: int = 0) -> None:
        """Store events under the numbers that follow ``after``, all or nothing; 0 is before the first one.

        Raises:
            FencedError: The fence is larger than ``token``.
            SequenceConflictError: ``after`` is not the last number.
            JournalError: They could not be stored.
        """
        ...

    async def read(self, persistence_id: str, after: int, limit: int) -> Sequence[Record]:
        """Return the events that follow ``after`` in their order, at most ``limit``; none is the end.

        Raises:
            JournalError: They could not be read.
        """
        ...

    async def save_snapshot(self, persistence_id: str, after: int, sequence: int, data: bytes, token: int = 0) -> None:
        """Store a snapshot in the place of the one before; its number becomes the last one.

        Args:
            persistence_id: Whose.
            after: The last number, as the writer knows it.
            sequence: The number of the snapshot: ``after`` for one of stored events, a higher one for a state that was
                reached without events.
            data: The snapshot.
            token: The fencing token of the writer.

        Raises:
            FencedError: The fence is larger than ``token``.
            SequenceConflictError: ``after`` is not the last number.
            JournalError: It could not be stored.
        """
        ...

    async def load_snapshot(self, persistence_id: str) -> Record | None:
        """Return the snapshot, if there is one.

        Raises:
            JournalError: It could not be read.
        """
        ...

    async def delete_events(self, persistence_id: str, up_to: int, token: int = 0) -> None:
        """Delete the events up to this number, itself included; the numbers go on as before.

        Raises:
            FencedError: The fence is larger than ``token``.
            JournalError: They could not be deleted.
        """
        ...
