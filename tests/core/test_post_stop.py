"""The hook post_stop: it always runs, has its time, and whatever it does, the end goes on."""

from __future__ import annotations

import logging
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
    collected,
    hang,
    noting,
    raising,
    resource,
    spawn_child,
)
from trioakt import (
    ActorFailed,
    ActorStoppedError,
    ActorSystem,
    Context,
    DeadLetter,
    Directive,
    OneForOne,
    Terminated,
    TerminationCause,
)


@pytest.mark.parametrize(("options", "seconds"), [({}, 5.0), ({"stop_grace": 2.0}, 2.0), ({"stop_grace": 0.0}, 0.0)])
async def test_a_post_stop_that_hangs_is_given_up_after_its_grace(
    options: dict[str, Any], seconds: float, autojump_clock: MockClock
) -> None:
    log: list[Any] = []

    async def pre_start(ctx: Context) -> None:
        await ctx.enter(resource(log))

    async with ActorSystem("test") as system:
        ref = await system.spawn(partial(Recorder, pre_start=pre_start, post_stop=hang), **options)
        ref.stop()
        began = trio.current_time()
        await ref.wait_stopped()
        assert trio.current_time() == began + seconds
    assert log == ["open resource", "close resource"]


async def test_the_system_may_say_how_long_a_post_stop_may_take(autojump_clock: MockClock) -> None:
    async with ActorSystem("test", stop_grace=3) as system:
        ref = await system.spawn(partial(Recorder, post_stop=hang))
        ref.stop()
        began = trio.current_time()
        await ref.wait_stopped()
        assert trio.current_time() == began + 3


async def test_a_post_stop_that_never_waits_runs_even_without_any_grace() -> None:
    log: list[Any] = []
    async with ActorSystem("test") as system:
        ref = await system.spawn(partial(Recorder, post_stop=noting(log, "post_stop")), stop_grace=0)
        ref.stop()
        await ref.wait_stopped()
    assert log == ["post_stop"]


async def test_a_post_stop_that_raises_is_an_event_and_a_log_line_and_the_watchers_hear_of_the_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    heard: list[Any] = []
    error = OSError("no disk")
    async with ActorSystem("test") as system:
        watcher = await system.spawn(partial(Recorder, heard))
        ref = await system.spawn(partial(Recorder, post_stop=raising(error)), name="ada")
        await watcher.ask(Do(lambda ctx: ctx.watch(ref)))
        with collected(system, ActorFailed) as failed, caplog.at_level(logging.INFO):
            ref.stop()
            await ref.wait_stopped()
            await wait_all_tasks_blocked()
        assert [(event.ref, event.failure.exception) for event in failed] == [(ref, error)]
        assert [record for record in caplog.records if "/user/ada" in record.getMessage()]
        assert [message.ref for message in heard] == [ref]
        assert watcher.is_alive


async def test_a_post_stop_that_raises_does_not_fail_the_parent() -> None:
    async with ActorSystem("test") as system:
        parent = await system.spawn(Recorder)
        child = await spawn_child(parent, partial(Recorder, post_stop=raising(OSError())))
        child.stop()
        await child.wait_stopped()
        await wait_all_tasks_blocked()
        assert parent.is_alive
        assert parent.statistics().failures == 0


async def test_a_post_stop_may_ask_others_and_hears_that_its_children_have_gone() -> None:
    log: list[Any] = []

    async with ActorSystem("test") as system:
        other = await system.spawn(Recorder)

        async def post_stop(ctx: Context) -> None:
            log.append(await other.ask(Get()))
            with pytest.raises(ActorStoppedError):
                await child.ask(Get())

        with collected(system, ActorFailed) as failed:
            parent = await system.spawn(partial(Recorder, post_stop=post_stop))
            child = await spawn_child(parent, Recorder)
            parent.stop()
            await parent.wait_stopped()
        assert not failed
    assert log == [0]


async def test_a_kill_does_not_cut_a_post_stop_short(autojump_clock: MockClock) -> None:
    log: list[Any] = []

    async def post_stop(ctx: Context) -> None:
        await trio.sleep(2)
        log.append("post_stop")

    async with ActorSystem("test") as system:
        ref = await system.spawn(partial(Recorder, post_stop=post_stop))
        ref.stop()
        await trio.sleep(1)
        ref.kill()
        await ref.wait_stopped()
    assert log == ["post_stop"]


async def test_what_post_stop_tells_a_watcher_arrives_before_the_news_of_the_end() -> None:
    heard: list[Any] = []
    async with ActorSystem("test") as system:
        watcher = await system.spawn(partial(Recorder, heard))
        ref = await system.spawn(partial(Recorder, post_stop=lambda ctx: watcher.tell(Note(9), ctx.self)))
        await watcher.ask(Do(lambda ctx: ctx.watch(ref)))
        ref.stop()
        await ref.wait_stopped()
        await wait_all_tasks_blocked()
    assert heard == [Note(9), Terminated(ref, TerminationCause.STOPPED)]


async def test_what_an_actor_tells_itself_in_post_stop_is_a_dead_letter() -> None:
    async with ActorSystem("test") as system:
        ref = await system.spawn(partial(Recorder, post_stop=lambda ctx: ctx.self.tell(Note(1))))
        with collected(system, DeadLetter) as letters:
            ref.stop()
            await ref.wait_stopped()
        assert [letter.message for letter in letters] == [Note(1)]


async def test_post_stop_runs_once_when_the_last_handler_failed_for_good() -> None:
    log: list[Any] = []
    async with ActorSystem("test") as system:
        ref = await system.spawn(
            partial(Recorder, post_stop=noting(log, "post_stop")), supervision=OneForOne(default=Directive.STOP)
        )
        ref.tell(Boom(OSError()))
        await ref.wait_stopped()
    assert log == ["post_stop"]


async def test_a_post_stop_that_was_given_up_is_said_in_the_log(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with ActorSystem("test") as system:
        ref = await system.spawn(partial(Recorder, post_stop=hang), name="ada")
        ref.stop()
        await ref.wait_stopped()
    assert [record for record in caplog.records if "/user/ada" in record.getMessage()]


async def test_leaving_the_block_by_an_exception_still_runs_post_stop(autojump_clock: MockClock) -> None:
    log: list[Any] = []

    async def post_stop(ctx: Context) -> None:
        await trio.sleep(2)
        log.append("post_stop")

    async def leave() -> None:
        async with ActorSystem("test") as system:
            await system.spawn(partial(Recorder, post_stop=post_stop))
            raise LookupError

    with pytest.raises(LookupError):
        await leave()
    assert log == ["post_stop"]


async def test_a_cancellation_from_outside_still_runs_post_stop(autojump_clock: MockClock) -> None:
    log: list[Any] = []

    async def post_stop(ctx: Context) -> None:
        await trio.sleep(2)
        log.append("post_stop")

    began = trio.current_time()
    with trio.move_on_after(1):
        async with ActorSystem("test") as system:
            await system.spawn(partial(Recorder, post_stop=post_stop))
            await trio.sleep_forever()
    assert log == ["post_stop"]
    assert trio.current_time() == began + 3


async def test_a_post_stop_cancelled_by_a_scope_of_its_own_goes_on_behind_it(autojump_clock: MockClock) -> None:
    log: list[Any] = []

    async def post_stop(ctx: Context) -> None:
        with trio.move_on_after(1):
            await trio.sleep_forever()
        log.append(trio.current_time())

    async with ActorSystem("test") as system:
        ref = await system.spawn(partial(Recorder, post_stop=post_stop))
        began = trio.current_time()
        ref.stop()
        await ref.wait_stopped()
    assert log == [began + 1]
