"""Chameneos, on Pykka."""

from __future__ import annotations

from typing import Any

import pykka
from attrs import frozen

from benchmarks.savina import check
from benchmarks.savina.chameneos import COLORS, COMPLEMENT, Change, Close, Color, Go, Met

Ref = pykka.ActorRef[Any]


@frozen
class Open:
    creatures: tuple[Ref, ...]
    closed: pykka.ThreadingFuture[int]


@frozen
class Meet:
    color: Color
    sender: Ref


class Mall(pykka.ThreadingActor):
    closed: pykka.ThreadingFuture[int]

    def __init__(self, meetings: int) -> None:
        super().__init__()
        self.meetings = meetings
        self.inside = self.met = 0
        self.waiting: Ref | None = None

    def on_receive(self, message: Open | Meet | Met) -> None:
        match message:
            case Open(creatures, closed):
                self.inside, self.closed = len(creatures), closed
                for creature in creatures:
                    creature.tell(Go())
            case Meet():
                self.introduce(message)
            case Met(times):
                self.met += times
                self.inside -= 1
                if not self.inside:
                    self.closed.set(self.met)

    def introduce(self, message: Meet) -> None:
        if not self.meetings:
            message.sender.tell(Close())
        elif self.waiting is None:
            self.waiting = message.sender
        else:
            self.meetings -= 1
            self.waiting.tell(message)
            self.waiting = None


class Creature(pykka.ThreadingActor):
    def __init__(self, mall: Ref, color: Color) -> None:
        super().__init__()
        self.mall = mall
        self.color = color
        self.met = 0

    def on_receive(self, message: Go | Meet | Change | Close) -> None:
        match message:
            case Meet(color, sender):
                self.met += 1
                self.color = COMPLEMENT[self.color, color]
                sender.tell(Change(self.color))
            case Change(color):
                self.met += 1
                self.color = color
            case Close():
                self.mall.tell(Met(self.met))
                return
        self.mall.tell(Meet(self.color, self.actor_ref))


def chameneos(creatures: int, meetings: int) -> int:
    """Let creatures meet."""
    mall = Mall.start(meetings)
    refs = tuple(Creature.start(mall, COLORS[number % 3]) for number in range(creatures))
    closed = pykka.ThreadingFuture[int]()
    mall.tell(Open(refs, closed))
    check("meetings, counted by both", closed.get(), 2 * meetings)
    return 4 * meetings
