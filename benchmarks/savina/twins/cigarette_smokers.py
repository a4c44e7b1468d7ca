"""Cigarette smokers, on Pykka."""

from __future__ import annotations

from random import Random
from typing import Any

import pykka
from attrs import frozen

from benchmarks.savina import check
from benchmarks.savina.cigarette_smokers import Smoked, Smoking, expected

Ref = pykka.ActorRef[Any]


@frozen
class Begin:
    rounds: int
    done: pykka.ThreadingFuture[None]


@frozen
class Smoke:
    sender: Ref


class Arbiter(pykka.ThreadingActor):
    done: pykka.ThreadingFuture[None]

    def __init__(self, smokers: list[Ref]) -> None:
        super().__init__()
        self.smokers = smokers
        self.rng = Random(0)
        self.left = 0

    def on_receive(self, message: Begin | Smoking) -> None:
        if isinstance(message, Begin):
            self.left, self.done = message.rounds, message.done
        if self.left:
            self.left -= 1
            self.smokers[self.rng.randrange(len(self.smokers))].tell(Smoke(self.actor_ref))
        else:
            self.done.set(None)


class Smoker(pykka.ThreadingActor):
    def __init__(self) -> None:
        super().__init__()
        self.smoked = 0

    def on_receive(self, message: Smoke | Smoked) -> int | None:
        match message:
            case Smoke(sender):
                self.smoked += 1
                sender.tell(Smoking())
            case Smoked():
                return self.smoked
        return None


def cigarette_smokers(smokers: int, rounds: int) -> int:
    """Let one of the smokers smoke, so many times."""
    refs: list[Ref] = [Smoker.start() for _ in range(smokers)]
    done = pykka.ThreadingFuture[None]()
    Arbiter.start(refs).tell(Begin(rounds, done))
    done.get()
    check("who smoked how often", [ref.ask(Smoked()) for ref in refs], expected(smokers, rounds))
    return 2 * rounds
