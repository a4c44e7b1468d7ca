"""Tasks of an actor: ctx.nursery starts them, they end with its life, and their failure is its own."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.core.actors import Boom, Do, Get, Note, Recorder, Sleep, collected, noting
from trioakt import (
    ActorFailed,
    ActorRestarted,
    ActorSystem,
    Context,
    Directive,
    OneForOne,
    PoisonPill,
    StartError,
    Terminated,
    TerminationCause,
)


async def forever(log: list[Any], name: str = "task") -> None:
    try:
        await trio.sleep_forever()
    finally:
        log.append(name)


async def failing(error: BaseException, seconds: float = 0) -> None:
    await trio.sleep(seconds)
    raise error


async def test_a_task_runs_beside_the_handler_and_may_tell_its_actor(autojump_clock: MockClock) -> None:
    kept: list[Any] = []

    async def tick(ctx: Context) -> None:
        for number in range(3):
            await trio.sleep(1)
            ctx.self.tell(Note(number))

    async with ActorSystem("test") as system:
        ref = await system.spawn(partial(Recorder, kept))
        await ref.ask(Do(lambda ctx: ctx.nursery.start_soon(tick, ctx)))
        await trio.sleep(3.5)
    assert kept == [Note(0), Note(1), Note(2)]


async def test_start_waits_until_the_task_says_that_it_has_started(autojump_clock: MockClock) -> None:
    async def serve(port: int, *, task_status: trio.TaskStatus[int]) -> None:
        await trio.sleep(1)
        task_status.started(port + 1)
        await trio.sleep_forever()

    async with ActorSystem("test") as system:
        ref = await system.spawn(Recorder)
        began = trio.current_time()
        assert await ref.ask(Do(lambda ctx: ctx.nursery.start(serve, 80))) == 81
        assert trio.current_time() == began + 1


async def test_a_start_that_fails_is_the_error_of_its_caller_and_no_failure_of_the_actor() -> None:
    async def serve(*, task_status: trio.TaskStatus[None]) -> None:
        raise OSError("port taken")

    async def try_it(ctx: Context) -> None:
        with pytest.raises(OSError, match="port taken"):
            await ctx.nursery.start(serve)

    async with ActorSystem("test") as system:
        ref = await system.spawn(Recorder)
        await ref.ask(Do(try_it))
        await wait_all_tasks_blocked()
        assert ref.statistics().failures == 0


async def test_a_start_in_a_nursery_whose_task_never_says_it_started_raises_in_the_caller() -> None:
    async def quiet(*, task_status: trio.TaskStatus[None]) -> None:
        await trio.lowlevel.checkpoint()

    async def try_it(ctx: Context) -> None:
        with pytest.raises(RuntimeError):
            await ctx.nursery.start(quiet)

    async with ActorSystem("test") as system:
        ref = await system.spawn(Recorder)
        await ref.ask(Do(try_it))
        assert ref.statistics().failures == 0


async def test_a_task_that_fails_after_it_has_started_fails_its_actor(autojump_clock: MockClock) -> None:
    error = OSError("connection lost")

    async def serve(*, task_status: trio.TaskStatus[str]) -> None:
        task_status.started("ready")
        await trio.sleep(1)
        raise error

    async with ActorSystem("test") as system:
        ref = await system.spawn(Recorder)
        with collected(system, ActorFailed) as failed:
            assert await ref.ask(Do(lambda ctx: ctx.nursery.start(serve))) == "ready"
            await trio.sleep(2)
        assert [event.failure.exception for event in failed] == [error]
        assert ref.statistics().restarts == 1


async def test_tasks_end_before_post_stop() -> None:
    log: list[Any] = []
    async with ActorSystem("test") as system:
        ref = await system.spawn(partial(Recorder, post_stop=noting(log, "post_stop")))
        await ref.ask(Do(lambda ctx: ctx.nursery.start_soon(forever, log, "task")))
        await wait_all_tasks_blocked()
        ref.stop()
        await ref.wait_stopped()
    assert log == ["task", "post_stop"]


async def test_tasks_are_cancelled_at_a_restart_and_not_started_again_by_themselves() -> None:
    log: list[Any] = []
    async with ActorSystem("test") as system:
        ref = await system.spawn(Recorder)
        await ref.ask(Do(lambda ctx: ctx.nursery.start_soon(forever, log)))
        await wait_all_tasks_blocked()
        ref.tell(Boom(OSError()))
        assert await ref.ask(Get()) == 0
        assert log == ["task"]


async def test_a_task_may_be_started_again_in_the_next_life() -> None:
    log: list[Any] = []
    async with ActorSystem("test") as system:
        ref = await system.spawn(
            partial(Recorder, pre_start=lambda ctx: ctx.nursery.start_soon(forever, log)),
        )
        await wait_all_tasks_blocked()
        ref.tell(Boom(OSError()))
        await wait_all_tasks_blocked()
        assert log == ["task"]
    assert log == ["task", "task"]


async def test_the_failure_of_a_task_is_the_failure_of_its_actor(autojump_clock: MockClock) -> None:
    error = OSError("no disk")
    async with ActorSystem("test") as system:
        ref = await system.spawn(Recorder)
        ref.tell(Note())
        with collected(system, ActorFailed, ActorRestarted) as events:
            await ref.ask(Do(lambda ctx: ctx.nursery.start_soon(failing, error, 1)))
            await trio.sleep(2)
        assert [(type(event), event.failure.exception) for event in events] == [
            (ActorFailed, error),
            (ActorRestarted, error),
        ]
        assert await ref.ask(Get()) == 0


async def test_the_supervisor_decides_about_a_task_that_failed(autojump_clock: MockClock) -> None:
    heard: list[Any] = []
    async with ActorSystem("test") as system:
        watcher = await system.spawn(partial(Recorder, heard))
        ref = await system.spawn(Recorder, supervision=OneForOne(default=Directive.STOP))
        await watcher.ask(Do(lambda ctx: ctx.watch(ref)))
        await ref.ask(Do(lambda ctx: ctx.nursery.start_soon(failing, OSError())))
        await ref.wait_stopped()
        await wait_all_tasks_blocked()
    (terminated,) = heard
    assert isinstance(terminated, Terminated)
    assert terminated.cause == TerminationCause.FAILED or terminated.cause.name == "FAILED"
    assert terminated.cause.failure is not None
    assert isinstance(terminated.cause.failure.exception, OSError)


async def test_a_task_that_fails_with_resume_leaves_actor_and_other_tasks_as_they_are(
    autojump_clock: MockClock,
) -> None:
    log: list[Any] = []
    async with ActorSystem("test") as system:
        ref = await system.spawn(Recorder, supervision=OneForOne(default=Directive.RESUME))
        ref.tell(Note())
        await ref.ask(Do(lambda ctx: ctx.nursery.start_soon(forever, log)))
        await ref.ask(Do(lambda ctx: ctx.nursery.start_soon(failing, OSError())))
        await trio.sleep(1)
        assert await ref.ask(Get()) == 1
        assert not log


async def test_no_message_is_handled_between_the_failure_of_a_task_and_the_decision(
    autojump_clock: MockClock,
) -> None:
    kept: list[Any] = []

    async def fail_and_tell(ctx: Context) -> None:
        await trio.sleep(1)
        ctx.self.tell(Note(1))
        raise OSError

    async with ActorSystem("test") as system:
        ref = await system.spawn(partial(Recorder, kept), supervision=OneForOne(default=Directive.STOP))
        await ref.ask(Do(lambda ctx: ctx.nursery.start_soon(fail_and_tell, ctx)))
        await ref.wait_stopped()
    assert not kept


async def test_a_task_that_fails_while_a_message_is_handled_still_counts(autojump_clock: MockClock) -> None:
    async with ActorSystem("test") as system:
        ref = await system.spawn(Recorder)
        await ref.ask(Do(lambda ctx: ctx.nursery.start_soon(failing, OSError(), 1)))
        ref.tell(Sleep(3))
        await trio.sleep(4)
        assert ref.statistics().restarts == 1
        assert ref.is_alive


async def test_two_tasks_that_fail_at_once_restart_the_actor_once(autojump_clock: MockClock) -> None:
    async def begin(ctx: Context) -> None:
        for _ in range(2):
            ctx.nursery.start_soon(failing, OSError(), 1)

    async with ActorSystem("test") as system:
        ref = await system.spawn(Recorder)
        await ref.ask(Do(begin))
        await trio.sleep(2)
        assert ref.statistics().restarts == 1
        assert await ref.ask(Get()) == 0


async def test_a_task_that_fails_in_pre_start_fails_the_start_or_the_actor_but_never_the_system(
    autojump_clock: MockClock,
) -> None:
    lives: list[int] = []

    async def pre_start(ctx: Context) -> None:
        lives.append(1)
        if len(lives) == 1:
            ctx.nursery.start_soon(failing, OSError())
        await trio.sleep(1)

    async with ActorSystem("test") as system:
        other = await system.spawn(Recorder)
        try:
            ref = await system.spawn(partial(Recorder, pre_start=pre_start))
        except StartError as error:
            assert isinstance(error.__cause__, OSError)  # noqa: PT017
        else:
            await trio.sleep(3)
            assert ref.statistics().restarts == 1
        assert await other.ask(Get()) == 0


async def test_a_task_that_fails_while_its_actor_stops_is_an_event_and_no_restart(
    autojump_clock: MockClock,
) -> None:
    error = OSError("while cleaning up")

    async def task() -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise error

    async with ActorSystem("test") as system:
        ref = await system.spawn(Recorder)
        await ref.ask(Do(lambda ctx: ctx.nursery.start_soon(task)))
        await wait_all_tasks_blocked()
        with collected(system, ActorFailed, ActorRestarted) as events:
            ref.stop()
            await ref.wait_stopped()
        assert [event.failure.exception for event in events] == [error]


async def test_a_task_may_clean_up_behind_a_shield_before_post_stop_but_not_for_ever(
    autojump_clock: MockClock,
) -> None:
    log: list[Any] = []

    async def task() -> None:
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(2)
            log.append("task")

    async with ActorSystem("test") as system:
        ref = await system.spawn(partial(Recorder, post_stop=noting(log, "post_stop")))
        await ref.ask(Do(lambda ctx: ctx.nursery.start_soon(task)))
        await wait_all_tasks_blocked()
        began = trio.current_time()
        ref.stop()
        await ref.wait_stopped()
        assert trio.current_time() == began + 2
    assert log == ["task", "post_stop"]


async def test_tasks_that_end_by_themselves_leave_nothing_behind() -> None:
    async def short() -> None:
        await trio.lowlevel.checkpoint()

    async with ActorSystem("test") as system:
        ref = await system.spawn(Recorder)
        await ref.ask(Do(lambda ctx: ctx.nursery.start_soon(short)))
        await wait_all_tasks_blocked()
        assert ref.statistics().failures == 0
        assert await ref.ask(Get()) == 0


async def test_a_task_may_stop_its_actor() -> None:
    async with ActorSystem("test") as system:
        ref = await system.spawn(Recorder)

        async def stop() -> None:
            await trio.lowlevel.checkpoint()
            ref.stop()

        ref.tell(Do(lambda ctx: ctx.nursery.start_soon(stop)))
        await ref.wait_stopped()


async def test_a_task_may_wait_for_the_end_of_its_actor_without_holding_it_up(autojump_clock: MockClock) -> None:
    async with ActorSystem("test") as system:
        ref = await system.spawn(Recorder)
        await ref.ask(Do(lambda ctx: ctx.nursery.start_soon(ctx.self.wait_stopped)))
        ref.stop()
        with trio.fail_after(1):
            await ref.wait_stopped()


async def test_a_task_may_ask_its_own_actor() -> None:
    answers: list[int] = []

    async with ActorSystem("test") as system:
        ref = await system.spawn(Recorder)

        async def ask() -> None:
            answers.append(await ref.ask(Get()))

        await ref.ask(Do(lambda ctx: ctx.nursery.start_soon(ask)))
        await wait_all_tasks_blocked()
    assert answers == [0]


@pytest.mark.parametrize("end", [PoisonPill(), Boom(OSError())], ids=["stop", "restart"])
async def test_a_task_cannot_be_started_when_its_life_is_over(end: object) -> None:
    contexts: list[Context] = []
    ran: list[int] = []

    async def task() -> None:
        ran.append(1)

    async with ActorSystem("test") as system:
        ref = await system.spawn(Recorder)
        await ref.ask(Do(contexts.append))
        ref.tell(end)
        await wait_all_tasks_blocked()
        with pytest.raises(RuntimeError):
            contexts[0].nursery.start_soon(task)
        with pytest.raises(RuntimeError):
            await contexts[0].nursery.start(task)
        await wait_all_tasks_blocked()
    assert not ran


class Unspeakable:
    """A callable whose repr raises."""

    def __repr__(self) -> str:
        raise ValueError("no name")

    async def __call__(self, *, task_status: Any = None) -> None:
        if task_status is not None:
            task_status.started()


async def test_a_callable_whose_repr_raises_is_a_task_like_any_other(autojump_clock: MockClock) -> None:
    async def start(ctx: Context) -> None:
        ctx.nursery.start_soon(Unspeakable())
        await ctx.nursery.start(Unspeakable())

    async with ActorSystem("test") as system:
        ref = await system.spawn(Recorder)
        await ref.ask(Do(start))
        ref.stop()
        await ref.wait_stopped()
        assert ref.statistics().failures == 0
