"""Actors that tell, ask, watch, spawn and stop each other at random, and what must hold for them whatever happens."""

from __future__ import annotations

from typing import Any

import attrs
import trio

from trioakt import Actor, ActorRef, Context, OneForOne, ReplyTo, Request, Terminated, TerminationCause, message


@message(name="simulation.note")
class Note:
    number: int


@message(name="simulation.wait")
class Wait(Request[str]):
    """Answer after so many seconds."""

    seconds: float


@message(name="simulation.wait-cancellable", cancellable=True)
class WaitCancellable(Wait):
    """The same, and the handler may be cancelled."""


@message(name="simulation.later")
class Later(Wait):
    """The same, from a task, the mailbox being free meanwhile."""


@message(name="simulation.consult")
class Consult(Request[str]):
    """Ask another one and pass its answer on."""

    ref: ActorRef[Any]
    request: Wait


@message(name="simulation.pass-on")
class PassOn(Request[str]):
    """Let another one answer."""

    ref: ActorRef[Any]


@message(name="simulation.write")
class Write:
    """Tell another one so many notes."""

    ref: ActorRef[Any]
    notes: int


@message(name="simulation.guard")
class Guard:
    """Watch another one."""

    ref: ActorRef[Any]


@message(name="simulation.break")
class Break(Request[None]):
    """Fail."""


@attrs.define(eq=False)
class Truth:
    """What all actors of a scenario know together, and no wire has to carry; an extension of every node.

    Attributes:
        alive: The names of the actors that live now.
        guarded: By the names of the watcher and the watched, whether the watcher still waits to be told.
        broken: What went wrong.
    """

    alive: set[str] = attrs.field(factory=set[str])
    guarded: dict[tuple[str, str], bool] = attrs.field(factory=dict[tuple[str, str], bool])
    broken: list[str] = attrs.field(factory=list[str])

    def check_guards(self) -> None:
        """See that those who live have been told of those who do not."""
        for (guard, guarded), waits in self.guarded.items():
            if waits and guard in self.alive and guarded not in self.alive:
                self.broken.append(f"{guard} was never told that {guarded} has ended")


class Citizen(Actor):
    """Does what it is told; its name is never used again."""

    supervision = OneForOne(max_restarts=10_000)

    def __init__(self) -> None:
        self.ended: set[ActorRef[Any]] = set()
        self.truth: Truth

    def pre_start(self, ctx: Context) -> None:
        self.truth = ctx.extension(Truth)
        self.truth.alive.add(ctx.self.name)

    def post_stop(self, ctx: Context) -> None:
        self.truth.alive.discard(ctx.self.name)

    async def receive(self, ctx: Context, msg: Any) -> None:
        match msg:
            case Later(seconds):
                ctx.nursery.start_soon(answer_later, ctx.reply_to, seconds)
            case Wait(seconds):
                await trio.sleep(seconds)
                ctx.reply("done")
            case Consult(ref, request):
                ctx.reply(await ctx.ask(ref, request))
            case PassOn(ref):
                if ref == ctx.self:
                    ctx.reply("passed on")
                else:
                    ctx.forward(ref)
            case Write(ref, notes):
                for number in range(notes):
                    ref.tell(Note(number), sender=ctx.self)
            case Break():
                raise ValueError("broken")
            case Guard(ref) if ref != ctx.self:
                self.truth.guarded[ctx.self.name, ref.name] = True
                ctx.watch(ref)
            case Terminated(ref, cause):
                self.take_leave(ctx, ref, cause)
            case _ if ctx.sender in self.ended:
                self.truth.broken.append(f"{ctx.self.name} heard from {ctx.sender} after its end")
            case _:
                pass

    def take_leave(self, ctx: Context, ref: ActorRef[Any], cause: TerminationCause) -> None:
        place = ctx.self.name, ref.name
        if not self.truth.guarded.get(place):
            self.truth.broken.append(f"{ctx.self.name} was told twice of the end of {ref.name}")
        self.truth.guarded[place] = False
        if cause != TerminationCause.NODE_LOST:
            self.ended.add(ref)


async def answer_later(reply_to: ReplyTo, seconds: float) -> None:
    await trio.sleep(seconds)
    reply_to.reply("later")
