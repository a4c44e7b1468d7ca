"""The block of a system: how it can be left, and that nothing of it is left then."""

from __future__ import annotations

import os
import signal
import threading
from functools import partial
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.core.actors import (
    Boom,
    Do,
    Get,
    Note,
    Recorder,
    Sleep,
    enter_and_raise,
    keep_busy,
    leaves,
    noting,
    sleeping,
    spawn_child,
)
from trioakt import ActorRef, ActorSystem, Context, Directive, OneForOne

ESCALATE = OneForOne(default=Directive.ESCALATE)


def tasks_living() -> int:
    return trio.lowlevel.current_statistics().tasks_living


async def until_cancelled() -> None:
    """Wait for ever; for the type checkers, code behind a block whose body ends like this can be reached."""
    await trio.sleep_forever()


async def busy_system(system: ActorSystem, log: list[Any]) -> ActorRef:
    """Fill a system with a bit of everything: children, tasks, a message in hand, messages that wait."""

    async def pre_start(ctx: Context) -> None:
        await ctx.spawn(partial(Recorder, post_stop=noting(log, "child")))
        ctx.nursery.start_soon(trio.sleep_forever)

    ref = await system.spawn(partial(Recorder, pre_start=pre_start, post_stop=noting(log, "parent")))
    ref.tell(Sleep(3))
    ref.tell(Note())
    await wait_all_tasks_blocked()
    return ref


# Leaving normally


async def test_leaving_the_block_stops_every_actor_and_leaves_no_task(autojump_clock: MockClock) -> None:
    log: list[Any] = []
    before = tasks_living()
    async with ActorSystem("test") as system:
        ref = await busy_system(system, log)
    assert log == ["child", "parent"]
    assert not ref.is_alive
    assert tasks_living() == before


def test_a_whole_run_leaves_no_thread_descriptor_or_process(no_leaks: None) -> None:
    async def main() -> None:
        async with ActorSystem("test") as system:
            ref = await busy_system(system, [])
            await trio.to_thread.run_sync(system.portal.tell, ref, Note())
            ref.kill()
            with trio.move_on_after(0.01):
                await system.run_until_signal()

    trio.run(main)


async def test_an_empty_system_can_be_left() -> None:
    before = tasks_living()
    async with ActorSystem("test"):
        pass
    assert tasks_living() == before


async def test_at_a_normal_end_the_message_in_hand_is_finished_and_no_other(autojump_clock: MockClock) -> None:
    kept: list[Any] = []
    async with ActorSystem("test") as system:
        began = trio.current_time()
        ref = await system.spawn(partial(Recorder, kept))
        ref.tell(Do(sleeping(3)))
        ref.tell(Note(1))
        await wait_all_tasks_blocked()
    assert trio.current_time() == began + 3
    assert not kept


@pytest.mark.parametrize("option", ["system", "spawn"])
async def test_at_a_normal_end_a_message_in_hand_is_cancelled_after_its_grace(
    option: str, autojump_clock: MockClock
) -> None:
    log: list[Any] = []
    system = ActorSystem("test", stop_grace=2) if option == "system" else ActorSystem("test")
    async with system:
        began = trio.current_time()
        recipe = partial(Recorder, post_stop=noting(log, "post_stop"))
        ref = await (system.spawn(recipe) if option == "system" else system.spawn(recipe, stop_grace=2))
        await keep_busy(ref, 1000)
    assert trio.current_time() == began + 2
    assert log == ["post_stop"]


async def test_busy_actors_have_their_grace_side_by_side(autojump_clock: MockClock) -> None:
    async with ActorSystem("test") as system:
        began = trio.current_time()
        for _ in range(20):
            (await system.spawn(Recorder)).tell(Sleep(1000))
        await wait_all_tasks_blocked()
    assert trio.current_time() == began + 5


