"""Fork-join, creation, on Pykka."""

from __future__ import annotations

from typing import Any

import pykka
from attrs import frozen

from benchmarks.savina import check
from benchmarks.savina.fork_join_creation import Result

Ref = pykka.ActorRef[Any]


@frozen
class Fork:
    workers: int
    joined: pykka.ThreadingFuture[int]


@frozen
class Square:
    number: int
    sender: Ref


class Worker(pykka.ThreadingActor):
    def on_receive(self, message: Square) -> None:
        message.sender.tell(Result(message.number * message.number))
        self.stop()


class Master(pykka.ThreadingActor):
    joined: pykka.ThreadingFuture[int]

    def __init__(self) -> None:
        super().__init__()
        self.left = self.sum = 0

    def on_receive(self, message: Fork | Result) -> None:
        match message:
            case Fork(workers, joined):
                self.left, self.joined = workers, joined
                for number in range(workers):
                    Worker.start().tell(Square(number, self.actor_ref))
            case Result(number):
                self.sum += number
                self.left -= 1
                if not self.left:
                    self.joined.set(self.sum)


def fork_join_creation(workers: int) -> int:
    """Let each of so many workers compute one square."""
    joined = pykka.ThreadingFuture[int]()
    Master.start().tell(Fork(workers, joined))
    check("sum of squares", joined.get(), sum(number * number for number in range(workers)))
    return 2 * workers
