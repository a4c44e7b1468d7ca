"""Dining philosophers: each needs the forks to both sides; an arbiter says who may eat, and who has to ask again."""

from __future__ import annotations

from benchmarks.savina import WrongResultError, check
from trioakt import Actor, ActorRef, ActorSystem, Context, ReplyTo, Request, ask_all, message


@message
class Dine(Request[int]):
    """Eat so many times; the answer says how often that was denied."""

    meals: int


@message
class Hungry:
    """May I eat?"""

    seat: int


@message
class Eat:
    """You may."""


@message
class Denied:
    """Not now."""


@message
class Finished:
    """My forks are free."""

    seat: int


@message
class Meals(Request[int]):
    """How many there were."""


class Table:
    """The forks; it knows no actors."""

    def __init__(self, seats: int) -> None:
        self._taken = [False] * seats
        self.meals = 0

    def take(self, seat: int) -> bool:
        """Take the forks to both sides of a seat, if both are free."""
        beside = (seat + 1) % len(self._taken)
        if self._taken[seat] or self._taken[beside]:
            return False
        self._taken[seat] = self._taken[beside] = True
        return True

    def put_back(self, seat: int) -> None:
        """Free the forks of a seat after a meal."""
        beside = (seat + 1) % len(self._taken)
        if not (self._taken[seat] and self._taken[beside]):
            raise WrongResultError(f"somebody else has had a fork of seat {seat}")
        self._taken[seat] = self._taken[beside] = False
        self.meals += 1


class Arbiter(Actor):
    """Knows which forks are taken."""

    def __init__(self, seats: int) -> None:
        self.table = Table(seats)

    def receive(self, ctx: Context, msg: Hungry | Finished | Meals) -> None:
        match msg:
            case Hungry(seat):
                ctx.reply(Eat() if self.table.take(seat) else Denied())
            case Finished(seat):
                self.table.put_back(seat)
            case Meals():
                ctx.reply(self.table.meals)


class Philosopher(Actor):
    """Asks until it may eat, again and again."""

    done: ReplyTo

    def __init__(self, seat: int, arbiter: ActorRef) -> None:
        self.seat = seat
        self.arbiter = arbiter
        self.meals = self.denied = 0

    def receive(self, ctx: Context, msg: Dine | Eat | Denied) -> None:
        match msg:
            case Dine(meals):
                self.meals, self.done = meals, ctx.reply_to
            case Eat():
                self.arbiter.tell(Finished(self.seat))
                self.meals -= 1
            case Denied():
                self.denied += 1
        if self.meals:
            self.arbiter.tell(Hungry(self.seat), sender=ctx.self)
        else:
            self.done.reply(self.denied)


async def dining_philosophers(system: ActorSystem, seats: int, each: int) -> int:
    """Let each philosopher eat so many times."""
    arbiter = await system.spawn(Arbiter, seats)
    philosophers = [await system.spawn(Philosopher, seat, arbiter) for seat in range(seats)]
    denied = sum(await ask_all(philosophers, Dine(each)))
    check("meals", await arbiter.ask(Meals()), seats * each)
    return 3 * seats * each + 2 * denied
