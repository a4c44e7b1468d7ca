"""Counting, on Pykka."""

from __future__ import annotations

from typing import Any

import pykka

from benchmarks.savina import check
from benchmarks.savina.counting import Count, Increment, Produce

Ref = pykka.ActorRef[Any]


class Counter(pykka.ThreadingActor):
    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def on_receive(self, message: Increment | Count) -> int | None:
        match message:
            case Increment():
                self.count += 1
                return None
            case Count():
                return self.count


class Producer(pykka.ThreadingActor):
    def __init__(self, counter: Ref) -> None:
        super().__init__()
        self.counter = counter

    def on_receive(self, message: Produce) -> int:
        for _ in range(message.increments):
            self.counter.tell(Increment())
        return int(self.counter.ask(Count(), block=True))


def counting(increments: int) -> int:
    """Let one actor count what another sends."""
    producer = Producer.start(Counter.start())
    check("increments counted", producer.ask(Produce(increments)), increments)
    return increments
