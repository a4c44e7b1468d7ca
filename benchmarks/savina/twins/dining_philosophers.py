"""Dining philosophers, on Pykka."""

from __future__ import annotations

from typing import Any

import pykka
from attrs import frozen

from benchmarks.savina import check
from benchmarks.savina.dining_philosophers import Denied, Eat, Finished, Meals, Table

Ref = pykka.ActorRef[Any]


@frozen
class Dine:
    meals: int
    done: pykka.ThreadingFuture[int]


@frozen
class Hungry:
    seat: int
    sender: Ref


class Arbiter(pykka.ThreadingActor):
    def __init__(self, seats: int) -> None:
        super().__init__()
        self.table = Table(seats)

    def on_receive(self, message: Hungry | Finished | Meals) -> int | None:
        match message:
            case Hungry(seat, sender):
                sender.tell(Eat() if self.table.take(seat) else Denied())
            case Finished(seat):
                self.table.put_back(seat)
            case Meals():
                return self.table.meals
        return None


class Philosopher(pykka.ThreadingActor):
    done: pykka.ThreadingFuture[int]

    def __init__(self, seat: int, arbiter: Ref) -> None:
        super().__init__()
        self.seat = seat
        self.arbiter = arbiter
        self.meals = self.denied = 0

    def on_receive(self, message: Dine | Eat | Denied) -> None:
        match message:
            case Dine(meals, done):
                self.meals, self.done = meals, done
            case Eat():
                self.arbiter.tell(Finished(self.seat))
                self.meals -= 1
            case Denied():
                self.denied += 1
        if self.meals:
            self.arbiter.tell(Hungry(self.seat, self.actor_ref))
        else:
            self.done.set(self.denied)


def dining_philosophers(seats: int, each: int) -> int:
    """Let each philosopher eat so many times."""
    arbiter = Arbiter.start(seats)
    philosophers = [Philosopher.start(seat, arbiter) for seat in range(seats)]
    futures = [pykka.ThreadingFuture[int]() for _ in philosophers]
    for philosopher, done in zip(philosophers, futures, strict=True):
        philosopher.tell(Dine(each, done))
    denied = sum(pykka.get_all(futures))
    check("meals", arbiter.ask(Meals()), seats * each)
    return 3 * seats * each + 2 * denied
