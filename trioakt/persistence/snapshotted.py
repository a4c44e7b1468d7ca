"""Actors that store their whole state whenever they say so."""

from __future__ import annotations

from typing import TypeVar

from trioakt.persistence.journal import Journal
from trioakt.persistence.persistent import Persistent

S = TypeVar("S")


class Snapshotted(Persistent[S]):
    """An actor with a state that is stored whole: ``await self.save(state)``, and it is there in the next life.

    The state is a value of a ``@message`` class; what is stored says its ``name`` and ``version``. When the actor
    starts and when it is restarted, the state that was saved last is recovered before the first message.

    Args:
        persistence_id: Under which identity the state is kept. A second writer of it is refused with
            ``SequenceConflictError``.
        state: What the state is before it was first saved.

    Attributes:
        codec: What turns the state into bytes.
        write_timeout: Seconds that the journal may take for one write.

    Raises:
        ValueError: The identity is empty.
    """

    async def save(self, state: S) -> None:
        """Store a state, and make it the present one.

        When it returns the state is durable. When it raises, the present one is as it was. A cancellation does not cut
        a write short, as in ``EventSourced.persist``.

        Raises:
            FencedError: A newer owner has this identity; there is nothing to do.
            SequenceConflictError: Another writer has written under this identity; only a restart helps, or a stop.
            JournalFullError: The journal has no room.
            JournalError: The state could not be stored; as ``EventSourced.persist``.
            CodecError: The state cannot be encoded, or not be decoded again.
            RuntimeError: The state has not been recovered.
        """
        async with self._one_write:
            journal, number = self._recovered(), self._sequence
            data, again = self._encoded(state)
            await self._settle(journal.save_snapshot, self.persistence_id, number, number + 1, data, self._token)
            self._state, self._sequence = again, number + 1

    async def _recover(self, journal: Journal) -> None:
        snapshot = await journal.load_snapshot(self.persistence_id)
        if snapshot is not None:
            self._restore(snapshot)
