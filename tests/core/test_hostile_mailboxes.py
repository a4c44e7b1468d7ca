"""Mailboxes that raise: whoever had to do with them is told, and nobody else is harmed."""

from __future__ import annotations

from typing import Any, NoReturn

import pytest
import trio
from trio.testing import MockClock

from tests.core.actors import Do, Recorder, collected
from tests.core.crew import Question, echo
from tests.core.watching import ended
from trioakt import ActorFailedError, ActorSystem, Context, DeadLetter, Directive, OneForOne, Priority


def no_order(msg: Any) -> NoReturn:
    raise ValueError("no place in the queue")


def no_mailbox() -> NoReturn:
    raise ValueError("no mailbox today")


async def test_an_asker_whose_request_is_forwarded_to_a_mailbox_that_raises_is_told() -> None:
    async with ActorSystem("test") as system:
        last = await system.spawn_func(echo, mailbox=Priority(no_order))
        middle = await system.spawn_func(lambda ctx, msg: ctx.forward(last))
        with pytest.raises(ActorFailedError) as caught:
            await middle.ask(Question())
        assert isinstance(caught.value.__cause__, ValueError)


async def test_a_request_that_could_not_be_forwarded_can_still_be_answered() -> None:
    def forward(ctx: Context, msg: Question) -> None:
        try:
            ctx.forward(last)
        except ValueError:
            ctx.reply("not there")

    async with ActorSystem("test") as system:
        last = await system.spawn_func(echo, mailbox=Priority(no_order))
        middle = await system.spawn_func(forward)
        assert await middle.ask(Question()) == "not there"


async def test_a_watcher_that_has_no_mailbox_fails_alone() -> None:
    async with ActorSystem("test") as system:
        watched = await system.spawn(Recorder)
        watcher = await system.spawn(
            lambda: Recorder(pre_start=lambda ctx: ctx.watch(watched)),
            mailbox=no_mailbox,
            supervision=OneForOne(default=Directive.STOP),
        )
        watched.stop()
        await ended(watched)
        assert not watcher.is_alive
        assert await (await system.spawn(Recorder)).ask(Do(lambda ctx: "works")) == "works"


class Unearthly(BaseException):
    """An exception of an application that is no ``Exception``."""


def no_earthly_order(msg: Any) -> NoReturn:
    raise Unearthly


async def test_a_schedule_and_a_topic_survive_whatever_a_mailbox_raises(autojump_clock: MockClock) -> None:
    async with ActorSystem("test") as system:
        broken = await system.spawn(Recorder, mailbox=Priority(no_earthly_order))
        with collected(system, DeadLetter) as letters:
            system.scheduler.once(1.0, broken, "tick")
            system.topics.subscribe_ref("news", broken)
            system.topics.publish("news", "nothing new")
            await trio.sleep(2.0)
        assert [letter.message for letter in letters] == ["nothing new", "tick"]
