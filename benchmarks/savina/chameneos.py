"""Chameneos: creatures meet in pairs at a mall, where all have to go through one actor, and change their colors."""

from __future__ import annotations

from enum import Enum, auto

from benchmarks.savina import check
from trioakt import Actor, ActorRef, ActorSystem, Context, ReplyTo, Request, message


class Color(Enum):
    """What a creature can look like."""

    BLUE = auto()
    RED = auto()
    YELLOW = auto()


COLORS = tuple(Color)
COMPLEMENT = {
    (one, two): one if one is two else next(color for color in COLORS if color not in (one, two))
    for one in COLORS
    for two in COLORS
}
"""The color of both after they have met."""


@message
class Open(Request[int]):
    """Let these creatures meet; the answer is how often one met another, counted by both."""

    creatures: tuple[ActorRef, ...]


@message
class Go:
    """The mall is open."""


@message
class Meet:
    """To the mall: I look for company; from there, handed on: here is some."""

    color: Color


@message
class Change:
    """What both look like now."""

    color: Color


@message
class Close:
    """There are no more meetings."""


@message
class Met:
    """How often a creature met another."""

    times: int


class Mall(Actor):
    """Brings two creatures together, so many times."""

    closed: ReplyTo

    def __init__(self, meetings: int) -> None:
        self.meetings = meetings
        self.inside = self.met = 0
        self.waiting: ActorRef | None = None

    def receive(self, ctx: Context, msg: Open | Meet | Met) -> None:
        match msg:
            case Open(creatures):
                self.inside, self.closed = len(creatures), ctx.reply_to
                for creature in creatures:
                    creature.tell(Go())
            case Meet():
                self.introduce(ctx)
            case Met(times):
                self.met += times
                self.inside -= 1
                if not self.inside:
                    self.closed.reply(self.met)

    def introduce(self, ctx: Context) -> None:
        if not self.meetings:
            ctx.reply(Close())
        elif self.waiting is None:
            self.waiting = ctx.sender
        else:
            self.meetings -= 1
            ctx.forward(self.waiting)
            self.waiting = None


class Creature(Actor):
    """Meets whoever comes, until the mall closes."""

    def __init__(self, mall: ActorRef, color: Color) -> None:
        self.mall = mall
        self.color = color
        self.met = 0

    def receive(self, ctx: Context, msg: Go | Meet | Change | Close) -> None:
        match msg:
            case Meet(color):
                self.met += 1
                self.color = COMPLEMENT[self.color, color]
                ctx.reply(Change(self.color))
            case Change(color):
                self.met += 1
                self.color = color
            case Close():
                self.mall.tell(Met(self.met))
                return
        self.mall.tell(Meet(self.color), sender=ctx.self)


async def chameneos(system: ActorSystem, creatures: int, meetings: int) -> int:
    """Let creatures meet."""
    mall = await system.spawn(Mall, meetings)
    refs = [await system.spawn(Creature, mall, COLORS[number % 3]) for number in range(creatures)]
    check("meetings, counted by both", await mall.ask(Open(tuple(refs))), 2 * meetings)
    return 4 * meetings
