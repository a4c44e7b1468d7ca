"""What the tests of asking, supervising and behaviours share beyond ``actors``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Any, cast

import attrs
import trio

from trioakt import Actor, ActorRef, ActorSystem, Context, Request, TrioaktError, message
from trioakt.supervision import Strategy


@message
class Question(Request[Any]):
    text: str = ""


@message(cancellable=True)
class Errand(Request[Any]):
    """A question whose handler may be cancelled."""

    text: str = ""


class Trouble(Exception):
    """What fails in these tests."""


class WorseTrouble(Trouble):
    """A more specific class of failure."""


@attrs.define
class Asking:
    """An ask in a task of its own, and how it ended: with a reply, or with an error of the toolkit."""

    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    outcomes: list[Any] = attrs.field(factory=list[Any])

    @property
    def outcome(self) -> Any:
        """The reply or the error; None while it lasts."""
        assert len(self.outcomes) <= 1
        return self.outcomes[0] if self.outcomes else None

    async def run(self, ref: ActorRef, request: object) -> None:
        with self.scope:
            try:
                self.outcomes.append(await ref.ask(request))
            except TrioaktError as error:
                self.outcomes.append(error)


def ask_soon(nursery: trio.Nursery, ref: ActorRef, request: object) -> Asking:
    """Ask in a task of the nursery."""
    asking = Asking()
    nursery.start_soon(asking.run, ref, request)
    return asking


def echo(ctx: Context, msg: Question | Errand) -> None:
    """Answer with the text of the question."""
    ctx.reply(msg.text)


class Diarist(Actor):
    """Writes its hooks and messages into a diary; an exception that it is sent, it raises."""

    def __init__(self, diary: list[str] | None = None) -> None:
        self.diary = [] if diary is None else diary

    def write(self, ctx: Context, text: str) -> None:
        self.diary.append(f"{ctx.self.name} {text}")

    async def pre_start(self, ctx: Context) -> None:
        self.write(ctx, "starts")

    async def receive(self, ctx: Context, msg: Any) -> None:
        match msg:
            case Exception():
                raise msg
            case Question(text):
                ctx.reply(text)
            case trio.Event():
                self.write(ctx, "waits")
                await msg.wait()
                self.write(ctx, "goes on")
            case _:
                self.write(ctx, str(msg))

    async def post_stop(self, ctx: Context) -> None:
        self.write(ctx, "stops")


async def what_leaves(body: Callable[[ActorSystem], Awaitable[None]], supervision: Strategy) -> list[BaseException]:
    """Run a body in a system that will fail, and return the exceptions that leave the block."""
    try:
        async with ActorSystem("test", supervision=supervision) as system:
            await body(system)
            await trio.sleep_forever()
    except BaseExceptionGroup as group:
        return list(leaves(group))


def leaves(error: BaseException) -> Iterator[BaseException]:
    """Go through the members of nested exception groups."""
    if isinstance(error, BaseExceptionGroup):
        for member in cast("BaseExceptionGroup[BaseException]", error).exceptions:
            yield from leaves(member)
    else:
        yield error
