"""Starting actors: what spawn waits for, what it refuses, and what it leaves behind when it fails."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.core.actors import Boom, Do, Get, Note, Recorder, collected, hang, raising, resource, sleeping
from trioakt import (
    Actor,
    ActorFailedError,
    ActorRef,
    ActorStarted,
    ActorStoppedError,
    ActorSystem,
    Context,
    DeadLetter,
    DeadLetterReason,
    StartError,
)


class Plain(Actor):
    """Has plain hooks."""

    def __init__(self, log: list[str]) -> None:
        self.log = log

    def pre_start(self, ctx: Context) -> None:
        self.log.append("pre_start")

    def receive(self, ctx: Context, msg: object) -> None:
        self.log.append("receive")

    def post_stop(self, ctx: Context) -> None:
        self.log.append("post_stop")


class Async(Actor):
    """Has async hooks."""

    def __init__(self, log: list[str]) -> None:
        self.log = log

    async def pre_start(self, ctx: Context) -> None:
        await trio.lowlevel.checkpoint()
        self.log.append("pre_start")

    async def receive(self, ctx: Context, msg: object) -> None:
        await trio.lowlevel.checkpoint()
        self.log.append("receive")

    async def post_stop(self, ctx: Context) -> None:
        await trio.lowlevel.checkpoint()
        self.log.append("post_stop")


no_disk = raising(OSError("no disk"))


# What spawn waits for


@pytest.mark.parametrize("kind", [Plain, Async])
async def test_hooks_may_be_plain_or_async(kind: Callable[[list[str]], Actor]) -> None:
    log: list[str] = []
    async with ActorSystem("test") as system:
        ref = await system.spawn(kind, log)
        assert log == ["pre_start"]
        ref.tell("hello")
        await wait_all_tasks_blocked()
        assert log == ["pre_start", "receive"]
        ref.stop()
        await ref.wait_stopped()
    assert log == ["pre_start", "receive", "post_stop"]


async def test_spawn_returns_when_pre_start_is_done_and_not_before(autojump_clock: MockClock) -> None:
    async with ActorSystem("test") as system:
        began = trio.current_time()
        await system.spawn(partial(Recorder, pre_start=sleeping(2)))
        assert trio.current_time() == began + 2


async def test_an_actor_without_any_hook_starts() -> None:
    async with ActorSystem("test") as system:
        assert (await system.spawn(Actor)).is_alive


async def test_the_start_is_announced_after_pre_start() -> None:
    seen: list[int] = []
    async with ActorSystem("test") as system:
        with collected(system, ActorStarted) as started:
            ref = await system.spawn(partial(Recorder, pre_start=lambda ctx: seen.append(len(started))))
        assert seen == [0]
        assert [event.ref for event in started] == [ref]


async def test_messages_that_come_during_pre_start_are_handled_after_it_in_order(autojump_clock: MockClock) -> None:
    kept: list[Any] = []

    async def pre_start(ctx: Context) -> None:
        ctx.self.tell(Note(1))
        await trio.sleep(1)
        assert not kept
        ctx.self.tell(Note(2))

    async with ActorSystem("test") as system:
        ref = await system.spawn(partial(Recorder, kept, pre_start=pre_start))
        ref.tell(Note(3))
        await wait_all_tasks_blocked()
    assert kept == [Note(1), Note(2), Note(3)]


async def test_arguments_are_handed_to_the_factory() -> None:
    def make(first: int, second: str) -> Actor:
        return Recorder([first, second])

    async with ActorSystem("test") as system:
        ref = await system.spawn(make, 1, "two")
        assert await ref.ask(Get()) == 2


async def test_an_actor_is_spawned_by_its_parent_as_a_child() -> None:
    async with ActorSystem("test") as system:
        parent = await system.spawn(Recorder, name="parent")
        child: ActorRef = await parent.ask(Do(lambda ctx: ctx.spawn(Recorder, name="child")))
        assert child.path == "/user/parent/child"
        assert await parent.ask(Do(lambda ctx: ctx.children)) == (child,)
        assert await child.ask(Do(lambda ctx: ctx.parent)) == parent


async def test_pre_start_may_spawn_children() -> None:
    async with ActorSystem("test") as system:
        await system.spawn(partial(Recorder, pre_start=lambda ctx: ctx.spawn(Recorder, name="b")), name="a")
        assert system.actor("/user/a/b") is not None


async def test_a_restart_makes_a_new_instance_with_the_same_arguments_and_keeps_the_ref() -> None:
    made: list[tuple[int, str]] = []

    def make(number: int, text: str) -> Actor:
        made.append((number, text))
        return Recorder()

    async with ActorSystem("test") as system:
        ref = await system.spawn(make, 1, "x", name="phoenix")
        ref.tell(Note(1))
        ref.tell(Boom(ValueError()))
        ref.tell(Note(2))
        assert await ref.ask(Get()) == 1
        assert made == [(1, "x"), (1, "x")]
        assert system.actor("phoenix") == ref


# A start that fails leaves nothing behind


async def test_a_pre_start_that_raises_is_a_start_error_with_the_cause() -> None:
    async with ActorSystem("test") as system:
        with pytest.raises(StartError) as caught:
            await system.spawn(partial(Recorder, pre_start=no_disk), name="broken")
        assert isinstance(caught.value.__cause__, OSError)
        assert caught.value.path == "/user/broken"


async def test_a_factory_that_raises_is_a_start_error_with_the_cause() -> None:
    def factory() -> Actor:
        raise LookupError("no recipe")

    async with ActorSystem("test") as system:
        with pytest.raises(StartError) as caught:
            await system.spawn(factory)
        assert isinstance(caught.value.__cause__, LookupError)


async def test_a_factory_called_with_the_wrong_arguments_is_a_start_error() -> None:
    factory: Any = Recorder
    async with ActorSystem("test") as system:
        with pytest.raises(StartError) as caught:
            await system.spawn(factory, 1, 2, 3)
        assert isinstance(caught.value.__cause__, TypeError)


async def test_after_a_start_error_the_name_is_free_and_no_actor_is_left() -> None:
    async with ActorSystem("test") as system:
        before = system.actors()
        with pytest.raises(StartError):
            await system.spawn(partial(Recorder, pre_start=no_disk), name="ada")
        assert system.actors() == before
        assert system.actor("ada") is None
        assert (await system.spawn(Recorder, name="ada")).is_alive


async def test_a_start_that_fails_is_never_announced_as_started() -> None:
    async with ActorSystem("test") as system:
        with collected(system, ActorStarted) as started, pytest.raises(StartError):
            await system.spawn(partial(Recorder, pre_start=no_disk))
        assert not started


async def test_a_start_that_fails_does_not_fail_the_parent() -> None:
    async def spawn_broken(ctx: Context) -> bool:
        with pytest.raises(StartError):
            await ctx.spawn(partial(Recorder, pre_start=no_disk))
        return not ctx.children

    async with ActorSystem("test") as system:
        parent = await system.spawn(Recorder)
        assert await parent.ask(Do(spawn_broken))
        assert parent.statistics().failures == 0


async def test_what_pre_start_opened_is_closed_when_it_then_fails() -> None:
    log: list[str] = []

    async def pre_start(ctx: Context) -> None:
        await ctx.enter(resource(log))
        await ctx.spawn(partial(Plain, log), name="child")
        no_disk(ctx)

    async with ActorSystem("test") as system:
        with pytest.raises(StartError):
            await system.spawn(partial(Recorder, pre_start=pre_start), name="parent")
        assert log == ["open resource", "pre_start", "post_stop", "close resource"]
        assert not system.actors()


async def test_tasks_that_pre_start_began_end_when_it_then_fails() -> None:
    ended = trio.Event()

    async def task() -> None:
        try:
            await trio.sleep_forever()
        finally:
            ended.set()

    async def pre_start(ctx: Context) -> None:
        ctx.nursery.start_soon(task)
        await wait_all_tasks_blocked()
        no_disk(ctx)

    async with ActorSystem("test") as system:
        with pytest.raises(StartError):
            await system.spawn(partial(Recorder, pre_start=pre_start))
        assert ended.is_set()


async def test_messages_to_an_actor_that_does_not_start_are_dead_letters_and_its_askers_are_told() -> None:
    leaked: list[ActorRef] = []

    async def pre_start(ctx: Context) -> None:
        leaked.append(ctx.self)
        ctx.self.tell(Note(1))
        await wait_all_tasks_blocked()
        no_disk(ctx)

    async def ask(system: ActorSystem) -> None:
        while not leaked:
            await trio.lowlevel.checkpoint()
        with pytest.raises(ActorFailedError) as caught:
            await leaked[0].ask(Get())
        assert isinstance(caught.value.__cause__, OSError)

    async with ActorSystem("test") as system, trio.open_nursery() as nursery:
        nursery.start_soon(ask, system)
        with collected(system, DeadLetter) as letters, pytest.raises(StartError):
            await system.spawn(partial(Recorder, pre_start=pre_start))
        assert (Note(1), DeadLetterReason.STOPPED) in [(letter.message, letter.reason) for letter in letters]
        assert not leaked[0].is_alive
        await leaked[0].wait_stopped()


# How long a start may take


async def test_a_pre_start_may_take_five_seconds(autojump_clock: MockClock) -> None:
    async with ActorSystem("test") as system:
        began = trio.current_time()
        with pytest.raises(StartError) as caught:
            await system.spawn(partial(Recorder, pre_start=hang), name="slow")
        assert trio.current_time() == began + 5
        assert isinstance(caught.value.__cause__, trio.TooSlowError)
        assert system.actor("slow") is None


async def test_the_system_and_the_spawn_may_say_how_long_a_start_may_take(autojump_clock: MockClock) -> None:
    async with ActorSystem("test", init_timeout=2) as system:
        began = trio.current_time()
        with pytest.raises(StartError):
            await system.spawn(partial(Recorder, pre_start=hang))
        assert trio.current_time() == began + 2
        with pytest.raises(StartError):
            await system.spawn(partial(Recorder, pre_start=hang), init_timeout=0.5)
        assert trio.current_time() == began + 2.5
        await system.spawn(partial(Recorder, pre_start=sleeping(100)), init_timeout=math.inf)


async def test_a_time_limit_that_pre_start_itself_hits_is_its_own_error(autojump_clock: MockClock) -> None:
    async def pre_start(ctx: Context) -> None:
        with trio.fail_after(1):
            await trio.sleep_forever()

    async with ActorSystem("test") as system:
        began = trio.current_time()
        with pytest.raises(StartError) as caught:
            await system.spawn(partial(Recorder, pre_start=pre_start))
        assert trio.current_time() == began + 1
        assert isinstance(caught.value.__cause__, trio.TooSlowError)


async def test_a_pre_start_that_outlives_its_time_by_cleaning_up_still_counts_as_too_slow(
    autojump_clock: MockClock,
) -> None:
    log: list[str] = []

    async def pre_start(ctx: Context) -> None:
        await ctx.enter(resource(log))
        await trio.sleep_forever()

    async with ActorSystem("test") as system:
        with pytest.raises(StartError):
            await system.spawn(partial(Recorder, pre_start=pre_start))
        assert log == ["open resource", "close resource"]


# A spawn that is cancelled


async def test_a_cancelled_spawn_ends_the_actor_and_frees_its_name(autojump_clock: MockClock) -> None:
    log: list[str] = []

    async def pre_start(ctx: Context) -> None:
        await ctx.enter(resource(log))
        await trio.sleep_forever()

    async with ActorSystem("test") as system:
        with trio.move_on_after(1) as scope:
            await system.spawn(partial(Recorder, pre_start=pre_start), name="ada")
        assert scope.cancelled_caught
        await wait_all_tasks_blocked()
        assert log == ["open resource", "close resource"]
        assert not system.actors()
        assert (await system.spawn(Recorder, name="ada")).is_alive


async def test_a_spawn_in_a_cancelled_scope_starts_nothing_that_stays() -> None:
    async with ActorSystem("test") as system:
        with trio.CancelScope() as scope:
            scope.cancel()
            await system.spawn(Recorder, name="ada")
        assert scope.cancelled_caught
        await wait_all_tasks_blocked()
        assert not system.actors()


async def test_a_parent_killed_while_it_spawns_leaves_no_child(autojump_clock: MockClock) -> None:
    async with ActorSystem("test") as system:
        parent = await system.spawn(Recorder)
        parent.tell(Do(lambda ctx: ctx.spawn(partial(Recorder, pre_start=hang), name="child")))
        await wait_all_tasks_blocked()
        began = trio.current_time()
        parent.kill()
        await parent.wait_stopped()
        assert trio.current_time() == began
        assert not system.actors()


# Stopped while starting


@pytest.mark.parametrize("how", ["stop", "kill"])
async def test_an_actor_told_to_end_in_its_own_pre_start_ends_and_spawn_does_not_hang(
    how: str, autojump_clock: MockClock
) -> None:
    async def pre_start(ctx: Context) -> None:
        getattr(ctx.self, how)()
        await trio.sleep(1)

    async with ActorSystem("test") as system:
        with trio.fail_after(10):
            try:
                ref = await system.spawn(partial(Recorder, pre_start=pre_start))
            except (ActorStoppedError, StartError):
                pass
            else:
                await ref.wait_stopped()
        assert not system.actors()


async def test_an_actor_stopped_from_outside_while_it_starts_ends(autojump_clock: MockClock) -> None:
    refs: list[ActorRef] = []

    async def pre_start(ctx: Context) -> None:
        refs.append(ctx.self)
        await trio.sleep(1)

    async with ActorSystem("test") as system, trio.open_nursery() as nursery:
        nursery.start_soon(system.spawn, partial(Recorder, pre_start=pre_start))
        await wait_all_tasks_blocked()
        refs[0].stop()
        with trio.fail_after(10):
            await refs[0].wait_stopped()
        assert not system.actors()
