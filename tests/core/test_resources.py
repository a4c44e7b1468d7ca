"""Resources of an actor: ctx.enter ties them to one life of it, and they are closed whatever happens."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.core.actors import (
    Boom,
    Do,
    Recorder,
    collected,
    keep_busy,
    leaves,
    noting,
    resource,
    sleeping,
    spawn_child,
)
from trioakt import ActorFailed, ActorRef, ActorSystem, Context, StartError


def holding(log: list[Any], *names: str) -> partial[Recorder]:
    """Make a recipe for an actor that opens resources when it starts, and writes its end into the log."""

    async def pre_start(ctx: Context) -> None:
        for name in names:
            assert await ctx.enter(resource(log, name)) == name

    return partial(Recorder, pre_start=pre_start, post_stop=noting(log, "post_stop"))


@asynccontextmanager
async def closing(log: list[Any], error: BaseException | None = None, seconds: float = 0) -> AsyncGenerator[None]:
    """Take so many seconds to close, and raise then."""
    try:
        yield
    finally:
        await trio.sleep(seconds)
        log.append("closed")
        if error:
            raise error


async def test_resources_are_closed_after_post_stop_last_in_first_out() -> None:
    log: list[Any] = []
    async with ActorSystem("test") as system:
        ref = await system.spawn(holding(log, "1", "2", "3"))
        ref.stop()
        await ref.wait_stopped()
        assert log == ["open 1", "open 2", "open 3", "post_stop", "close 3", "close 2", "close 1"]


async def test_resources_are_closed_and_opened_anew_at_a_restart() -> None:
    log: list[Any] = []
    async with ActorSystem("test") as system:
        ref = await system.spawn(holding(log, "1", "2"))
        ref.tell(Boom(OSError()))
        await wait_all_tasks_blocked()
        assert log == ["open 1", "open 2", "post_stop", "close 2", "close 1", "open 1", "open 2"]
        del log[:]
    assert log == ["post_stop", "close 2", "close 1"]


async def test_a_killed_actor_closes_its_resources(autojump_clock: MockClock) -> None:
    log: list[Any] = []
    async with ActorSystem("test") as system:
        ref = await system.spawn(holding(log, "1"))
        await keep_busy(ref, 1000)
        ref.kill()
        await ref.wait_stopped()
        assert log[-1] == "close 1"


async def test_a_handler_may_open_a_resource_too() -> None:
    log: list[Any] = []
    async with ActorSystem("test") as system:
        ref = await system.spawn(Recorder)
        assert await ref.ask(Do(lambda ctx: ctx.enter(resource(log)))) == "resource"
        ref.stop()
        await ref.wait_stopped()
    assert log == ["open resource", "close resource"]


async def test_children_stop_before_their_parents_resources_close() -> None:
    log: list[Any] = []
    async with ActorSystem("test") as system:
        parent = await system.spawn(holding(log, "parent's"))
        await spawn_child(parent, holding(log, "child's"))
        parent.stop()
        await parent.wait_stopped()
    assert log[2:] == ["post_stop", "close child's", "post_stop", "close parent's"]


async def test_a_resource_that_does_not_open_is_the_error_of_whoever_opened_it() -> None:
    @asynccontextmanager
    async def broken() -> AsyncGenerator[None]:
        if not log:
            raise OSError("no disk")
        yield

    log: list[Any] = []

    async def pre_start(ctx: Context) -> None:
        await ctx.enter(broken())

    async with ActorSystem("test") as system:
        with pytest.raises(StartError) as caught:
            await system.spawn(partial(Recorder, pre_start=pre_start))
        assert isinstance(caught.value.__cause__, OSError)


async def test_a_resource_that_raises_at_its_end_is_an_event_and_the_others_are_closed() -> None:
    log: list[Any] = []
    error = OSError("no disk")

    async def pre_start(ctx: Context) -> None:
        await ctx.enter(resource(log))
        await ctx.enter(closing(log, error))

    async with ActorSystem("test") as system:
        watcher = await system.spawn(partial(Recorder, log))
        ref = await system.spawn(partial(Recorder, pre_start=pre_start))
        await watcher.ask(Do(lambda ctx: ctx.watch(ref)))
        with collected(system, ActorFailed) as failed:
            ref.stop()
            await ref.wait_stopped()
            await wait_all_tasks_blocked()
        assert [event.failure.exception for event in failed] == [error]
    assert log[:3] == ["open resource", "closed", "close resource"]
    assert log[3].ref == ref


async def test_closing_may_take_its_time_but_not_for_ever(autojump_clock: MockClock) -> None:
    log: list[Any] = []

    async with ActorSystem("test") as system:
        quick = await system.spawn(partial(Recorder, pre_start=lambda ctx: ctx.enter(closing(log, seconds=2))))
        slow = await system.spawn(partial(Recorder, pre_start=lambda ctx: ctx.enter(closing(log, seconds=1000))))
        began = trio.current_time()
        quick.stop()
        slow.stop()
        await quick.wait_stopped()
        assert trio.current_time() == began + 2
        assert log == ["closed"]
        await slow.wait_stopped()
        assert trio.current_time() == began + 5


async def test_a_resource_that_hangs_at_its_end_does_not_keep_the_others_open(autojump_clock: MockClock) -> None:
    log: list[Any] = []

    async def pre_start(ctx: Context) -> None:
        await ctx.enter(resource(log))
        await ctx.enter(closing(log, seconds=1000))

    async with ActorSystem("test") as system:
        ref = await system.spawn(partial(Recorder, pre_start=pre_start))
        ref.stop()
        with trio.fail_after(20):
            await ref.wait_stopped()
    assert log == ["open resource", "close resource"]


async def test_a_cancellation_of_the_block_lets_resources_close_in_peace(autojump_clock: MockClock) -> None:
    log: list[Any] = []
    with trio.move_on_after(1):
        async with ActorSystem("test") as system:
            await system.spawn(partial(Recorder, pre_start=lambda ctx: ctx.enter(closing(log, seconds=2))))
            await trio.sleep_forever()
    assert log == ["closed"]


async def test_a_nursery_may_be_entered_as_a_resource(autojump_clock: MockClock) -> None:
    log: list[Any] = []

    async def task() -> None:
        try:
            await trio.sleep(3)
            log.append("task done")
        finally:
            log.append("task over")

    async def pre_start(ctx: Context) -> None:
        nursery = await ctx.enter(trio.open_nursery())
        nursery.start_soon(task)

    async with ActorSystem("test") as system:
        ref: ActorRef = await system.spawn(partial(Recorder, pre_start=pre_start))
        ref.stop()
        await ref.wait_stopped()
    assert log == ["task done", "task over"]


async def test_a_resource_that_breaks_while_it_is_held_fails_its_actor(autojump_clock: MockClock) -> None:
    async def task() -> None:
        await trio.sleep(1)
        raise OSError("connection lost")

    async def begin(ctx: Context) -> None:
        nursery = await ctx.enter(trio.open_nursery())
        nursery.start_soon(task)

    async with ActorSystem("test") as system:
        ref = await system.spawn(Recorder)
        with collected(system, ActorFailed) as failed:
            await ref.ask(Do(begin))
            await trio.sleep(2)
        assert [type(error) for event in failed for error in leaves(event.failure.exception)] == [OSError]
        assert ref.statistics().restarts == 1


async def test_a_cancel_scope_entered_as_a_resource_does_not_reach_other_actors(autojump_clock: MockClock) -> None:
    @asynccontextmanager
    async def deadline() -> AsyncGenerator[None]:
        with trio.move_on_after(1):
            yield

    async with ActorSystem("test") as system:
        other = await system.spawn(Recorder)
        ref = await system.spawn(partial(Recorder, pre_start=lambda ctx: ctx.enter(deadline())))
        await trio.sleep(2)
        assert await other.ask(Do(sleeping(1))) is None
        ref.kill()
        with trio.fail_after(20):
            await ref.wait_stopped()


async def test_entering_in_a_cancelled_scope_hangs_nobody_and_leaves_nothing_open() -> None:
    log: list[Any] = []

    async def enter_cancelled(ctx: Context) -> None:
        with trio.CancelScope() as scope:
            scope.cancel()
            await ctx.enter(resource(log))

    async with ActorSystem("test") as system:
        ref = await system.spawn(Recorder)
        with trio.fail_after(5):
            await ref.ask(Do(enter_cancelled))
            ref.stop()
            await ref.wait_stopped()
    assert log in ([], ["open resource", "close resource"])


async def test_a_kill_that_meets_a_resource_which_opens_without_waiting_ends_the_actor() -> None:
    log: list[Any] = []

    async def kill_and_enter(ctx: Context) -> None:
        ctx.self.kill()
        await ctx.enter(resource(log))

    async with ActorSystem("test") as system:
        ref = await system.spawn(Recorder)
        ref.tell(Do(kill_and_enter))
        with trio.fail_after(5):
            await ref.wait_stopped()
    assert log in ([], ["open resource", "close resource"])


async def test_a_resource_whose_repr_raises_is_entered_and_left_like_any_other() -> None:
    class Unspeakable:
        def __repr__(self) -> str:
            raise ValueError("no name")

        async def __aenter__(self) -> str:
            return "value"

        async def __aexit__(self, *_: object) -> None:
            log.append("left")

    log: list[str] = []
    async with ActorSystem("test") as system:
        ref = await system.spawn(Recorder)
        assert await ref.ask(Do(lambda ctx: ctx.enter(Unspeakable()))) == "value"
    assert log == ["left"]
