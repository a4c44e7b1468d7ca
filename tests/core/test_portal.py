"""The portal: how synchronous code in other threads talks to actors. Threads are real here, and so is the time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any, TypeVar

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tests.core.actors import Boom, Do, Echo, Get, Note, Recorder, collected
from trioakt import (
    ActorFailedError,
    ActorRef,
    ActorStoppedError,
    ActorSystem,
    Bounded,
    Context,
    DeadLetter,
    DeadLetterReason,
    MailboxFullError,
    NoReplyError,
    UnhandledMessageError,
)

T = TypeVar("T")


def in_a_thread(function: Callable[[], T]) -> Future[T]:
    """Run a function in a thread that Trio knows nothing of."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(function())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run).start()
    return future


async def result_of(future: Future[T]) -> T:
    """Wait for the thread; an event loop that is blocked by its own portal would hang here."""
    return await trio.to_thread.run_sync(future.result, 10)


async def test_a_message_told_from_another_thread_arrives_with_its_sender() -> None:
    kept: list[tuple[Any, ActorRef | None]] = []
    async with ActorSystem("test") as system:
        ref = await system.spawn_func(lambda ctx, msg: kept.append((msg, ctx.sender)))
        other = await system.spawn(Recorder)
        await trio.to_thread.run_sync(system.portal.tell, ref, Note(1))
        await trio.to_thread.run_sync(system.portal.tell, ref, Note(2), other)
        await wait_all_tasks_blocked()
        assert kept == [(Note(1), None), (Note(2), other)]


async def test_a_question_from_another_thread_is_answered() -> None:
    async with ActorSystem("test") as system:
        ref = await system.spawn(Recorder)
        assert await trio.to_thread.run_sync(system.portal.ask, ref, Get()) == 0


async def test_threads_that_trio_did_not_start_may_use_it_too() -> None:
    async with ActorSystem("test") as system:
        ref = await system.spawn(Recorder)
        portal = system.portal

        def talk() -> Any:
            portal.tell(ref, Note())
            return portal.ask(ref, Get(), timeout=10)

        assert await result_of(in_a_thread(talk)) == 1


async def test_each_thread_keeps_its_order() -> None:
    kept: list[Any] = []
    async with ActorSystem("test") as system:
        ref = await system.spawn(partial(Recorder, kept))

        def talk(name: str) -> None:
            for number in range(50):
                system.portal.tell(ref, (name, number))

        async with trio.open_nursery() as nursery:
            for name in ("a", "b", "c"):
                nursery.start_soon(trio.to_thread.run_sync, talk, name)
        assert await ref.ask(Get()) == 150
    for name in ("a", "b", "c"):
        assert [number for teller, number in kept if teller == name] == list(range(50))


# Errors


async def test_the_error_of_the_handler_is_raised_in_the_thread() -> None:
    error = OSError("no disk")
    async with ActorSystem("test") as system:
        ref = await system.spawn(Recorder)
        with pytest.raises(ActorFailedError) as caught:
            await trio.to_thread.run_sync(system.portal.ask, ref, Boom(error))
        assert caught.value.__cause__ is error


async def test_what_ask_raises_the_portal_raises() -> None:
    async with ActorSystem("test") as system:
        ask = system.portal.ask
        silent = await system.spawn(Recorder)
        with pytest.raises(NoReplyError):
            await trio.to_thread.run_sync(ask, silent, Note())
        refuser = await system.spawn_func(lambda ctx, msg: ctx.unhandled())
        with pytest.raises(UnhandledMessageError):
            await trio.to_thread.run_sync(ask, refuser, Get())
        silent.stop()
        await silent.wait_stopped()
        with pytest.raises(ActorStoppedError):
            await trio.to_thread.run_sync(ask, silent, Get())


async def test_a_full_mailbox_is_told_to_the_thread() -> None:
    async with ActorSystem("test") as system:
        ref = await system.spawn(Recorder, mailbox=Bounded(1))
        release = trio.Event()
        ref.tell(Do(lambda ctx: release.wait()))
        await wait_all_tasks_blocked()
        ref.tell(Note())
        with pytest.raises(MailboxFullError):
            await trio.to_thread.run_sync(system.portal.tell, ref, Note())
        release.set()
        await wait_all_tasks_blocked()
        assert await ref.ask(Get()) == 1


async def test_a_message_told_to_one_that_has_gone_is_a_dead_letter() -> None:
    async with ActorSystem("test") as system:
        ref = await system.spawn(Recorder)
        ref.stop()
        await ref.wait_stopped()
        with collected(system, DeadLetter) as letters:
            await trio.to_thread.run_sync(system.portal.tell, ref, Note(1))
        assert [letter.message for letter in letters] == [Note(1)]


