"""Hostile factories and hooks: whatever they do at the start or at the end of an actor, both come to a clear end."""

from __future__ import annotations

import gc
from functools import partial
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.core.actors import Boom, Do, Recorder, collected, resource
from trioakt import (
    Actor,
    ActorFailed,
    ActorStoppedError,
    ActorSystem,
    Context,
    Directive,
    OneForOne,
    StartError,
)

# Factories


@pytest.mark.parametrize("made", [None, 42, "actor", Recorder, object()], ids=lambda made: type(made).__name__)
async def test_a_factory_that_makes_something_else_is_refused(made: Any) -> None:
    async with ActorSystem("test") as system:
        with pytest.raises(StartError) as caught:
            await system.spawn(lambda: made, name="ada")
        assert isinstance(caught.value.__cause__, TypeError)
        assert system.actor("ada") is None


async def test_an_async_factory_is_refused_without_a_forgotten_coroutine() -> None:
    async def factory() -> Actor:
        return Recorder()

    async with ActorSystem("test") as system:
        wrong: Any = factory
        with pytest.raises(StartError) as caught:
            await system.spawn(wrong)
        assert isinstance(caught.value.__cause__, TypeError)
        gc.collect()


async def test_a_factory_that_fails_at_the_restart_is_a_failure_for_the_supervisor(autojump_clock: MockClock) -> None:
    made: list[int] = []
    error = OSError("no more of these")

    def factory() -> Actor:
        made.append(1)
        if len(made) > 1:
            raise error
        return Recorder()

    async with ActorSystem("test") as system:
        ref = await system.spawn(factory, supervision=OneForOne({OSError: Directive.STOP}, default=Directive.RESTART))
        with collected(system, ActorFailed) as failed:
            ref.tell(Boom(ValueError()))
            await ref.wait_stopped()
        assert failed[-1].failure.exception is error


async def test_an_actor_class_with_wrong_hooks_is_a_failure_not_a_hang() -> None:
    class Wrong(Actor):
        pre_start = 42  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]

    async with ActorSystem("test") as system:
        with pytest.raises(StartError):
            await system.spawn(Wrong)


# Hooks


async def test_post_stop_cannot_spawn_into_a_stopping_actor() -> None:
    caught: list[BaseException] = []

    async def post_stop(ctx: Context) -> None:
        with pytest.raises(ActorStoppedError) as raised:
            await ctx.spawn(Recorder)
        caught.append(raised.value)

    async with ActorSystem("test") as system:
        ref = await system.spawn(partial(Recorder, post_stop=post_stop))
        ref.stop()
        await ref.wait_stopped()
        assert len(caught) == 1
        assert not system.actors()


async def test_post_stop_cannot_start_tasks_that_outlive_it() -> None:
    log: list[Any] = []

    async def task() -> None:
        log.append("ran")
        await trio.sleep_forever()

    async def post_stop(ctx: Context) -> None:
        with pytest.raises(RuntimeError):
            ctx.nursery.start_soon(task)
        log.append("refused")

    async with ActorSystem("test") as system:
        ref = await system.spawn(partial(Recorder, post_stop=post_stop))
        await ref.ask(Do(lambda ctx: ctx.nursery.start_soon(trio.lowlevel.checkpoint)))
        ref.stop()
        await ref.wait_stopped()
    assert log == ["refused"]


async def test_a_resource_entered_in_post_stop_is_still_closed() -> None:
    log: list[Any] = []
    async with ActorSystem("test") as system:
        ref = await system.spawn(partial(Recorder, post_stop=lambda ctx: ctx.enter(resource(log))))
        ref.stop()
        await ref.wait_stopped()
    assert log in ([], ["open resource", "close resource"])


async def test_a_hook_may_not_reply_stash_or_forward() -> None:
    async def pre_start(ctx: Context) -> None:
        for attempt in (lambda: ctx.reply(1), ctx.stash, lambda: ctx.reply_to, lambda: ctx.forward(ctx.self)):
            with pytest.raises(RuntimeError):
                attempt()
        assert ctx.sender is None

    async with ActorSystem("test") as system:
        await system.spawn(partial(Recorder, pre_start=pre_start))


async def test_a_pre_start_that_swallows_its_cancellation_does_not_make_the_actor_live(
    autojump_clock: MockClock,
) -> None:
    async def pre_start(ctx: Context) -> None:
        try:
            await trio.sleep_forever()
        except trio.Cancelled:
            await trio.lowlevel.cancel_shielded_checkpoint()

    async with ActorSystem("test") as system:
        with trio.move_on_after(1):
            await system.spawn(partial(Recorder, pre_start=pre_start))
        await wait_all_tasks_blocked()
        assert not system.actors()


# Spawning at the end


async def test_nothing_can_be_spawned_in_a_stopping_system(autojump_clock: MockClock) -> None:
    async def late(ctx: Context) -> None:
        await trio.sleep(1)
        for spawner in (ctx, ctx.system):
            with pytest.raises(ActorStoppedError):
                await spawner.spawn(Recorder)
            with pytest.raises(ActorStoppedError):
                await spawner.get_or_spawn(Recorder, name="x")
        done.append(1)

    done: list[int] = []
    async with ActorSystem("test") as system:
        (await system.spawn(Recorder)).tell(Do(late))
        await wait_all_tasks_blocked()
    assert done == [1]


async def test_an_actor_that_spawns_without_end_can_be_stopped() -> None:
    async def breed(ctx: Context, msg: object) -> None:
        await ctx.spawn(Recorder)
        ctx.self.tell(msg)

    async with ActorSystem("test") as system:
        ref = await system.spawn_func(breed)
        ref.tell("again")
        while len(system.actors()) < 50:
            await trio.lowlevel.checkpoint()
        ref.stop()
        await ref.wait_stopped()
        assert not system.actors()
