"""Small actors, messages and helpers that the tests of the core share."""

from __future__ import annotations

import inspect
import math
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeAlias, cast

import trio
from trio.testing import wait_all_tasks_blocked

from trioakt import Actor, ActorRef, ActorSystem, Context, Request, message

Hook: TypeAlias = Callable[[Context], Any]


@message
class Get(Request[int]):
    """How many messages have you kept?"""


@message
class Note:
    """Something to keep, with a number to tell it from others."""

    number: int = 0


@message
class Boom:
    """Fail with this error."""

    error: BaseException


@message
class Sleep:
    """Be busy for so many seconds."""

    seconds: float


@message
class Do(Request[Any]):
    """Call a function of the context, plain or async, in the handler; who asks gets what it returns."""

    function: Hook


class Echo(Actor):
    """Replies with the message."""

    def receive(self, ctx: Context, msg: Any) -> None:
        ctx.reply(msg)


class Recorder(Actor):
    """Keeps what it is sent in a list, obeys the messages above, and runs a hook it is given.

    A hook is a function of the context, plain or async.
    """

    def __init__(
        self,
        kept: list[Any] | None = None,
        *,
        pre_start: Hook | None = None,
        post_stop: Hook | None = None,
    ) -> None:
        self.kept = [] if kept is None else kept
        self._pre_start = pre_start
        self._post_stop = post_stop

    async def pre_start(self, ctx: Context) -> None:
        await run_hook(self._pre_start, ctx)

    async def receive(self, ctx: Context, msg: Any) -> None:
        match msg:
            case Get():
                ctx.reply(len(self.kept))
            case Boom(error):
                raise error
            case Sleep(seconds):
                await trio.sleep(seconds)
            case Do(function):
                result = await run_hook(function, ctx)
                if ctx.asked:
                    ctx.reply(result)
            case _:
                self.kept.append(msg)

    async def post_stop(self, ctx: Context) -> None:
        await run_hook(self._post_stop, ctx)


async def run_hook(hook: Hook | None, ctx: Context) -> Any:
    """Call a plain or async function of the context."""
    result = hook(ctx) if hook else None
    return await result if inspect.isawaitable(result) else result


def sleeping(seconds: float) -> Hook:
    """Make a hook that takes so many seconds."""

    async def hook(ctx: Context) -> None:
        await trio.sleep(seconds)

    return hook


async def keep_busy(ref: ActorRef, seconds: float) -> None:
    """Let an actor handle a message for so many seconds; returns when it has begun."""
    ref.tell(Sleep(seconds))
    await wait_all_tasks_blocked()


hang = sleeping(math.inf)


def raising(error: BaseException) -> Hook:
    """Make a hook that raises."""

    def hook(ctx: Context) -> None:
        raise error

    return hook


def noting(log: list[Any], text: str) -> Hook:
    """Make a hook that appends a text to a list."""

    def hook(ctx: Context) -> None:
        log.append(text)

    return hook


async def spawn_child(parent: ActorRef, factory: Callable[[], Actor], name: str | None = None) -> ActorRef:
    """Let an actor that obeys ``Do`` spawn a child."""
    child: ActorRef = await parent.ask(Do(lambda ctx: ctx.spawn(factory, name=name)))
    return child


@asynccontextmanager
async def resource(log: list[Any], name: str = "resource") -> AsyncGenerator[str]:
    """Write into the log when it is opened and when it is closed."""
    log.append(f"open {name}")
    try:
        yield name
    finally:
        log.append(f"close {name}")


async def enter_and_raise(error: BaseException, factory: Callable[[], Actor] = Echo, name: str = "test") -> None:
    """Open a system with one actor, and leave its block by this error."""
    async with ActorSystem(name) as system:
        await system.spawn(factory)
        raise error


def leaves(error: BaseException) -> list[BaseException]:
    """Return the exceptions in a group, or the exception itself."""
    if not isinstance(error, BaseExceptionGroup):
        return [error]
    members = cast("BaseExceptionGroup[BaseException]", error).exceptions
    return [leaf for member in members for leaf in leaves(member)]


@contextmanager
def collected(system: ActorSystem, *kinds: type[Any]) -> Generator[list[Any]]:
    """Give a list that grows with each event of these classes, while the block lasts."""
    events: list[Any] = []
    with system.events.listen(events.append, *kinds):
        yield events
