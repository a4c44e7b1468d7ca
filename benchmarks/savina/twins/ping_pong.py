"""Ping pong, on Pykka."""

from __future__ import annotations

from typing import Any

import pykka
from attrs import frozen

from benchmarks.savina import check

Ref = pykka.ActorRef[Any]


@frozen
class Play:
    balls: int
    done: pykka.ThreadingFuture[int]


@frozen
class Ping:
    sender: Ref


@frozen
class Pong:
    pass


class Pinger(pykka.ThreadingActor):
    done: pykka.ThreadingFuture[int]

    def __init__(self, ponger: Ref) -> None:
        super().__init__()
        self.ponger = ponger
        self.balls = self.returned = 0

    def on_receive(self, message: Play | Pong) -> None:
        match message:
            case Play(balls, done):
                self.balls, self.done = balls, done
            case Pong():
                self.returned += 1
        if self.returned < self.balls:
            self.ponger.tell(Ping(self.actor_ref))
        else:
            self.done.set(self.returned)


class Ponger(pykka.ThreadingActor):
    def on_receive(self, message: Ping) -> None:
        message.sender.tell(Pong())


def ping_pong(balls: int) -> int:
    """Let two actors play."""
    pinger = Pinger.start(Ponger.start())
    done = pykka.ThreadingFuture[int]()
    pinger.tell(Play(balls, done))
    check("balls returned", done.get(), balls)
    return 2 * balls
