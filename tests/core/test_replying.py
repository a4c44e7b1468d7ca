"""Answers, and the handles that keep them for later: one answer counts, from whatever task it comes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import trio
from trio.testing import MockClock
from trio.testing import wait_all_tasks_blocked as settle

from tests.core.actors import collected
from tests.core.crew import Question, Trouble, ask_soon, echo
from trioakt import (
    Actor,
    ActorFailedError,
    ActorRef,
    ActorStoppedError,
    ActorSystem,
    Context,
    DeadLetter,
    DeadLetterReason,
    Directive,
    NoReplyError,
    OneForOne,
    ReplyTo,
)

RESUMING = OneForOne(default=Directive.RESUME)


class Keeper(Actor):
    """Keeps the handles of the questions it gets."""

    def __init__(self, kept: list[ReplyTo]) -> None:
        self.kept = kept

    def receive(self, ctx: Context, msg: object) -> None:
        match msg:
            case Question():
                self.kept.append(ctx.reply_to)
            case _:
                raise Trouble(msg)


async def answer_twice(ctx: Context, msg: object, trouble: list[str]) -> None:
    handle = ctx.reply_to
    ctx.reply("first")
    for again in (ctx.reply, handle.reply):
        with pytest.raises(RuntimeError):
            again("second")
        trouble.append("reply")
    with pytest.raises(RuntimeError):
        handle.fail(Trouble())
    trouble.append("fail")


async def test_a_second_answer_raises_and_the_first_one_stands() -> None:
    async with ActorSystem("test") as system:
        trouble: list[str] = []
        ref = await system.spawn_func(answer_twice, trouble)
        assert await ref.ask(Question()) == "first"
        await settle()
        assert trouble == ["reply", "reply", "fail"]
        assert system.statistics().failures == 0


async def test_a_second_answer_after_a_refusal_raises_too() -> None:
    kept: list[ReplyTo] = []
    async with ActorSystem("test") as system, trio.open_nursery() as nursery:
        asking = ask_soon(nursery, await system.spawn(Keeper, kept), Question())
        await settle()
        kept[0].fail(Trouble())
        with pytest.raises(RuntimeError):
            kept[0].reply("after all")
        await settle()
        assert isinstance(asking.outcome, ActorFailedError)


async def test_a_kept_handle_answers_later_from_any_task() -> None:
    kept: list[ReplyTo] = []
    async with ActorSystem("test") as system, trio.open_nursery() as nursery:
        ref = await system.spawn(Keeper, kept)
        askings = [ask_soon(nursery, ref, Question()) for _ in range(2)]
        await settle()
        assert [asking.outcome for asking in askings] == [None, None]
        kept[1].reply("b")
        kept[0].reply("a")
        await settle()
        assert sorted(asking.outcome for asking in askings) == ["a", "b"]


async def test_a_task_of_the_actor_answers_while_the_actor_goes_on(autojump_clock: MockClock) -> None:
    async def later(handle: ReplyTo, text: str) -> None:
        await trio.sleep(len(text))
        handle.reply(text)

    async def delegate(ctx: Context, msg: Question) -> None:
        ctx.nursery.start_soon(later, ctx.reply_to, msg.text)

    async with ActorSystem("test") as system, trio.open_nursery() as nursery:
        ref = await system.spawn_func(delegate)
        slow = ask_soon(nursery, ref, Question("a long one"))
        await settle()
        assert await ref.ask(Question("short")) == "short"
        assert trio.current_time() == pytest.approx(5.0)
        assert slow.outcome is None
    assert slow.outcome == "a long one"


async def test_a_handle_that_is_lost_answers_with_no_reply_error() -> None:
    kept: list[ReplyTo] = []
    async with ActorSystem("test") as system, trio.open_nursery() as nursery:
        asking = ask_soon(nursery, await system.spawn(Keeper, kept), Question())
        await settle()
        assert asking.outcome is None
        kept.clear()
        await settle()
        assert isinstance(asking.outcome, NoReplyError)


def fail(ref: ActorRef) -> None:
    ref.tell(Trouble())


@pytest.mark.parametrize("end", [ActorRef.stop, ActorRef.kill, fail])
async def test_a_kept_handle_is_void_when_its_life_of_the_actor_ends(end: Callable[[ActorRef], None]) -> None:
    kept: list[ReplyTo] = []
    async with ActorSystem("test") as system, trio.open_nursery() as nursery:
        ref = await system.spawn(Keeper, kept)
        asking = ask_soon(nursery, ref, Question())
        await settle()
        end(ref)
        await settle()
        assert isinstance(asking.outcome, ActorStoppedError | ActorFailedError)


async def test_a_kept_handle_survives_a_failure_that_is_resumed() -> None:
    kept: list[ReplyTo] = []
    async with ActorSystem("test", supervision=RESUMING) as system, trio.open_nursery() as nursery:
        ref = await system.spawn(Keeper, kept)
        asking = ask_soon(nursery, ref, Question())
        await settle()
        ref.tell("trouble")
        await settle()
        kept[0].reply("safe")
        await settle()
        assert asking.outcome == "safe"


async def test_a_reply_to_a_told_message_goes_to_its_sender() -> None:
    received: list[object] = []
    async with ActorSystem("test") as system:
        ref = await system.spawn_func(echo)
        sender = await system.spawn_func(lambda ctx, msg: received.append((ctx.sender, msg)))
        ref.tell(Question("hello"), sender=sender)
        await settle()
        assert received == [(ref, "hello")]


async def test_a_reply_to_nobody_is_a_dead_letter() -> None:
    async with ActorSystem("test") as system:
        ref = await system.spawn_func(echo)
        with collected(system, DeadLetter) as letters:
            ref.tell(Question("hello?"))
            await settle()
        assert [(letter.message, letter.reason) for letter in letters] == [("hello?", DeadLetterReason.NO_ASKER)]


async def test_a_told_message_has_no_handle() -> None:
    async def take_handle(ctx: Context, msg: object) -> None:
        with pytest.raises(RuntimeError, match="told"):
            _ = ctx.reply_to

    async with ActorSystem("test") as system:
        ref = await system.spawn_func(take_handle)
        ref.tell("hello")
        await settle()
        assert system.statistics().failures == 0