async def test_past_its_timeout_an_ask_raises_and_the_request_counts_as_given_up() -> None:
    ran: list[Any] = []
    async with ActorSystem("test") as system:
        ref = await system.spawn(Recorder)
        release = trio.Event()
        ref.tell(Do(lambda ctx: release.wait()))
        request = Do(ran.append)
        with collected(system, DeadLetter) as letters:
            with pytest.raises(TimeoutError):
                await trio.to_thread.run_sync(partial(system.portal.ask, ref, request, timeout=0.01))
            release.set()
            assert await ref.ask(Get()) == 0
        assert [(letter.message, letter.reason) for letter in letters] == [(request, DeadLetterReason.ASKER_GONE)]
    assert not ran


async def test_the_handler_sees_the_deadline_of_the_thread() -> None:
    async with ActorSystem("test") as system:
        ref = await system.spawn_func(lambda ctx, msg: ctx.reply(ctx.deadline - trio.current_time()))
        left = await trio.to_thread.run_sync(partial(system.portal.ask, ref, "deadline", timeout=100))
        assert 50 < left <= 100


@pytest.mark.parametrize("seconds", [-1.0, float("nan")])
async def test_a_timeout_that_is_none_is_refused(seconds: float) -> None:
    async with ActorSystem("test") as system:
        ref = await system.spawn(Echo)
        with pytest.raises(ValueError, match=r"non-negative|NaN"):
            await trio.to_thread.run_sync(partial(system.portal.ask, ref, 1, timeout=seconds))


# In the wrong place


async def test_in_the_systems_own_thread_the_portal_refuses_instead_of_hanging() -> None:
    async with ActorSystem("test") as system:
        ref = await system.spawn(Recorder)
        with pytest.raises(RuntimeError):
            system.portal.tell(ref, Note())
        with pytest.raises(RuntimeError):
            system.portal.ask(ref, Get(), timeout=1)
        assert await ref.ask(Get()) == 0


async def test_in_a_handler_the_portal_refuses_too() -> None:
    async with ActorSystem("test") as system:
        other = await system.spawn(Recorder)
        ref = await system.spawn(Recorder)
        with pytest.raises(ActorFailedError) as caught:
            await ref.ask(Do(lambda ctx: ctx.system.portal.ask(other, Get())))
        assert isinstance(caught.value.__cause__, RuntimeError)


async def test_a_handler_may_use_it_in_a_worker_thread() -> None:
    async with ActorSystem("test") as system:
        other = await system.spawn(Recorder)

        async def work(ctx: Context) -> Any:
            return await trio.to_thread.run_sync(ctx.system.portal.ask, other, Get())

        ref = await system.spawn(Recorder)
        assert await ref.ask(Do(work)) == 0


# The end


async def test_a_thread_that_waits_when_the_system_ends_hears_that_the_actor_stopped() -> None:
    async with ActorSystem("test", stop_grace=0) as system:
        ref = await system.spawn(Recorder)
        started = trio.Event()

        async def never(ctx: Context) -> None:
            started.set()
            await trio.sleep_forever()

        future = in_a_thread(partial(system.portal.ask, ref, Do(never)))
        await started.wait()
    with pytest.raises(ActorStoppedError):
        await result_of(future)


async def test_after_the_end_of_the_system_an_ask_raises_and_a_message_is_a_dead_letter() -> None:
    async with ActorSystem("test") as system:
        ref = await system.spawn(Recorder)
        portal = system.portal
    await trio.to_thread.run_sync(portal.tell, ref, Note())
    assert system.statistics().dead_letters == 1
    with pytest.raises(ActorStoppedError):
        await trio.to_thread.run_sync(partial(portal.ask, ref, Get(), timeout=10))


def test_after_the_end_of_the_event_loop_the_portal_says_so() -> None:
    async def main() -> tuple[Any, ActorRef]:
        async with ActorSystem("test") as system:
            return system.portal, await system.spawn(Recorder)

    portal, ref = trio.run(main)
    for call in (partial(portal.tell, ref, Note()), partial(portal.ask, ref, Get(), timeout=10)):
        with pytest.raises(ActorStoppedError):
            in_a_thread(call).result(10)
        with pytest.raises(ActorStoppedError):
            call()


async def test_a_task_that_waits_for_a_thread_in_the_portal_can_be_shut_down() -> None:
    with trio.fail_after(10):
        async with ActorSystem("test", stop_grace=0) as system:
            ref = await system.spawn(Recorder)
            started = trio.Event()

            async def never(ctx: Context) -> None:
                started.set()
                await trio.sleep_forever()

            async def work(ctx: Context) -> None:
                await trio.to_thread.run_sync(partial(ctx.system.portal.ask, ref, Do(never), timeout=5))

            (await system.spawn(Recorder)).tell(Do(work))
            await started.wait()
