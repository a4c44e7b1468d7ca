"""Reliable delivery between actors: numbered, confirmed, sent again, and taken once.

The way in: ``producer`` and ``consumer`` are actors that drive the two ends of a stream in ``window``, which talk as
``protocol`` says; ``work`` is a producer with many such streams; ``queue`` keeps on disk what was accepted.
"""

from trioakt.delivery.consumer import Delivery, spawn_consumer, spawn_worker
from trioakt.delivery.intake import ProducerRef
from trioakt.delivery.producer import StreamProducerRef, spawn_producer
from trioakt.delivery.queue import DurableQueue, open_queue
from trioakt.delivery.work import spawn_work_producer

__all__ = [
    "Delivery",
    "DurableQueue",
    "ProducerRef",
    "StreamProducerRef",
    "open_queue",
    "spawn_consumer",
    "spawn_producer",
    "spawn_work_producer",
    "spawn_worker",
]
