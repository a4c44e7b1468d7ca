"""An actor that interleaves, and how the tests of reentrancy drive it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import trio
import trio.lowlevel
from trio.testing import wait_all_tasks_blocked as settle

from tests.core.crew import Asking, Question, ask_soon
from trioakt import Actor, ActorRef, ActorSystem, Context, OneForOne, Reentrancy, message


@message
class Pause(Question):
    """Wait so many seconds, letting other messages be handled."""

    seconds: float = 1.0


@message
class Occupy(Question):
    """Wait so many seconds, holding the mailbox."""

    seconds: float = 1.0


class Interleaver(Actor):
    """Writes down when each handler has the turn and when it waits; answers with the text."""

    def __init__(self, diary: list[str] | None = None) -> None:
        self.diary = [] if diary is None else diary
        self.inside = 0

    @asynccontextmanager
    async def turn(self) -> AsyncGenerator[None]:
        assert self.inside == 0, "two handlers run at once"
        self.inside += 1
        try:
            yield
        finally:
            self.inside -= 1

    async def receive(self, ctx: Context, msg: Any) -> None:
        match msg:
            case Pause(text, seconds):
                async with self.turn():
                    self.diary.append(f"{text} begins")
                async with ctx.interleave():
                    await trio.sleep(seconds)
                async with self.turn():
                    self.diary.append(f"{text} ends")
                    await trio.lowlevel.checkpoint()
            case Occupy(text, seconds):
                async with self.turn():
                    self.diary.append(f"{text} begins")
                    await trio.sleep(seconds)
                    self.diary.append(f"{text} ends")
            case Exception():
                raise msg
            case _:
                async with self.turn():
                    self.diary.append(msg.text)
        ctx.reply(msg.text)

    def post_stop(self, ctx: Context) -> None:
        self.diary.append("stops")


@asynccontextmanager
async def interleaver(
    diary: list[str] | None = None, *, max_in_flight: int = 16, supervision: OneForOne | None = None
) -> AsyncGenerator[tuple[ActorSystem, ActorRef, trio.Nursery]]:
    async with ActorSystem("test", supervision=supervision or OneForOne()) as system, trio.open_nursery() as nursery:
        yield (
            system,
            await system.spawn(Interleaver, diary, reentrancy=Reentrancy(max_in_flight=max_in_flight)),
            nursery,
        )


async def ask_in_order(nursery: trio.Nursery, ref: ActorRef, *requests: Question) -> list[Asking]:
    askings: list[Asking] = []
    for request in requests:
        askings.append(ask_soon(nursery, ref, request))
        await settle()
    return askings
