"""The routees and messages that the tests of routers share."""

from __future__ import annotations

from typing import Any

import trio

from trioakt import Actor, Context, Request, message


@message
class Who(Request[str]):
    """Which routee are you?"""


@message
class Work(Request[str]):
    """Be busy for so many seconds, each routee as long as its place in the list says, and then say who you are."""

    seconds: tuple[float, ...]


@message(cancellable=True)
class Cancellable(Request[str]):
    """Be busy for an hour."""


class Worker(Actor):
    """Writes down what it handles, as its number and the message."""

    def __init__(self, log: list[tuple[str, Any]] | None = None) -> None:
        self.log: list[tuple[str, Any]] = [] if log is None else log

    async def receive(self, ctx: Context, msg: Any) -> None:
        name = ctx.self.name.removeprefix("routee-")
        self.log.append((name, msg))
        match msg:
            case Who():
                ctx.reply(name)
            case Work(seconds):
                await trio.sleep(seconds[int(name) - 1])
                ctx.reply(name)
            case Cancellable():
                try:
                    await trio.sleep(3600)
                finally:
                    self.log.append((name, "over"))
            case Exception():
                raise msg
            case "sender":
                ctx.reply(ctx.sender)
            case _:
                pass
