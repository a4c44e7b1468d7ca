"""Hostile exceptions: whatever is raised in an actor, the others go on; only what ends the program ends the system."""

from __future__ import annotations

import signal
from functools import partial
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.core.actors import Boom, Do, Get, Recorder, collected, leaves, noting, raising
from trioakt import (
    Actor,
    ActorFailed,
    ActorFailedError,
    ActorRestarted,
    ActorStoppedError,
    ActorSystem,
    Context,
)


class Unprintable(Exception):
    """Neither its text nor its repr can be had."""

    def __repr__(self) -> str:
        raise RuntimeError("no repr")

    __str__ = __repr__


class Mine(BaseException):
    """A user's own exception that is no Exception."""


class Worse(Exception):
    """Its text cannot be had, for a reason that is no Exception."""

    def __str__(self) -> str:
        raise Mine


async def survives(system: ActorSystem, error: BaseException) -> None:
    """Let an actor fail with this error twice, once asked and once told, and see that it goes on after its restart."""
    bystander = await system.spawn(Recorder)
    ref = await system.spawn(Recorder)
    with pytest.raises(ActorFailedError) as caught:
        await ref.ask(Boom(error))
    assert caught.value.__cause__ is error
    ref.tell(Boom(error))
    assert await ref.ask(Get()) == 0
    assert ref.statistics().restarts == 2
    assert await bystander.ask(Get()) == 0


@pytest.mark.parametrize(
    "error",
    [
        Unprintable(),
        Worse(),
        OSError("x" * 10_000_000),
        StopAsyncIteration(),
        Mine(),
        ExceptionGroup("several", [OSError(), ValueError()]),
        BaseExceptionGroup("several", [Mine()]),
        RecursionError(),
        MemoryError(),
        AssertionError(),
        trio.TooSlowError(),
        trio.EndOfChannel(),
        ActorStoppedError("a lie"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_an_actor_survives_every_exception_and_so_do_the_others(error: BaseException) -> None:
    async with ActorSystem("test") as system:
        await survives(system, error)


@pytest.mark.parametrize("kind", ["plain", "async"])
async def test_a_handler_that_raises_stop_iteration_has_failed(kind: str) -> None:
    error = StopIteration("stop")

    def plain(ctx: Context, msg: object) -> None:
        raise error

    async def asynchronous(ctx: Context, msg: object) -> None:
        raise error  # Python makes a RuntimeError of it

    async with ActorSystem("test") as system:
        ref = await system.spawn_func(plain if kind == "plain" else asynchronous)
        with pytest.raises(ActorFailedError) as caught:
            await ref.ask(Get())
        cause = caught.value.__cause__
        assert cause is not None
        assert error in (cause, cause.__cause__)
        assert ref.statistics().failures == 1


async def test_a_huge_text_is_cut_in_what_is_told_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    async with ActorSystem("test") as system:
        ref = await system.spawn(Recorder)
        with collected(system, ActorFailed) as failed:
            ref.tell(Boom(OSError("x" * 10_000_000)))
            await wait_all_tasks_blocked()
        assert len(failed[0].failure.text) < 3_000
        assert len(failed[0].failure.traceback_text) < 30_000
    assert sum(len(record.getMessage()) for record in caplog.records) < 100_000


async def test_an_exception_with_a_cause_that_points_back_at_it_is_told() -> None:
    one, two = OSError("one"), OSError("two")
    one.__cause__, two.__cause__ = two, one
    async with ActorSystem("test") as system:
        await survives(system, one)


async def test_a_recursion_without_end_is_a_failure_like_any_other() -> None:
    def recurse(ctx: Context) -> Any:
        return recurse(ctx)

    async with ActorSystem("test") as system:
        ref = await system.spawn(Recorder)
        with pytest.raises(ActorFailedError) as caught:
            await ref.ask(Do(recurse))
        assert isinstance(caught.value.__cause__, RecursionError)
        assert await ref.ask(Get()) == 0


async def test_a_group_from_a_nursery_in_a_handler_is_the_handlers_failure() -> None:
    async def work(ctx: Context) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(fail)
            nursery.start_soon(trio.sleep_forever)

    async def fail() -> None:
        raise OSError("in a child task")

    async with ActorSystem("test") as system:
        ref = await system.spawn(Recorder)
        with pytest.raises(ActorFailedError) as caught:
            await ref.ask(Do(work))
        assert isinstance(caught.value.__cause__, ExceptionGroup)
        assert await ref.ask(Get()) == 0


async def test_a_kill_that_meets_a_failing_cleanup_ends_the_actor_all_the_same(autojump_clock: MockClock) -> None:
    async def work(ctx: Context) -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise OSError("while cleaning up")

    async with ActorSystem("test") as system:
        ref = await system.spawn(Recorder)
        ref.tell(Do(work))
        await wait_all_tasks_blocked()
        with collected(system, ActorRestarted) as restarted:
            ref.kill()
            await ref.wait_stopped()
        assert not restarted


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3)], ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("place", ["receive", "pre_start", "post_stop", "nursery", "factory"])
async def test_what_ends_the_program_passes_through_and_ends_the_system(
    error: BaseException, place: str, autojump_clock: MockClock
) -> None:
    log: list[Any] = []

    async def task() -> None:
        raise error

    async def leave() -> None:
        async with ActorSystem("test") as system:
            await system.spawn(partial(Recorder, post_stop=noting(log, "other")))
            match place:
                case "receive":
                    (await system.spawn(Recorder)).tell(Boom(error))
                case "pre_start":
                    await system.spawn(partial(Recorder, pre_start=raising(error)))
                case "post_stop":
                    (await system.spawn(partial(Recorder, post_stop=raising(error)))).stop()
                case "nursery":
                    (await system.spawn(Recorder)).tell(Do(lambda ctx: ctx.nursery.start_soon(task)))
                case _:
                    await system.spawn(partial(_raise, error))
            await trio.sleep_forever()

    with trio.fail_after(60):
        with pytest.raises(BaseException) as caught:  # noqa: PT011
            await leave()
    assert error in leaves(caught.value)
    assert log == ["other"]


@pytest.mark.parametrize("place", ["handler", "body"])
def test_control_c_leaves_the_block_as_a_keyboard_interrupt_after_every_post_stop(place: str) -> None:
    log: list[Any] = []

    async def main() -> None:
        async with ActorSystem("test") as system:
            ref = await system.spawn(partial(Recorder, post_stop=noting(log, "post_stop")))
            await wait_all_tasks_blocked()
            if place == "handler":
                ref.tell(Do(lambda ctx: signal.raise_signal(signal.SIGINT)))
            else:
                signal.raise_signal(signal.SIGINT)
            await trio.sleep_forever()

    with pytest.raises(BaseException) as caught:  # noqa: PT011
        trio.run(main)
    assert [type(error) for error in leaves(caught.value)] == [KeyboardInterrupt]
    assert log == ["post_stop"]


def _raise(error: BaseException) -> Actor:
    raise error
