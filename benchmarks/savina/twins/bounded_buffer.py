"""Bounded buffer, on Pykka."""

from __future__ import annotations

from collections import deque
from typing import Any

import pykka
from attrs import frozen

from benchmarks.savina import check
from benchmarks.savina.bounded_buffer import Consume, Produce

Ref = pykka.ActorRef[Any]


@frozen
class Put:
    item: int
    taken_in: pykka.ThreadingFuture[None]


@frozen
class Take:
    item: pykka.ThreadingFuture[int]


class Buffer(pykka.ThreadingActor):
    def __init__(self, capacity: int) -> None:
        super().__init__()
        self.capacity = capacity
        self.items: deque[int] = deque()
        self.producers: deque[Put] = deque()
        self.consumers: deque[pykka.ThreadingFuture[int]] = deque()

    def on_receive(self, message: Put | Take) -> None:
        match message:
            case Put(item, taken_in) if self.consumers:
                self.consumers.popleft().set(item)
                taken_in.set(None)
            case Put(item, taken_in) if len(self.items) < self.capacity:
                self.items.append(item)
                taken_in.set(None)
            case Put():
                self.producers.append(message)
            case Take(wanted) if self.items:
                wanted.set(self.items.popleft())
                self.admit()
            case Take(wanted):
                self.consumers.append(wanted)

    def admit(self) -> None:
        if self.producers:
            put = self.producers.popleft()
            self.items.append(put.item)
            put.taken_in.set(None)


class Producer(pykka.ThreadingActor):
    def __init__(self, buffer: Ref) -> None:
        super().__init__()
        self.buffer = buffer

    def on_receive(self, message: Produce) -> None:
        for item in message.items:
            taken_in = pykka.ThreadingFuture[None]()
            self.buffer.tell(Put(item, taken_in))
            taken_in.get()


class Consumer(pykka.ThreadingActor):
    def __init__(self, buffer: Ref) -> None:
        super().__init__()
        self.buffer = buffer

    def on_receive(self, message: Consume) -> int:
        return sum(self.take() for _ in range(message.items))

    def take(self) -> int:
        item = pykka.ThreadingFuture[int]()
        self.buffer.tell(Take(item))
        return int(item.get())


def bounded_buffer(capacity: int, pairs: int, each: int) -> int:
    """Let as many producers as consumers handle so many items each."""
    buffer = Buffer.start(capacity)
    producers = [Producer.start(buffer) for _ in range(pairs)]
    consumers = [Consumer.start(buffer) for _ in range(pairs)]
    for number, producer in enumerate(producers):
        producer.tell(Produce(range(number * each, (number + 1) * each)))
    consumed = pykka.get_all([consumer.ask(Consume(each), block=False) for consumer in consumers])
    check("sum of what was consumed", sum(consumed), sum(range(pairs * each)))
    return 4 * pairs * each
