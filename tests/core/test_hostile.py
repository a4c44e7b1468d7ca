"""Hostile handlers and messages: whatever they do, the others go on and the end comes."""

from __future__ import annotations

from collections.abc import Callable, Generator
from functools import partial
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.core.actors import Do, Echo, Get, Note, Recorder, collected, noting
from trioakt import (
    Actor,
    ActorFailedError,
    ActorSystem,
    Context,
    DeadLetter,
    NoReplyError,
)


class Slotted:
    """A message that is no attrs class, cannot be compared, and cannot be shown."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no equality")

    __hash__ = None  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]

    def __bool__(self) -> bool:
        raise RuntimeError("no truth")

    def __repr__(self) -> str:
        raise RuntimeError("no repr")


# Handlers


async def test_handlers_that_never_await_take_turns_with_the_others() -> None:
    async with ActorSystem("test") as system:
        greedy = await system.spawn_func(lambda ctx, msg: ctx.self.tell(msg))
        greedy.tell("again")
        other = await system.spawn(Recorder)
        for number in range(5):
            assert await other.ask(Get()) == number
            other.tell(Note())


async def test_an_async_handler_that_never_awaits_can_be_stopped_and_killed() -> None:
    async def greedy(ctx: Context, msg: object) -> None:
        ctx.self.tell(msg)

    async with ActorSystem("test") as system:
        for end in ("stop", "kill"):
            ref = await system.spawn_func(greedy)
            ref.tell("again")
            await trio.lowlevel.checkpoint()
            getattr(ref, end)()
            await ref.wait_stopped()


async def test_a_handler_that_swallows_its_cancellation_is_still_the_last_one(autojump_clock: MockClock) -> None:
    kept: list[Any] = []

    async def deaf(ctx: Context) -> None:
        try:
            await trio.sleep_forever()
        except trio.Cancelled:
            kept.append("swallowed")

    async with ActorSystem("test") as system:
        ref = await system.spawn(partial(Recorder, kept, post_stop=noting(kept, "post_stop")))
        ref.tell(Do(deaf))
        ref.tell(Note())
        await wait_all_tasks_blocked()
        ref.kill()
        await ref.wait_stopped()
    assert kept == ["swallowed", "post_stop"]


async def test_a_handler_that_raises_a_stale_cancellation_does_not_end_others(autojump_clock: MockClock) -> None:
    caught: list[trio.Cancelled] = []

    async def keep(ctx: Context) -> None:
        with trio.move_on_after(1):
            try:
                await trio.sleep_forever()
            except trio.Cancelled as error:
                caught.append(error)

    def again(ctx: Context) -> None:
        raise caught[0]

    async with ActorSystem("test") as system:
        other = await system.spawn(Recorder)
        ref = await system.spawn(Recorder)
        await ref.ask(Do(keep))
        ref.tell(Do(again))
        await trio.sleep(1)
        assert await other.ask(Get()) == 0
        with trio.fail_after(10):
            ref.stop()
            await ref.wait_stopped()


async def test_a_plain_handler_that_returns_something_to_await_has_it_awaited() -> None:
    kept: list[Any] = []

    async def later() -> None:
        await trio.lowlevel.checkpoint()
        kept.append("later")

    class Promise:
        """Can be awaited, but is no coroutine."""

        def __await__(self) -> Generator[Any, Any, None]:
            return later().__await__()

    async with ActorSystem("test") as system:
        ref = await system.spawn_func(lambda ctx, msg: later() if msg == 1 else Promise())
        ref.tell(1)
        ref.tell(2)
        await wait_all_tasks_blocked()
    assert kept == ["later", "later"]


@pytest.mark.parametrize("value", [42, "text", [1], object()], ids=lambda value: type(value).__name__)
async def test_what_a_handler_returns_otherwise_is_no_reply(value: object) -> None:
    def receive(ctx: Context, msg: object) -> Any:
        return value

    async with ActorSystem("test") as system:
        ref = await system.spawn_func(receive)
        with pytest.raises((NoReplyError, ActorFailedError)):
            await ref.ask(Get())
        assert ref.is_alive


async def test_a_trio_run_inside_a_handler_is_a_failure_of_that_handler_alone() -> None:
    async def nothing() -> None:
        """Do nothing."""

    async with ActorSystem("test") as system:
        ref = await system.spawn(Recorder)
        with pytest.raises(ActorFailedError) as caught:
            await ref.ask(Do(lambda ctx: trio.run(nothing)))
        assert isinstance(caught.value.__cause__, RuntimeError)
        assert await ref.ask(Get()) == 0


async def test_a_second_reply_raises_in_the_handler_and_the_first_answer_stands() -> None:
    raised: list[BaseException] = []

    def receive(ctx: Context, msg: object) -> None:
        ctx.reply("first")
        with pytest.raises(RuntimeError) as caught:
            ctx.reply("second")
        raised.append(caught.value)

    async with ActorSystem("test") as system:
        ref = await system.spawn_func(receive)
        assert await ref.ask(Get()) == "first"  # type: ignore[comparison-overlap]
        await wait_all_tasks_blocked()
        assert len(raised) == 1


async def test_a_second_reply_that_nobody_catches_fails_the_actor_but_not_the_asker() -> None:
    def receive(ctx: Context, msg: object) -> None:
        ctx.reply("first")
        ctx.reply("second")

    async with ActorSystem("test") as system:
        ref = await system.spawn_func(receive)
        assert await ref.ask(Get()) == "first"  # type: ignore[comparison-overlap]
        await wait_all_tasks_blocked()
        assert ref.statistics().failures == 1


async def test_a_handler_that_answers_and_then_fails_has_answered(autojump_clock: MockClock) -> None:
    async def receive(ctx: Context, msg: object) -> None:
        ctx.reply("done")
        await trio.sleep(1)
        raise OSError

    async with ActorSystem("test") as system:
        ref = await system.spawn_func(receive)
        assert await ref.ask(Get()) == "done"  # type: ignore[comparison-overlap]
        await trio.sleep(2)
        assert ref.statistics().failures == 1


# Messages


@pytest.mark.parametrize("message", [None, 0, "", (), [], {}, object(), OSError("as a message"), Echo])
async def test_any_object_is_a_message_inside_one_process(message: Any) -> None:
    async with ActorSystem("test") as system:
        ref = await system.spawn(Echo)
        assert await ref.ask(message) is message


async def test_a_message_that_raises_at_every_touch_is_delivered_and_counted_when_it_is_not() -> None:
    async with ActorSystem("test") as system:
        message = Slotted()
        ref = await system.spawn(Echo)
        assert await ref.ask(message) is message
        ref.stop()
        await ref.wait_stopped()
        with collected(system, DeadLetter) as letters:
            ref.tell(message)
        assert letters[0].message is message


async def test_a_coroutine_as_a_message_is_not_run() -> None:
    async def work() -> None:
        raise AssertionError("nobody asked for this")

    async with ActorSystem("test") as system:
        ref = await system.spawn(Echo)
        coroutine = work()
        assert await ref.ask(coroutine) is coroutine
        coroutine.close()


# Depth and threads


async def test_a_chain_ten_thousand_deep_is_built_seen_and_stopped() -> None:
    depth = 10_000
    log: list[int] = []

    class Link(Actor):
        def __init__(self, number: int) -> None:
            self.number = number

        async def pre_start(self, ctx: Context) -> None:
            if self.number < depth:
                ctx.self.tell("grow")

        async def receive(self, ctx: Context, msg: object) -> None:
            await ctx.spawn(Link, self.number + 1, name="x")

        def post_stop(self, ctx: Context) -> None:
            log.append(self.number)

    async with ActorSystem("test") as system:
        top = await system.spawn(Link, 1)
        await wait_all_tasks_blocked()
        assert system.statistics().actors == depth
        assert len(system.actors()) == depth
        top.stop()
        await top.wait_stopped()
        assert not system.actors()
    assert log == list(range(depth, 0, -1))


async def test_a_call_from_another_thread_is_refused_and_points_to_the_portal() -> None:
    async with ActorSystem("test") as system:
        ref = await system.spawn(Recorder)
        for call in (partial(ref.tell, Note()), ref.stop, ref.kill, ref.reinstate):
            with pytest.raises(RuntimeError, match="portal"):
                await trio.to_thread.run_sync(call)
        assert ref.is_alive
        assert await ref.ask(Get()) == 0


CONTEXT_CALLS: dict[str, Callable[[Context], Callable[[], object]]] = {
    "reply": lambda ctx: partial(ctx.reply, "from a thread"),
    "reply_to.reply": lambda ctx: partial(ctx.reply_to.reply, "from a thread"),
    "reply_to.fail": lambda ctx: partial(ctx.reply_to.fail, OSError()),
    "unhandled": lambda ctx: ctx.unhandled,
    "forward": lambda ctx: partial(ctx.forward, ctx.self),
    "watch": lambda ctx: partial(ctx.watch, ctx.self),
    "stop": lambda ctx: ctx.stop,
    "start_soon": lambda ctx: lambda: ctx.nursery.start_soon(trio.lowlevel.checkpoint),
}


@pytest.mark.parametrize("name", CONTEXT_CALLS)
async def test_a_context_refuses_another_thread(name: str) -> None:
    async def work(ctx: Context) -> str:
        with pytest.raises(RuntimeError, match="thread"):
            await trio.to_thread.run_sync(CONTEXT_CALLS[name](ctx))
        return "answered all the same"

    async with ActorSystem("test") as system:
        ref = await system.spawn(Recorder)
        with trio.fail_after(5):
            assert await ref.ask(Do(work)) == "answered all the same"
        assert await ref.ask(Get()) == 0


def test_a_call_without_any_event_loop_is_refused() -> None:
    async def main() -> Any:
        async with ActorSystem("test") as system:
            ref = await system.spawn(Recorder)
            with pytest.raises(RuntimeError, match="portal"):
                await trio.to_thread.run_sync(trio.run, partial(ref.send, Note()))
            with pytest.raises(RuntimeError, match="portal"):
                await trio.to_thread.run_sync(trio.run, partial(ref.ask, Get()))
            assert await ref.ask(Get()) == 0
            return ref

    ref = trio.run(main)
    ref.tell(Note())
    ref.stop()
    with pytest.raises(RuntimeError):
        ref.ask(Get()).send(None)
