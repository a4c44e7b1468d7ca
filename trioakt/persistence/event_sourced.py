"""Actors whose state is the sum of the events that they have stored."""

from __future__ import annotations

import logging
from typing import Any, ClassVar, TypeVar

from trioakt.errors import RecoveryError
from trioakt.lowlevel import Failure
from trioakt.persistence.journal import Journal, Record
from trioakt.persistence.persistent import Persistent

S = TypeVar("S")

_BATCH = 200
"""Events that a recovery reads at a time; between two batches others get their turn."""

_log = logging.getLogger("trioakt")


class EventSourced(Persistent[S]):
    """An actor whose state is made of events: ``receive`` decides, ``persist`` stores, ``apply`` says what it means.

    The state is a value: ``apply`` makes the next one out of the present one and an event, and changes nothing. So an
    event can be tried before it is stored, and a write that fails leaves the state as it was. Events, and the state
    where there are snapshots, are ``@message`` classes; what is stored says their ``name`` and ``version``.

    When the actor starts and when it is restarted, the state is recovered before the first message: from the last
    snapshot and the events that follow it.

    Args:
        persistence_id: Under which identity the events are kept. A second writer of it is refused with
            ``SequenceConflictError``.
        state: What the state is before the first event.

    Attributes:
        snapshot_every: After so many events the state is stored too; ``None`` for never.
        keep_events: Whether events that a snapshot covers are kept; otherwise they are deleted with it.
        codec: What turns events and states into bytes.
        write_timeout: Seconds that the journal may take for one write.

    Raises:
        ValueError: The identity is empty.
    """

    snapshot_every: ClassVar[int | None] = None
    keep_events: ClassVar[bool] = True

    _snapshot_at = 0

    def apply(self, state: S, event: Any) -> S:
        """Return what becomes of the state by an event; override it, and change nothing in it, nor call the world.

        It is called before the event is stored, and again in each recovery. What it raises before, ``persist`` raises,
        and nothing is stored.
        """
        raise NotImplementedError(f"{type(self).__name__} must have apply(state, event)")

    async def persist(self, *events: object) -> None:
        """Store events, and change the state by them: all together or none of them.

        When it returns they are durable. When it raises, the state is as it was. A snapshot that is due is stored too;
        should that fail, it is an error in the log and nothing more. A cancellation, such as by
        ``ref.kill()``, does not cut a write short: it strikes when the outcome is known and the state fits it.

        Each event is encoded, decoded and applied before it is stored, so that none is stored which the next recovery
        could not read.

        Raises:
            FencedError: A newer owner has this identity; there is nothing to do.
            SequenceConflictError: Another writer has written under this identity; only a restart helps, or a stop.
            JournalFullError: The journal has no room.
            JournalError: The events could not be stored. If the journal does not know whether they were, as when it did
                not answer within ``write_timeout``, the next recovery shows it.
            CodecError: An event cannot be encoded, or not be decoded again.
            RuntimeError: The state has not been recovered.
            Exception: What ``apply`` raises.
        """
        async with self._one_write:
            journal = self._recovered()
            state, stored = self._state, list[bytes]()
            for event in events:
                data, again = self._encoded(event)
                state = self._applied(state, again)
                stored.append(data)
            if stored:
                await self._settle(journal.append, self.persistence_id, self._sequence, stored, self._token)
                self._state, self._sequence = state, self._sequence + len(stored)
                if self.snapshot_every is not None and self._sequence - self._snapshot_at >= self.snapshot_every:
                    await self._save_snapshot(journal)

    def _applied(self, state: S, event: Any) -> S:
        after = self.apply(state, event)
        if after is None:
            raise TypeError(f"{type(self).__name__}.apply() returned None for {type(event).__name__}, not a state")
        return after

    async def _save_snapshot(self, journal: Journal) -> None:
        """Store the state; as all events are stored, a failure is only told, and it is tried after the next ones."""
        sequence = self._sequence
        try:
            data, _ = self._encoded(self._state)
            await self._settle(journal.save_snapshot, self.persistence_id, sequence, sequence, data, self._token)
            self._snapshot_at = sequence
            if not self.keep_events:
                await self._settle(journal.delete_events, self.persistence_id, sequence, self._token)
        except Exception as error:
            _log.error("%s has no new snapshot at %s: %s", self.persistence_id, sequence, Failure.of(error))

    async def _recover(self, journal: Journal) -> None:
        if self.snapshot_every is not None:
            self._encoded(self._state)  # a state that is no message is better found out now than after so many events
        snapshot = await journal.load_snapshot(self.persistence_id)
        if snapshot is not None:
            self._restore(snapshot)
            self._snapshot_at = snapshot.sequence
        while batch := await journal.read(self.persistence_id, self._sequence, _BATCH):
            for event in batch:
                self._replay(event)

    def _replay(self, event: Record) -> None:
        number = self._sequence + 1
        if event.sequence != number:
            raise RecoveryError(f"the event is missing, the next is {event.sequence}", self.persistence_id, number)
        try:
            self._state = self._applied(self._state, self.codec.decode(event.data))
        except Exception as error:
            raise RecoveryError(str(Failure.of(error)), self.persistence_id, number) from error
        self._sequence = number
