"""Sleeping barber: customers find a waiting room with a few chairs, and come back at once when it is full."""

from __future__ import annotations

from collections import deque

from benchmarks.savina import check
from trioakt import Actor, ActorRef, ActorSystem, Context, ReplyTo, Request, ask_all, message


@message
class Grow(Request[int]):
    """Have your hair cut so many times; the answer says how often the room was full."""

    times: int


@message
class Enter:
    """I have come for a haircut."""

    customer: ActorRef


@message
class Full:
    """There is no chair."""


@message
class Cut:
    """To the barber: this one comes next; to the customer: done."""

    customer: ActorRef


@message
class Next:
    """The barber is free."""


@message
class Haircuts(Request[int]):
    """How many there were."""


class WaitingRoom(Actor):
    """Keeps the customers who wait, and wakes the barber."""

    def __init__(self, barber: ActorRef, chairs: int) -> None:
        self.barber = barber
        self.chairs = chairs
        self.waiting: deque[ActorRef] = deque()
        self.asleep = True

    def receive(self, ctx: Context, msg: Enter | Next) -> None:
        match msg:
            case Enter(customer) if self.asleep:
                self.asleep = False
                self.barber.tell(Cut(customer), sender=ctx.self)
            case Enter(customer) if len(self.waiting) < self.chairs:
                self.waiting.append(customer)
            case Enter(customer):
                customer.tell(Full())
            case Next() if self.waiting:
                self.barber.tell(Cut(self.waiting.popleft()), sender=ctx.self)
            case Next():
                self.asleep = True


class Barber(Actor):
    """Cuts the hair of one customer after the other."""

    def __init__(self) -> None:
        self.haircuts = 0

    def receive(self, ctx: Context, msg: Cut | Haircuts) -> None:
        match msg:
            case Cut(customer):
                self.haircuts += 1
                customer.tell(msg)
                ctx.reply(Next())
            case Haircuts():
                ctx.reply(self.haircuts)


class Customer(Actor):
    """Comes back until it has had all its haircuts."""

    done: ReplyTo

    def __init__(self, room: ActorRef) -> None:
        self.room = room
        self.left = self.refused = 0

    def receive(self, ctx: Context, msg: Grow | Cut | Full) -> None:
        match msg:
            case Grow(times):
                self.left, self.done = times, ctx.reply_to
            case Cut():
                self.left -= 1
            case Full():
                self.refused += 1
        if self.left:
            self.room.tell(Enter(ctx.self))
        else:
            self.done.reply(self.refused)


async def sleeping_barber(system: ActorSystem, chairs: int, customers: int, each: int) -> int:
    """Let each customer have so many haircuts."""
    barber = await system.spawn(Barber)
    room = await system.spawn(WaitingRoom, barber, chairs)
    refs = [await system.spawn(Customer, room) for _ in range(customers)]
    refused = sum(await ask_all(refs, Grow(each)))
    check("haircuts", await barber.ask(Haircuts()), customers * each)
    return 4 * customers * each + 2 * refused
