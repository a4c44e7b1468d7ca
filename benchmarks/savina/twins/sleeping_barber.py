"""Sleeping barber, on Pykka."""

from __future__ import annotations

from collections import deque
from typing import Any

import pykka
from attrs import frozen

from benchmarks.savina import check
from benchmarks.savina.sleeping_barber import Full, Haircuts, Next

Ref = pykka.ActorRef[Any]


@frozen
class Grow:
    times: int
    done: pykka.ThreadingFuture[int]


@frozen
class Enter:
    customer: Ref


@frozen
class Cut:
    customer: Ref
    sender: Ref


class WaitingRoom(pykka.ThreadingActor):
    def __init__(self, barber: Ref, chairs: int) -> None:
        super().__init__()
        self.barber = barber
        self.chairs = chairs
        self.waiting: deque[Ref] = deque()
        self.asleep = True

    def on_receive(self, message: Enter | Next) -> None:
        match message:
            case Enter(customer) if self.asleep:
                self.asleep = False
                self.barber.tell(Cut(customer, self.actor_ref))
            case Enter(customer) if len(self.waiting) < self.chairs:
                self.waiting.append(customer)
            case Enter(customer):
                customer.tell(Full())
            case Next() if self.waiting:
                self.barber.tell(Cut(self.waiting.popleft(), self.actor_ref))
            case Next():
                self.asleep = True


class Barber(pykka.ThreadingActor):
    def __init__(self) -> None:
        super().__init__()
        self.haircuts = 0

    def on_receive(self, message: Cut | Haircuts) -> int | None:
        match message:
            case Cut(customer, sender):
                self.haircuts += 1
                customer.tell(message)
                sender.tell(Next())
            case Haircuts():
                return self.haircuts
        return None


class Customer(pykka.ThreadingActor):
    done: pykka.ThreadingFuture[int]

    def __init__(self, room: Ref) -> None:
        super().__init__()
        self.room = room
        self.left = self.refused = 0

    def on_receive(self, message: Grow | Cut | Full) -> None:
        match message:
            case Grow(times, done):
                self.left, self.done = times, done
            case Cut():
                self.left -= 1
            case Full():
                self.refused += 1
        if self.left:
            self.room.tell(Enter(self.actor_ref))
        else:
            self.done.set(self.refused)


def sleeping_barber(chairs: int, customers: int, each: int) -> int:
    """Let each customer have so many haircuts."""
    barber = Barber.start()
    room = WaitingRoom.start(barber, chairs)
    refs = [Customer.start(room) for _ in range(customers)]
    futures = [pykka.ThreadingFuture[int]() for _ in refs]
    for ref, done in zip(refs, futures, strict=True):
        ref.tell(Grow(each, done))
    refused = sum(pykka.get_all(futures))
    check("haircuts", barber.ask(Haircuts()), customers * each)
    return 4 * customers * each + 2 * refused
