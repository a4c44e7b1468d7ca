"""Big, on Pykka."""

from __future__ import annotations

from random import Random
from typing import Any

import pykka
from attrs import frozen

from benchmarks.savina import WrongResultError, check
from benchmarks.savina.big import Pinged

Ref = pykka.ActorRef[Any]


@frozen
class Begin:
    others: tuple[Ref, ...]
    pings: int
    done: pykka.ThreadingFuture[int]


@frozen
class Ping:
    sender: Ref


@frozen
class Pong:
    sender: Ref


class Talker(pykka.ThreadingActor):
    done: pykka.ThreadingFuture[int]

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.rng = Random(seed)
        self.others: tuple[Ref, ...] = ()
        self.partner: Ref | None = None
        self.pings = self.pongs = self.answered = 0

    def on_receive(self, message: Begin | Ping | Pong | Pinged) -> int | None:
        match message:
            case Begin(others, pings, done):
                self.others, self.pings, self.done = others, pings, done
                self.ping()
            case Ping(sender):
                self.answered += 1
                sender.tell(Pong(self.actor_ref))
            case Pong(sender):
                if sender is not self.partner:
                    self.done.set_exception((WrongResultError, WrongResultError(f"a pong from {sender}"), None))
                self.pongs += 1
                self.ping()
            case Pinged():
                return self.answered
        return None

    def ping(self) -> None:
        if self.pongs == self.pings:
            self.done.set(self.pongs)
            return
        self.partner = self.rng.choice(self.others)
        self.partner.tell(Ping(self.actor_ref))


def big(talkers: int, pings: int) -> int:
    """Let each ping so many others."""
    refs = tuple(Talker.start(seed) for seed in range(talkers))
    futures = [pykka.ThreadingFuture[int]() for _ in refs]
    for ref, done in zip(refs, futures, strict=True):
        ref.tell(Begin(refs, pings, done))
    check("pongs", pykka.get_all(futures), [pings] * talkers)
    check("pings answered", sum(ref.ask(Pinged(), block=True) for ref in refs), talkers * pings)
    return 2 * talkers * pings
