"""Thread ring, on Pykka."""

from __future__ import annotations

from typing import Any

import pykka
from attrs import frozen

from benchmarks.savina import check

Ref = pykka.ActorRef[Any]


@frozen
class Join:
    after: Ref


@frozen
class Token:
    left: int
    finish: pykka.ThreadingFuture[int]


class Member(pykka.ThreadingActor):
    after: Ref

    def __init__(self, place: int) -> None:
        super().__init__()
        self.place = place

    def on_receive(self, message: Join | Token) -> None:
        match message:
            case Join(after):
                self.after = after
            case Token(0, finish):
                finish.set(self.place)
            case Token(left, finish):
                self.after.tell(Token(left - 1, finish))


def thread_ring(members: int, steps: int) -> int:
    """Send a token round."""
    ring = [Member.start(place) for place in range(members)]
    for place, member in enumerate(ring):
        member.tell(Join(ring[(place + 1) % members]))
    finish = pykka.ThreadingFuture[int]()
    ring[0].tell(Token(steps, finish))
    check("place where the token ended", finish.get(), steps % members)
    return steps
