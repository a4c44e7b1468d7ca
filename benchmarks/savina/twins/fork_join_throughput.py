"""Fork-join, throughput, on Pykka."""

from __future__ import annotations

import pykka

from benchmarks.savina import check
from benchmarks.savina.fork_join_throughput import Add, Sum


class Worker(pykka.ThreadingActor):
    def __init__(self) -> None:
        super().__init__()
        self.sum = 0

    def on_receive(self, message: Add | Sum) -> int | None:
        match message:
            case Add(number):
                self.sum += number
                return None
            case Sum():
                return self.sum


def fork_join_throughput(workers: int, messages: int) -> int:
    """Send each worker so many messages."""
    refs = [Worker.start() for _ in range(workers)]
    for number in range(messages):
        for ref in refs:
            ref.tell(Add(number))
    check("sums", [ref.ask(Sum()) for ref in refs], [sum(range(messages))] * workers)
    return workers * messages
