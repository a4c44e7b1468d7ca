"""Grains that are used at random, and what must hold for them whatever happens to their nodes."""

from __future__ import annotations

from itertools import count
from random import Random
from typing import Any, ClassVar

import attrs
import trio

from tests.simulation.estate import Work
from trioakt import Context, Grain, Idle, Never, OneForOne, Placement, Request, message
from trioakt.grains.persistent import EventSourcedGrain
from trioakt.lowlevel import RestPolicy


@message(name="simulation.letter")
class Letter:
    """One of several that somebody writes to a grain."""

    sender: str
    number: int
    seconds: float


@message(name="simulation.remind")
class Remind(Request[None]):
    """Lets a reminder come."""

    name: str
    delay: float
    every: float | None


@message(name="simulation.forget")
class Forget(Request[bool]):
    """Lets a reminder not come."""

    name: str


@message(name="simulation.ring")
class Ring:
    """A reminder."""

    name: str


@message(name="simulation.fail")
class Fail:
    """Lets a grain fail."""


@message(name="simulation.pay")
class Pay(Request[int]):
    """Put so much into a purse; answered with what is in it."""

    amount: int


@message(name="simulation.paid")
class Paid:
    amount: int


@message(name="simulation.savings")
class Savings:
    amount: int = 0


@attrs.define(eq=False)
class Chronicle:
    """What all nodes of a scenario know together; an extension of each.

    Attributes:
        rng: Where the grains take their chance from.
        expired: The last token of each node whose lease was ended before its time.
        read: The number of the last letter that a grain has read, by its sender and the grain.
        reminded: The names of reminders that were said to be set.
        rung: The names of those that have come.
        paid: What was said to be in each purse, at least.
        at_home: The address of the node on which each grain was activated last, and when.
        broken: What went wrong.
    """

    rng: Random = attrs.field(factory=lambda: Random(0))
    expired: dict[str, int] = attrs.field(factory=dict[str, int])
    read: dict[tuple[str, str], int] = attrs.field(factory=dict[tuple[str, str], int])
    reminded: set[str] = attrs.field(factory=set[str])
    rung: set[str] = attrs.field(factory=set[str])
    paid: dict[str, int] = attrs.field(factory=dict[str, int])
    at_home: dict[str, tuple[str, float]] = attrs.field(factory=dict[str, tuple[str, float]])
    broken: list[str] = attrs.field(factory=list[str])
    numbers: count[int] = attrs.field(factory=lambda: count(1))

    async def dawdle(self, longest: float) -> None:
        """Take a while, or none."""
        await trio.sleep(self.rng.choice([0.0, 0.0, self.rng.uniform(0.0, longest)]))


class Resident(Grain):
    """Reads letters and works, slow to begin and to end."""

    passivation: ClassVar[RestPolicy] = Idle(0.5)
    options = {"supervision": OneForOne(max_restarts=1), "init_timeout": 2.0, "stop_grace": 0.7}  # noqa: RUF012

    async def pre_start(self, ctx: Context) -> None:
        chronicle = ctx.extension(Chronicle)
        self.since = trio.current_time()
        self.note_home(ctx)
        await chronicle.dawdle(2.5)

    async def post_stop(self, ctx: Context) -> None:
        await ctx.extension(Chronicle).dawdle(0.9)

    async def receive(self, ctx: Context, msg: object) -> None:
        match msg:
            case Work(seconds):
                token = ctx.fencing_token
                self.note_home(ctx)
                await trio.sleep(seconds)
                ctx.reply(token)
            case Letter():
                self.read(ctx, msg)
                await trio.sleep(msg.seconds)
            case Remind(name, delay, every):
                await ctx.remind(name, delay, Ring(name), every)
                ctx.reply(None)
            case Forget(name):
                ctx.reply(await ctx.forget_reminder(name))
            case Ring(name):
                ctx.extension(Chronicle).rung.add(name)
            case Fail():
                raise RuntimeError("told to")
            case _:
                ctx.unhandled()

    def note_home(self, ctx: Context) -> None:
        """Note where a grain handles messages, and since when it is active, if that is only now."""
        homes, name = ctx.extension(Chronicle).at_home, f"{type(self).__name__}/{ctx.identity}"
        homes[name] = ctx.system.address, self.since

    def read(self, ctx: Context, letter: Letter) -> None:
        """See that the letters of a sender come once, and in their order."""
        chronicle = ctx.extension(Chronicle)
        if ctx.fencing_token >> 20 <= chronicle.expired.get(str(ctx.system.endpoint.remote.node), 0):
            return  # it has not noticed yet that its lease was ended before its time
        place = letter.sender, f"{type(self).__name__}/{ctx.identity}"
        last = chronicle.read.get(place, 0)
        if letter.number <= last:
            chronicle.broken.append(f"{letter.sender}'s letter {letter.number} to {place[1]} came after {last}")
        chronicle.read[place] = letter.number


class Caretaker(Resident):
    """Is there for ever."""

    passivation = Never()
    relocation = "eager"


class Wanderer(Resident):
    """Is on any node, whoever owns its shard."""

    placement = Placement.random()


class Nomad(Caretaker):
    """Is there for ever, where it was needed first."""

    placement = Placement.local()


class Purse(EventSourcedGrain[Savings]):
    """Keeps what is paid."""

    passivation: ClassVar[RestPolicy] = Idle(0.5)
    snapshot_every = 5

    def __init__(self) -> None:
        super().__init__(Savings())

    async def post_stop(self, ctx: Context) -> None:
        await ctx.extension(Chronicle).dawdle(0.9)

    def apply(self, state: Savings, event: Paid) -> Savings:
        return Savings(state.amount + event.amount)

    async def receive(self, ctx: Context, msg: Any) -> None:
        match msg:
            case Pay(amount):
                if amount:
                    await self.persist(Paid(amount))
                await ctx.extension(Chronicle).dawdle(0.3)
                ctx.reply(self.state.amount)
            case _:
                ctx.unhandled()


class Wallet(Purse):
    """Is on the node with the fewest of them."""

    placement = Placement.least_load()


@attrs.frozen
class Cast:
    """The classes of grains of a scenario: one comes and goes, one is there for ever, one keeps what it is given."""

    resident: type[Resident]
    caretaker: type[Caretaker]
    purse: type[Purse]


CASTS = (Cast(Resident, Caretaker, Purse), Cast(Wanderer, Nomad, Wallet))
"""Those that are at the owner of their shard, and those that are placed."""