async def test_children_are_stopped_before_their_parents_at_the_end() -> None:
    log: list[Any] = []
    async with ActorSystem("test") as system:
        top = await system.spawn(partial(Recorder, post_stop=noting(log, "top")))
        middle = await spawn_child(top, partial(Recorder, post_stop=noting(log, "middle")))
        await spawn_child(middle, partial(Recorder, post_stop=noting(log, "bottom")))
    assert log == ["bottom", "middle", "top"]


async def test_a_suspended_actor_does_not_hold_up_the_end(autojump_clock: MockClock) -> None:
    async with ActorSystem("test") as system:
        began = trio.current_time()
        ref = await system.spawn(Recorder, supervision=OneForOne(default=Directive.SUSPEND))
        ref.tell(Boom(OSError()))
        await wait_all_tasks_blocked()
    assert trio.current_time() == began


async def test_systems_may_lie_inside_each_other_and_beside_each_other() -> None:
    async with ActorSystem("outer") as outer:
        ref = await outer.spawn(Recorder, name="same")
        async with ActorSystem("one") as one, ActorSystem("two") as two:
            assert (await one.spawn(Recorder, name="same")) != (await two.spawn(Recorder, name="same"))
        assert await ref.ask(Get()) == 0


# Leaving by an exception


class Mine(BaseException):
    """A user's own exception that is no Exception."""


class Unprintable(Exception):
    """Cannot be shown."""

    def __repr__(self) -> str:
        raise RuntimeError("no repr")

    __str__ = __repr__


