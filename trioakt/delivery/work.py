"""Work pulling: one producer and many workers, which ask for work and come and go."""

from __future__ import annotations

import math
from collections import deque
from secrets import token_hex
from typing import TYPE_CHECKING, Any

import attrs

from trioakt.codec import Codec
from trioakt.delivery.intake import Intake, ProducerRef, Terms
from trioakt.delivery.line import Entry
from trioakt.delivery.producer import RESEND, terms_of
from trioakt.delivery.protocol import Grant, Join, Lost, Reply, Superseded, tell
from trioakt.delivery.queue import DurableQueue
from trioakt.delivery.window import Outbox
from trioakt.lowlevel import Actor, ActorRef, Spawner, Terminated
from trioakt.supervision import Backoff

if TYPE_CHECKING:
    from trioakt.lowlevel import CoreContext


@attrs.define(eq=False)
class _Worker:
    """One worker, and what it has been given: each with the number of its last part in this worker's stream."""

    ref: ActorRef[Any]
    outbox: Outbox
    given: deque[tuple[int, Entry]] = attrs.field(factory=deque[tuple[int, Entry]])


class _WorkProducer(Intake):
    def __init__(self, terms: Terms) -> None:
        super().__init__(terms)
        self._workers: dict[ActorRef[Any], _Worker] = {}
        self._unassigned: list[Entry] = []
        """Accepted and with no worker, in the order of their numbers."""

    def room(self) -> int:
        room = sum(worker.outbox.room for worker in self._workers.values())
        return room - sum(entry.parts for entry in self._unassigned)

    def size_limit(self) -> float:
        free = (worker.outbox for worker in self._workers.values() if worker.outbox.room)
        return min((outbox.max_size for outbox in free), default=math.inf)

    def place(self, entry: Entry) -> None:
        self._unassigned.append(entry)

    def hear(self, ctx: CoreContext, msg: Any) -> bool:
        match msg:
            case Join():
                self._join(ctx, ctx.sender)
            case Terminated(ref):
                self._leave(ref)
            case Grant() | Lost() | Superseded():
                self._hear_worker(ctx.sender, msg)
            case _:
                return False
        return True

    def send_due(self, now: float) -> float:
        self._assign()
        for worker in self._workers.values():
            for each in worker.outbox.transmit(now):
                tell(self.ctx, worker.ref, each)
        return min((worker.outbox.next_at for worker in self._workers.values()), default=math.inf)

    def _join(self, ctx: CoreContext, ref: ActorRef[Any] | None) -> None:
        if ref is not None and ref not in self._workers:
            outbox = Outbox(self.terms.producer_id, token_hex(8), token_hex(8), self._delay)
            self._workers[ref] = _Worker(ref, outbox)
            ctx.watch(ref)

    def _leave(self, ref: ActorRef[Any]) -> None:
        worker = self._workers.pop(ref, None)
        if worker is not None:
            left = [entry for _, entry in worker.given]
            self._unassigned = sorted([*self._unassigned, *left], key=lambda entry: entry.number)

    def _hear_worker(self, ref: ActorRef[Any] | None, reply: Reply) -> None:
        worker = None if ref is None else self._workers.get(ref)
        if worker is None:
            return
        worker.outbox.hear(reply)
        while worker.given and worker.given[0][0] <= worker.outbox.confirmed:
            self.confirmed(worker.given.popleft()[1])
        if worker.outbox.superseded:  # another producer of this name employs it
            self._leave(worker.ref)

    def _assign(self) -> None:
        """Give work to those who want some, the least busy first."""
        while self._unassigned:
            free = [worker for worker in self._workers.values() if worker.outbox.room]
            if not free:
                break
            worker = min(free, key=lambda worker: len(worker.given))
            entry = self._unassigned.pop(0)
            worker.given.append((worker.outbox.accept(entry.pieces()), entry))

    def _delay(self, silence: int) -> float:
        return self.terms.resend.delay(silence, self.ctx.system.settings.rng)


async def spawn_work_producer(
    spawner: Spawner,
    producer_id: str,
    *,
    queue: DurableQueue | None = None,
    codec: Codec | None = None,
    chunk_size: int | None = None,
    buffer: int = 1000,
    resend: Backoff = RESEND,
    name: str | None = None,
) -> ProducerRef:
    """Start a producer that shares its messages out among the workers that ask for some.

    Each message is handled by one worker. What a worker has not confirmed when it ends is given to another one, which
    may do again what the first had done.

    Args:
        spawner: A system or a context: the parent.
        producer_id: Names the producer in its queue and to its workers.
        queue: As ``spawn_producer``.
        codec: As ``spawn_producer``.
        chunk_size: As ``spawn_producer``.
        buffer: As ``spawn_producer``.
        resend: As ``spawn_producer``.
        name: Of the actor; without one, a name is made.

    Raises:
        StartError: The queue has a producer of this name already, or fails (the cause).
        NameTakenError, ActorStoppedError, TypeError, ValueError: As ``spawn``.
    """
    terms = terms_of(producer_id, queue, codec, chunk_size, buffer, resend)

    def producer() -> Actor:
        return _WorkProducer(terms)

    return ProducerRef((await spawner.spawn(producer, name=name)).recipient)
