"""The coordinated shutdown: its hooks, their order, their tries, and how long all of it may take."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.core.actors import Get, Recorder, Sleep, collected, enter_and_raise, keep_busy, noting, sleeping
from trioakt import ActorSystem, Context, ShutdownHook, ShutdownHookFailed


class Hooks:
    """Makes hooks that write into one log."""

    def __init__(self) -> None:
        self.log: list[str] = []

    def hook(self, name: str, *, seconds: float = 0, failures: float = 0, **options: Any) -> ShutdownHook:
        """Make a hook that takes so long, and raises the first times it is tried."""
        tries = iter(range(1_000_000))

        async def run(system: ActorSystem) -> None:
            self.log.append(name)
            await trio.sleep(seconds)
            if next(tries) < failures:
                raise OSError(name)

        return ShutdownHook(run, **options)


async def test_hooks_run_in_their_order_before_any_actor_stops() -> None:
    hooks = Hooks()
    async with ActorSystem("test", shutdown_hooks=[hooks.hook("1"), hooks.hook("2")]) as system:
        await system.spawn(partial(Recorder, post_stop=noting(hooks.log, "actor")))
        assert not hooks.log
    assert hooks.log == ["1", "2", "actor"]


async def test_a_hook_gets_the_system_and_may_still_ask_its_actors() -> None:
    answers: list[int] = []

    async def drain(system: ActorSystem) -> None:
        ref = system.actor("ada")
        assert ref is not None
        answers.append(await ref.ask(Get()))

    async with ActorSystem("test", shutdown_hooks=[ShutdownHook(drain)]) as system:
        await system.spawn(Recorder, name="ada")
    assert answers == [0]


async def test_hooks_run_after_shutdown_too() -> None:
    hooks = Hooks()
    async with ActorSystem("test", shutdown_hooks=[hooks.hook("1")]) as system:
        system.shutdown()
        await trio.lowlevel.checkpoint()
    assert hooks.log == ["1"]


async def test_hooks_do_not_run_when_the_body_failed_or_was_cancelled() -> None:
    hooks = Hooks()

    async def leave() -> None:
        async with ActorSystem("test", shutdown_hooks=[hooks.hook("1")]):
            raise LookupError

    with pytest.raises(LookupError):
        await leave()
    with trio.CancelScope() as scope:
        async with ActorSystem("test", shutdown_hooks=[hooks.hook("1")]):
            scope.cancel()
            await trio.lowlevel.checkpoint()
    assert not hooks.log


async def test_a_hook_that_fails_is_an_event_and_the_rest_goes_on() -> None:
    hooks = Hooks()
    system = ActorSystem("test", shutdown_hooks=[hooks.hook("1", failures=1), hooks.hook("2")])
    with collected(system, ShutdownHookFailed) as events:
        async with system:
            await system.spawn(partial(Recorder, post_stop=noting(hooks.log, "actor")))
    assert hooks.log == ["1", "2", "actor"]
    (event,) = events
    assert isinstance(event.failure.exception, OSError)
    assert "run" in event.hook


async def test_a_hook_that_hangs_is_given_up_after_ten_seconds_or_its_own_timeout(autojump_clock: MockClock) -> None:
    hooks = Hooks()
    slow = [hooks.hook("1", seconds=math.inf), hooks.hook("2", seconds=math.inf, timeout=3.0), hooks.hook("3")]
    system = ActorSystem("test", shutdown_hooks=slow)
    with collected(system, ShutdownHookFailed) as events:
        async with system:
            began = trio.current_time()
    assert trio.current_time() == began + 13
    assert hooks.log == ["1", "2", "3"]
    assert [type(event.failure.exception) for event in events] == [trio.TooSlowError] * 2


async def test_a_hook_is_tried_again_as_often_as_it_says() -> None:
    hooks = Hooks()
    system = ActorSystem(
        "test",
        shutdown_hooks=[
            hooks.hook("lucky", failures=2, retries=2),
            hooks.hook("unlucky", failures=math.inf, retries=2),
        ],
    )
    with collected(system, ShutdownHookFailed) as events:
        async with system:
            pass
    assert hooks.log == ["lucky"] * 3 + ["unlucky"] * 3
    assert [str(event.failure.exception) for event in events] == ["unlucky"]


async def test_each_try_of_a_hook_has_the_whole_timeout(autojump_clock: MockClock) -> None:
    hooks = Hooks()
    slow = hooks.hook("slow", seconds=math.inf, timeout=2.0, retries=2)
    async with ActorSystem("test", shutdown_hooks=[slow]):
        began = trio.current_time()
    assert trio.current_time() == began + 6


async def test_a_hook_that_is_cancelled_from_outside_stops_there(autojump_clock: MockClock) -> None:
    hooks = Hooks()
    began = trio.current_time()
    with trio.move_on_after(2) as scope:
        async with ActorSystem(
            "test", shutdown_hooks=[hooks.hook("1", seconds=5, retries=3), hooks.hook("2")]
        ) as system:
            await system.spawn(partial(Recorder, post_stop=noting(hooks.log, "actor")))
    assert scope.cancelled_caught
    assert trio.current_time() == began + 2
    assert hooks.log == ["1", "actor"]


async def test_a_hook_may_call_shutdown_and_may_spawn() -> None:
    log: list[Any] = []

    async def hook(system: ActorSystem) -> None:
        system.shutdown()
        await system.spawn(partial(Recorder, post_stop=noting(log, "late")))

    async with ActorSystem("test", shutdown_hooks=[ShutdownHook(hook)]):
        pass
    assert log == ["late"]


async def test_a_hook_that_stops_an_actor_and_waits_for_it_is_no_trouble() -> None:
    async def hook(system: ActorSystem) -> None:
        for ref in system.actors():
            ref.stop()
            await ref.wait_stopped()

    system = ActorSystem("test", shutdown_hooks=[ShutdownHook(hook)])
    with collected(system, ShutdownHookFailed) as events:
        async with system:
            await system.spawn(Recorder)
    assert not events


async def test_past_the_shutdown_timeout_everything_is_cancelled_and_post_stop_still_runs(
    autojump_clock: MockClock,
) -> None:
    log: list[Any] = []
    async with ActorSystem("test", shutdown_timeout=3, stop_grace=100) as system:
        began = trio.current_time()
        ref = await system.spawn(partial(Recorder, post_stop=noting(log, "post_stop")))
        await keep_busy(ref, 1000)
    assert trio.current_time() == began + 3
    assert log == ["post_stop"]


async def test_the_shutdown_timeout_bounds_the_hooks_too(autojump_clock: MockClock) -> None:
    hooks = Hooks()
    endless = hooks.hook("1", seconds=math.inf, timeout=math.inf)
    async with ActorSystem("test", shutdown_timeout=3, shutdown_hooks=[endless]) as system:
        began = trio.current_time()
        await system.spawn(partial(Recorder, post_stop=noting(hooks.log, "actor")))
    assert trio.current_time() == began + 3
    assert hooks.log == ["1", "actor"]


async def test_past_the_shutdown_timeout_children_still_end_before_their_parents(autojump_clock: MockClock) -> None:
    log: list[Any] = []

    async def post_stop(ctx: Context) -> None:
        await trio.sleep(1)
        log.append(ctx.self.name)

    async def pre_start(ctx: Context) -> None:
        child = await ctx.spawn(partial(Recorder, post_stop=post_stop), name="child")
        child.tell(Sleep(1000))

    async with ActorSystem("test", shutdown_timeout=3, stop_grace=100) as system:
        await system.spawn(partial(Recorder, pre_start=pre_start, post_stop=post_stop), name="parent")
        await wait_all_tasks_blocked()
    assert log == ["child", "parent"]


async def test_post_stops_that_hang_level_by_level_do_not_outlast_a_failed_body_by_much(
    autojump_clock: MockClock,
) -> None:
    began = trio.current_time()
    with pytest.raises(LookupError):
        await enter_and_raise(
            LookupError(),
            partial(
                Recorder,
                pre_start=_spawn_stubborn_child,
                post_stop=sleeping(math.inf),
            ),
        )
    assert trio.current_time() == began + 10


async def _spawn_stubborn_child(ctx: Context) -> None:
    await ctx.spawn(partial(Recorder, post_stop=sleeping(math.inf)))
