"""Pipe-to: what runs beside an actor, and comes back to it or to another one as a message."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import trio
from trio.testing import MockClock
from trio.testing import wait_all_tasks_blocked as settle

from tests.core.actors import Do, Echo, Note, Recorder, collected, raising, sleeping
from tests.core.crew import Trouble, ask_soon
from tests.patterns.pipes import Got, worker_and_probe
from trioakt import (
    ActorFailed,
    ActorFailedError,
    ActorRef,
    ActorStoppedError,
    ActorSystem,
    Bounded,
    CircuitBreaker,
    CircuitState,
    Context,
    DeadLetter,
    DeadLetterReason,
    Overflow,
    PipeFailed,
    Priority,
    message,
)
from trioakt.testing import open_test_system


@message
class Ping:
    """A request that is echoed."""


class Unprintable(Exception):
    """An error whose text cannot be had."""

    def __str__(self) -> str:
        raise Trouble


async def after(seconds: float, result: Any = None) -> Any:
    """Return the result, or raise it, after so many seconds."""
    await trio.sleep(seconds)
    if isinstance(result, BaseException):
        raise result
    return result


async def pipe(worker: ActorRef, ref: ActorRef, fn: Callable[..., Any], *args: Any, **options: Any) -> None:
    """Let the worker pipe."""
    await worker.ask(Do(lambda ctx: ctx.pipe_to(ref, fn, *args, **options)))


async def test_the_result_is_told_with_the_actor_as_sender(autojump_clock: MockClock) -> None:
    async with worker_and_probe() as (_, worker, probe):
        await pipe(worker, probe.ref, after, 1.0, Note(7))
        await probe.expect(Note(7))
        assert probe.last_sender == worker
        assert trio.current_time() == pytest.approx(1.0)


async def test_an_actor_pipes_to_itself_and_handles_other_messages_meanwhile(autojump_clock: MockClock) -> None:
    kept: list[Any] = []
    async with open_test_system() as system:
        worker = await system.spawn(Recorder, kept)
        await worker.ask(Do(lambda ctx: ctx.pipe_to(ctx.self, after, 2.0, "result")))
        worker.tell("meanwhile")
        await trio.sleep(3)
        assert kept == ["meanwhile", "result"]


async def test_a_wrapper_makes_the_message_out_of_the_result(autojump_clock: MockClock) -> None:
    async with worker_and_probe() as (_, worker, probe):
        await pipe(worker, probe.ref, after, 1.0, 7, wrap=Got)
        await probe.expect(Got(7))


async def test_several_are_in_flight_and_each_comes_when_it_is_ready(autojump_clock: MockClock) -> None:
    async with worker_and_probe() as (_, worker, probe):
        for seconds in (3.0, 1.0, 2.0):
            await pipe(worker, probe.ref, after, seconds, seconds)
        for seconds in (1.0, 2.0, 3.0):
            await probe.expect(seconds)
        assert trio.current_time() == pytest.approx(3.0)


async def test_none_is_a_result_too() -> None:
    async with worker_and_probe() as (_, worker, probe):
        await pipe(worker, probe.ref, after, 0)
        await probe.expect(None)


async def test_a_failure_comes_as_a_message_and_is_none_of_the_actors(autojump_clock: MockClock) -> None:
    async with worker_and_probe() as (system, worker, probe):
        error = Trouble("ouch")
        await pipe(worker, probe.ref, after, 1.0, error, wrap=Got)
        failed = await probe.expect(PipeFailed)
        assert failed.failure.text == "ouch"
        assert failed.failure.exception is error
        assert probe.last_sender == worker
        assert system.statistics().failures == 0


@pytest.mark.parametrize("error", [Unprintable(), ExceptionGroup("two", [Trouble(), Trouble()]), BaseException("odd")])
async def test_whatever_is_raised_comes_as_a_failure(error: BaseException) -> None:
    async with worker_and_probe() as (system, worker, probe):
        await pipe(worker, probe.ref, after, 0, error)
        assert (await probe.expect(PipeFailed)).failure.exception is error
        assert system.statistics().failures == 0


async def test_a_function_that_is_not_async_comes_as_a_failure() -> None:
    async with worker_and_probe() as (_, worker, probe):
        await pipe(worker, probe.ref, lambda: 7)
        assert (await probe.expect(PipeFailed)).failure.type_name == "TypeError"


async def test_a_wrapper_that_raises_comes_as_a_failure() -> None:
    def wrap(result: object) -> object:
        raise Trouble(result)

    async with worker_and_probe() as (system, worker, probe):
        await pipe(worker, probe.ref, after, 0, "seven", wrap=wrap)
        assert (await probe.expect(PipeFailed)).failure.text == "seven"
        assert system.statistics().failures == 0


async def test_an_ask_can_be_piped() -> None:
    async with worker_and_probe() as (system, worker, probe):
        echo = await system.spawn(Echo)
        await pipe(worker, probe.ref, echo.ask, Ping())
        await probe.expect(Ping())


async def test_a_result_piped_to_a_request_answers_it_and_a_failure_refuses_it(autojump_clock: MockClock) -> None:
    async with worker_and_probe() as (system, _, probe):

        async def serve(ctx: Context, msg: int) -> None:
            ctx.pipe_to(ctx.reply_to, compute, msg, wrap=Got)

        async def compute(value: int) -> int:
            await trio.sleep(1)
            return 10 // value

        server = await system.spawn_func(serve)
        assert await server.ask(5) == Got(2)
        with pytest.raises(ActorFailedError) as caught:
            await server.ask(0)
        assert isinstance(caught.value.__cause__, ZeroDivisionError)
        await probe.expect_none()


async def test_an_asker_hears_when_the_life_of_the_actor_ends_before_the_result(autojump_clock: MockClock) -> None:
    async with worker_and_probe() as (system, _, _), trio.open_nursery() as nursery:

        async def serve(ctx: Context, msg: str) -> None:
            ctx.pipe_to(ctx.reply_to, trio.sleep_forever)

        server = await system.spawn_func(serve)
        asking = ask_soon(nursery, server, "anything")
        await trio.sleep(1)
        server.stop()
        await server.wait_stopped()
        await settle()
        assert isinstance(asking.outcome, ActorStoppedError)


async def test_an_actor_may_pipe_an_ask_to_one_that_asks_it_back() -> None:
    async with worker_and_probe() as (system, worker, probe):
        other = await system.spawn(Recorder)
        back = Do(lambda ctx: worker.ask(Do(lambda ctx: "answer")))
        await pipe(worker, probe.ref, other.ask, back)
        await probe.expect("answer")


async def test_what_is_begun_in_pre_start_comes_in_the_mailbox() -> None:
    kept: list[Any] = []
    async with open_test_system() as system:
        await system.spawn(partial(Recorder, kept, pre_start=lambda ctx: ctx.pipe_to(ctx.self, after, 0, "loaded")))
        await settle()
        assert kept == ["loaded"]


@pytest.mark.parametrize("end", [ActorRef.stop, ActorRef.kill])
async def test_it_dies_with_the_actor(end: Callable[[ActorRef], None], autojump_clock: MockClock) -> None:
    async with worker_and_probe() as (_, worker, probe):
        await pipe(worker, probe.ref, after, 5.0, "late")
        end(worker)
        await worker.wait_stopped()
        assert trio.current_time() < 1
        await probe.expect_none(within=10)


async def test_it_dies_with_the_life_of_the_actor(autojump_clock: MockClock) -> None:
    kept: list[Any] = []
    async with ActorSystem("test") as system:
        worker = await system.spawn(Recorder, kept)
        await worker.ask(Do(lambda ctx: ctx.pipe_to(ctx.self, after, 5.0, "late")))
        worker.tell(Do(raising(Trouble())))
        await trio.sleep(10)
        assert worker.statistics().restarts == 1
        assert kept == []


async def test_a_function_that_shields_itself_tells_nothing_to_the_next_life(autojump_clock: MockClock) -> None:
    async def stubborn() -> str:
        with trio.CancelScope(shield=True):
            await trio.sleep(2)
        return "late"

    kept: list[Any] = []
    async with ActorSystem("test") as system:
        worker = await system.spawn(Recorder, kept)
        await worker.ask(Do(lambda ctx: ctx.pipe_to(ctx.self, stubborn)))
        await settle()
        worker.tell(Do(raising(Trouble())))
        await trio.sleep(10)
        assert worker.statistics().restarts == 1
        assert kept == []


async def test_what_fails_on_its_way_out_is_no_failure_of_the_actor(autojump_clock: MockClock) -> None:
    async def end_badly() -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise Trouble

    async def two() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(end_badly)
            nursery.start_soon(trio.sleep_forever)

    async with worker_and_probe() as (system, worker, probe):
        for fn in (end_badly, two):
            await pipe(worker, probe.ref, fn)
        await settle()
        worker.stop()
        await worker.wait_stopped()
        assert system.statistics().failures == 0
        assert probe.messages == ()


async def test_no_pipe_begins_when_the_life_is_over() -> None:
    raised: list[Exception] = []

    def try_it(ctx: Context) -> None:
        try:
            ctx.pipe_to(ctx.self, after, 0)
        except RuntimeError as error:
            raised.append(error)

    async with open_test_system() as system:
        worker = await system.spawn(partial(Recorder, post_stop=try_it))
        worker.stop()
        await worker.wait_stopped()
    assert len(raised) == 1


async def test_a_result_for_one_that_has_stopped_is_a_dead_letter() -> None:
    async with worker_and_probe(DeadLetter) as (system, worker, _):
        target = await system.spawn(Recorder)
        target.stop()
        await target.wait_stopped()
        with collected(system, DeadLetter) as letters:
            await pipe(worker, target, after, 0, "result")
            await settle()
        assert [(each.message, each.sender, each.recipient, each.reason) for each in letters] == [
            ("result", worker, target, DeadLetterReason.STOPPED)
        ]


@pytest.mark.parametrize("overflow", [Overflow.REJECT, Overflow.DROP_NEWEST])
async def test_a_result_that_finds_the_mailbox_full_is_a_dead_letter(
    overflow: Overflow, autojump_clock: MockClock
) -> None:
    async with worker_and_probe(DeadLetter) as (system, worker, _):
        target = await system.spawn(Recorder, mailbox=Bounded(1, overflow))
        target.tell(Do(sleeping(5)))
        await settle()
        target.tell("waits")
        with collected(system, DeadLetter) as letters:
            await pipe(worker, target, after, 1.0, "result")
            await trio.sleep(10)
        assert [(each.message, each.sender, each.recipient, each.reason) for each in letters] == [
            ("result", worker, target, DeadLetterReason.MAILBOX_FULL)
        ]
        assert system.statistics().failures == 0


async def test_a_mailbox_that_cannot_take_the_message_fails_the_actor_that_piped() -> None:
    async with ActorSystem("test") as system:
        worker = await system.spawn(Recorder, mailbox=Priority(lambda msg: msg.number if isinstance(msg, Note) else 0))
        target = await system.spawn(Recorder, mailbox=Priority(lambda msg: msg.number))
        await pipe(worker, target, after, 0, "a message without a number")
        await settle()
        assert (worker.statistics().failures, target.statistics().failures) == (1, 0)


@pytest.mark.parametrize(("fn", "wrap"), [("not a function", None), (after, "not a function")])
async def test_what_cannot_be_called_is_refused_at_once(fn: Any, wrap: Any) -> None:
    def try_it(ctx: Context) -> str:
        for begin in (ctx.pipe_to, ctx.pipe_thread_to):
            with pytest.raises(TypeError, match="not a function"):
                begin(ctx.self, fn, wrap=wrap)
        return "refused"

    async with open_test_system() as system:
        worker = await system.spawn(Recorder)
        assert await worker.ask(Do(try_it)) == "refused"


async def test_an_open_circuit_comes_as_a_failure_at_once(autojump_clock: MockClock) -> None:
    calls: list[float] = []

    async def fail_slowly() -> None:
        calls.append(trio.current_time())
        await after(1.0, Trouble())

    breaker = CircuitBreaker(minimum_calls=2)
    async with worker_and_probe() as (system, worker, probe):
        for expected in ("Trouble", "Trouble", "CircuitOpenError"):
            await pipe(worker, probe.ref, fail_slowly, breaker=breaker)
            failed = await probe.expect(PipeFailed)
            assert failed.failure.type_name.endswith(expected)
        assert calls == [0.0, 1.0]
        assert trio.current_time() == pytest.approx(2.0)
        assert system.statistics().failures == 0


async def test_a_breaker_lets_results_through_and_does_not_count_the_wrapper() -> None:
    def wrap(result: object) -> object:
        raise Trouble

    breaker = CircuitBreaker(minimum_calls=1)
    async with worker_and_probe() as (_, worker, probe):
        await pipe(worker, probe.ref, after, 0, "result", breaker=breaker)
        await probe.expect("result")
        await pipe(worker, probe.ref, after, 0, "result", breaker=breaker, wrap=wrap)
        await probe.expect(PipeFailed)
        assert breaker.state is CircuitState.CLOSED


async def test_the_end_of_an_actor_frees_the_place_of_the_probe(autojump_clock: MockClock) -> None:
    breaker = CircuitBreaker(minimum_calls=1, open_for=5.0)
    async with worker_and_probe() as (_, worker, probe):
        await pipe(worker, probe.ref, after, 0, Trouble(), breaker=breaker)
        await probe.expect(PipeFailed)
        await trio.sleep(5)
        await pipe(worker, probe.ref, after, 100.0, breaker=breaker)
        await settle()
        worker.stop()
        await worker.wait_stopped()
        async with breaker:
            pass
        assert breaker.state is CircuitState.CLOSED


# --------------------------------------------------------------------- threads


async def pipe_thread(worker: ActorRef, ref: ActorRef, fn: Callable[..., Any], *args: Any, **options: Any) -> None:
    """Let the worker pipe from a thread."""
    await worker.ask(Do(lambda ctx: ctx.pipe_thread_to(ref, fn, *args, **options)))


async def test_a_blocking_function_runs_in_a_thread() -> None:
    async with worker_and_probe() as (_, worker, probe):
        await pipe_thread(worker, probe.ref, threading.get_ident, wrap=str)
        assert await probe.expect(str) != str(threading.get_ident())


async def test_an_error_in_a_thread_comes_as_a_failure() -> None:
    breaker = CircuitBreaker(minimum_calls=1)
    async with worker_and_probe() as (system, worker, probe):
        await pipe_thread(worker, probe.ref, int, "seven", breaker=breaker)
        assert (await probe.expect(PipeFailed)).failure.type_name == "ValueError"
        assert breaker.state is CircuitState.OPEN
        assert system.statistics().failures == 0


async def test_a_thread_that_looks_ends_with_the_actor() -> None:
    def look_again_and_again() -> None:
        while not trio.from_thread.run(checkpoint_and_go_on):
            trio.from_thread.check_cancelled()

    async def checkpoint_and_go_on() -> bool:
        began.set()
        await trio.lowlevel.checkpoint()
        return False

    began = trio.Event()
    async with worker_and_probe() as (system, worker, probe):
        await pipe_thread(worker, probe.ref, look_again_and_again)
        await began.wait()
        worker.stop()
        await worker.wait_stopped()
        assert probe.messages == ()
        assert system.statistics().failures == 0


async def test_the_end_of_an_actor_waits_for_its_thread_and_drops_the_result() -> None:
    release, ended = threading.Event(), threading.Event()

    def work() -> str:
        release.wait()
        ended.set()
        return "late"

    async with worker_and_probe() as (_, worker, probe):
        await pipe_thread(worker, probe.ref, work)
        await settle()
        worker.stop()
        await settle()
        assert not ended.is_set()
        release.set()
        await worker.wait_stopped()
        assert ended.is_set()
        assert probe.messages == ()


async def test_a_thread_that_outlasts_the_grace_of_its_actor_tells_nothing_later(autojump_clock: MockClock) -> None:
    release = threading.Event()

    def work() -> str:
        release.wait()
        return "late"

    async with worker_and_probe() as (system, worker, probe):
        await pipe_thread(worker, probe.ref, work)
        await settle()
        with collected(system, ActorFailed) as failures:
            worker.stop()
            await worker.wait_stopped()
        release.set()
        assert trio.current_time() == pytest.approx(5.0)
        assert [each.failure.type_name for each in failures] == ["trio.TooSlowError"]
    assert probe.messages == ()