@pytest.mark.parametrize(
    "error",
    [
        LookupError("x"),
        Unprintable(),
        KeyboardInterrupt(),
        SystemExit(3),
        Mine(),
        ExceptionGroup("group", [OSError()]),
        StopAsyncIteration(),
        StopIteration(),
        RuntimeError("generator didn't stop after athrow()"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_the_exception_of_the_body_leaves_the_block_as_it_is(error: BaseException) -> None:
    before = tasks_living()
    caught: list[BaseException] = []
    with trio.move_on_after(30):
        system = ActorSystem("test")
        try:
            async with system:
                await system.spawn(Recorder)
                raise error
        except BaseException as left:
            if isinstance(left, trio.Cancelled):
                raise
            caught.append(left)
    assert caught == [error]
    assert tasks_living() == before


async def test_an_exception_stops_everything_at_once(autojump_clock: MockClock) -> None:
    log: list[Any] = []

    async def leave() -> None:
        async with ActorSystem("test") as system:
            await busy_system(system, log)
            raise LookupError

    began = trio.current_time()
    with pytest.raises(LookupError):
        await leave()
    assert trio.current_time() == began
    assert log == ["child", "parent"]


async def test_a_post_stop_that_fails_does_not_replace_the_exception_of_the_body() -> None:
    def fail(ctx: Context) -> None:
        raise OSError

    with pytest.raises(LookupError):
        await enter_and_raise(LookupError(), partial(Recorder, post_stop=fail))


async def test_an_exception_does_not_wait_for_post_stop_longer_than_its_grace(autojump_clock: MockClock) -> None:
    began = trio.current_time()
    with pytest.raises(LookupError):
        await enter_and_raise(LookupError(), partial(Recorder, post_stop=sleeping(1000)))
    assert trio.current_time() == began + 5


# Leaving by a cancellation


async def test_a_cancellation_stops_everything_at_once_and_leaves_as_a_cancellation(autojump_clock: MockClock) -> None:
    log: list[Any] = []
    before = tasks_living()
    began = trio.current_time()
    with trio.move_on_after(1) as scope:
        async with ActorSystem("test") as system:
            await busy_system(system, log)
            await trio.sleep_forever()
    assert scope.cancelled_caught
    assert trio.current_time() == began + 1
    assert log == ["child", "parent"]
    assert tasks_living() == before


async def test_a_cancellation_during_a_slow_shutdown_ends_it_at_once(autojump_clock: MockClock) -> None:
    log: list[Any] = []
    began = trio.current_time()
    with trio.move_on_after(2) as scope:
        async with ActorSystem("test", stop_grace=50) as system:
            ref = await system.spawn(partial(Recorder, post_stop=noting(log, "post_stop")))
            await keep_busy(ref, 1000)
    assert scope.cancelled_caught
    assert trio.current_time() == began + 2
    assert log == ["post_stop"]


async def test_a_deadline_around_the_block_is_the_deadline_of_who_set_it(autojump_clock: MockClock) -> None:
    async def leave() -> None:
        with trio.fail_after(1):
            async with ActorSystem("test") as system:
                await system.spawn(Recorder)
                await trio.sleep_forever()

    with pytest.raises(trio.TooSlowError):
        await leave()


async def test_entering_in_a_cancelled_scope_leaves_nothing() -> None:
    before = tasks_living()
    with trio.CancelScope() as scope:
        scope.cancel()
        async with ActorSystem("test"):
            await trio.lowlevel.checkpoint()
    assert scope.cancelled_caught
    assert tasks_living() == before


# shutdown()


async def test_shutdown_ends_the_body_where_it_waits_and_the_block_without_an_error(autojump_clock: MockClock) -> None:
    log: list[Any] = []
    async with ActorSystem("test") as system:
        await system.spawn(partial(Recorder, post_stop=noting(log, "post_stop")))
        system.shutdown()
        log.append("still here")
        await until_cancelled()
    assert log == ["still here", "post_stop"]


@pytest.mark.parametrize("shutter", ["task", "handler", "pre_start", "nursery", "thread"])
async def test_shutdown_may_be_called_from_anywhere(shutter: str) -> None:
    async with trio.open_nursery() as nursery, ActorSystem("test") as system:
        match shutter:
            case "task":
                nursery.start_soon(_shut_down, system)
            case "thread":
                nursery.start_soon(trio.to_thread.run_sync, system.shutdown)
            case "handler":
                (await system.spawn(Recorder)).tell(Do(lambda ctx: ctx.system.shutdown()))
            case "nursery":
                (await system.spawn(Recorder)).tell(Do(lambda ctx: ctx.nursery.start_soon(_shut_down, system)))
            case _:
                await system.spawn(partial(Recorder, pre_start=lambda ctx: ctx.system.shutdown()))
        await until_cancelled()
    assert system.actors() == ()


async def _shut_down(system: ActorSystem) -> None:
    system.shutdown()


async def test_shutdown_again_or_after_the_end_changes_nothing() -> None:
    async with ActorSystem("test") as system:
        system.shutdown()
        system.shutdown()
        await until_cancelled()
    system.shutdown()
    await trio.to_thread.run_sync(system.shutdown)
    await trio.lowlevel.checkpoint()


async def test_after_shutdown_the_actors_have_their_grace(autojump_clock: MockClock) -> None:
    async with ActorSystem("test") as system:
        ref = await system.spawn(Recorder)
        await keep_busy(ref, 3)
        began = trio.current_time()
        system.shutdown()
        await until_cancelled()
    assert trio.current_time() == began + 3


async def test_a_body_that_fails_while_it_is_shut_down_leaves_with_its_failure(autojump_clock: MockClock) -> None:
    async def leave() -> None:
        async with ActorSystem("test") as system:
            system.shutdown()
            try:
                await until_cancelled()
            finally:
                raise LookupError

    with pytest.raises(LookupError):
        await leave()


async def test_shutdown_does_not_reach_beyond_its_own_block(autojump_clock: MockClock) -> None:
    async with ActorSystem("outer") as outer:
        ref = await outer.spawn(Recorder)
        async with ActorSystem("inner") as inner:
            inner.shutdown()
            await until_cancelled()
        assert await ref.ask(Get()) == 0
        await trio.sleep(1)


# Signals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_run_until_signal_returns_at_a_signal_and_puts_the_old_handlers_back(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    log: list[Any] = []
    async with ActorSystem("test") as system:
        await system.spawn(partial(Recorder, post_stop=noting(log, "post_stop")))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(system.run_until_signal)
            await wait_all_tasks_blocked()
            os.kill(os.getpid(), number)
    assert log == ["post_stop"]
    assert signal.getsignal(number) == before


async def test_waiting_for_a_signal_can_be_cancelled_and_ends_with_shutdown(autojump_clock: MockClock) -> None:
    before = signal.getsignal(signal.SIGTERM)
    async with ActorSystem("test") as system, trio.open_nursery() as nursery:
        with trio.move_on_after(1) as scope:
            await system.run_until_signal()
        assert scope.cancelled_caught
        nursery.start_soon(_shut_down, system)
        await system.run_until_signal()
    assert signal.getsignal(signal.SIGTERM) == before


def test_run_until_signal_outside_of_the_main_thread_is_refused() -> None:
    raised: list[BaseException] = []

    async def main() -> None:
        async with ActorSystem("test") as system:
            with pytest.raises(RuntimeError) as caught:
                await system.run_until_signal()
            raised.append(caught.value)

    thread = threading.Thread(target=trio.run, args=(main,))
    thread.start()
    thread.join()
    assert "main thread" in str(raised[0])


# Escalation


async def test_a_failure_escalated_past_the_root_leaves_the_block_in_a_group(autojump_clock: MockClock) -> None:
    error = OSError("no disk")
    log: list[Any] = []

    async def leave() -> None:
        async with ActorSystem("test", supervision=ESCALATE) as system:
            await system.spawn(partial(Recorder, post_stop=noting(log, "other")))
            ref = await system.spawn(Recorder)
            ref.tell(Boom(error))
            await until_cancelled()

    before = tasks_living()
    with pytest.raises(ExceptionGroup) as caught:
        await leave()
    assert leaves(caught.value) == [error]
    assert log == ["other"]
    assert tasks_living() == before


async def test_a_bug_that_stays_is_loud_by_default() -> None:
    error = OSError("no disk")
    lives: list[Any] = []

    async def leave() -> None:
        async with ActorSystem("test") as system:
            ref = await system.spawn(partial(Recorder, pre_start=noting(lives, "life")))
            for _ in range(10):
                ref.tell(Boom(error))
            await until_cancelled()

    with pytest.raises(ExceptionGroup) as caught:
        await leave()
    assert leaves(caught.value) == [error]
    assert lives == ["life"] * 4  # the first one and three restarts


async def test_a_failure_deep_in_the_tree_escalates_level_by_level() -> None:
    class Passing(Recorder):
        supervision = ESCALATE

    error = OSError("no disk")

    async def leave() -> None:
        async with ActorSystem("test", supervision=ESCALATE) as system:
            ref = await system.spawn(Passing)
            for _ in range(5):
                ref = await spawn_child(ref, Passing)
            ref.tell(Boom(error))
            await until_cancelled()

    with pytest.raises(ExceptionGroup) as caught:
        await leave()
    assert leaves(caught.value) == [error]


async def test_a_body_that_fails_with_the_escalated_failure_leaves_in_one_group_with_it() -> None:
    async def leave() -> None:
        async with ActorSystem("test", supervision=ESCALATE) as system:
            ref = await system.spawn(Recorder)
            ref.tell(Boom(OSError()))
            try:
                await until_cancelled()
            finally:
                raise LookupError

    with pytest.raises(ExceptionGroup) as caught:
        await leave()
    assert {type(error) for error in leaves(caught.value)} == {OSError, LookupError}


async def test_a_failure_escalated_during_the_shutdown_is_not_lost(autojump_clock: MockClock) -> None:
    async def fail_late(ctx: Context) -> None:
        await trio.sleep(1)
        raise OSError

    async def leave() -> None:
        async with ActorSystem("test", supervision=ESCALATE) as system:
            ref = await system.spawn(Recorder)
            ref.tell(Do(fail_late))
            await wait_all_tasks_blocked()

    began = trio.current_time()
    try:
        await leave()
    except ExceptionGroup as group:
        assert [type(error) for error in leaves(group)] == [OSError]  # noqa: PT017
    assert trio.current_time() == began + 1
