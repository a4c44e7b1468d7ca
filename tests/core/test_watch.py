"""Watching: the news of an end, its cause, and its place behind everything sent earlier."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.core.actors import Boom, Do, Get, Note, Recorder, collected, keep_busy, sleeping, spawn_child
from tests.core.watching import ended, stop, unwatch, watch, watcher_and_other
from trioakt import (
    ActorFailed,
    ActorRef,
    ActorSystem,
    Bounded,
    Context,
    DeadLetter,
    Directive,
    OneForOne,
    PoisonPill,
    Priority,
    Terminated,
    TerminationCause,
)

STOP_AT_FAILURE = OneForOne(default=Directive.STOP)
ENDS: dict[str, tuple[Callable[[ActorRef], object], TerminationCause]] = {
    "stop": (lambda ref: ref.stop(), TerminationCause.STOPPED),
    "poison pill": (lambda ref: ref.tell(PoisonPill()), TerminationCause.STOPPED),
    "ctx.stop": (lambda ref: ref.tell(Do(lambda ctx: ctx.stop())), TerminationCause.STOPPED),
    "kill": (lambda ref: ref.kill(), TerminationCause.KILLED),
}


async def watched_end(end: Callable[[ActorRef], object], **options: Any) -> Terminated:
    """Return what a watcher hears of an actor that is ended in this way."""
    async with watcher_and_other(**options) as (watcher, ref, heard):
        await watch(watcher, ref)
        end(ref)
        await ended(ref)
        (terminated,) = heard
        assert isinstance(terminated, Terminated)
        assert terminated.ref == ref
    return terminated


@pytest.mark.parametrize("how", ENDS)
async def test_the_watcher_hears_how_it_ended(how: str) -> None:
    end, cause = ENDS[how]
    assert (await watched_end(end)).cause == cause


async def test_the_watcher_of_one_that_failed_for_good_gets_the_failure() -> None:
    error = OSError("no disk")
    terminated = await watched_end(lambda ref: ref.tell(Boom(error)), supervision=STOP_AT_FAILURE)
    assert terminated.cause.name == "FAILED"
    assert terminated.cause != TerminationCause.STOPPED
    assert terminated.cause.failure is not None
    assert terminated.cause.failure.exception is error


async def test_children_that_end_with_their_parent_are_heard_of_as_stopped() -> None:
    async with watcher_and_other(supervision=STOP_AT_FAILURE) as (watcher, parent, heard):
        child = await spawn_child(parent, Recorder)
        await watch(watcher, child)
        parent.tell(Boom(OSError()))
        await ended(parent)
    assert heard == [Terminated(child, TerminationCause.STOPPED)]


async def test_a_restart_is_no_end() -> None:
    async with watcher_and_other() as (watcher, ref, heard):
        await watch(watcher, ref)
        ref.tell(Boom(OSError()))
        assert await ref.ask(Get()) == 0
        assert not heard
        await stop(ref)  # the watcher is still one after the restart
    assert heard == [Terminated(ref, TerminationCause.STOPPED)]


async def test_a_watcher_that_restarts_still_watches() -> None:
    async with watcher_and_other() as (watcher, ref, heard):
        await watch(watcher, ref)
        watcher.tell(Boom(OSError()))
        assert await watcher.ask(Get()) == 0
        await stop(ref)
    assert heard == [Terminated(ref, TerminationCause.STOPPED)]


async def test_watching_one_that_has_ended_is_answered_at_once_with_how_it_ended() -> None:
    async with watcher_and_other() as (watcher, ref, heard):
        ref.kill()
        await ref.wait_stopped()
        await watch(watcher, ref)
        await wait_all_tasks_blocked()
    assert heard == [Terminated(ref, TerminationCause.KILLED)]


async def test_watching_one_that_is_stopping_is_answered_when_it_has_gone(autojump_clock: MockClock) -> None:
    async with watcher_and_other(partial(Recorder, post_stop=sleeping(2))) as (watcher, ref, heard):
        ref.stop()
        await trio.sleep(1)
        await watch(watcher, ref)
        assert not heard
        await ended(ref)
    assert heard == [Terminated(ref, TerminationCause.STOPPED)]


async def test_the_news_comes_after_everything_that_the_watched_had_sent() -> None:
    async with watcher_and_other() as (watcher, ref, heard):

        async def say_a_lot(ctx: Any) -> None:
            for number in range(200):
                watcher.tell(Note(number), ctx.self)
            ctx.stop()

        await watch(watcher, ref)
        ref.tell(Do(say_a_lot))
        await ended(ref)
    assert heard[:-1] == [Note(number) for number in range(200)]
    assert heard[-1] == Terminated(ref, TerminationCause.STOPPED)


async def test_the_news_waits_behind_what_a_busy_watcher_has_not_read_yet(autojump_clock: MockClock) -> None:
    async with watcher_and_other() as (watcher, ref, heard):
        await watch(watcher, ref)
        await keep_busy(watcher, 5)
        ref.tell(Do(lambda ctx: watcher.tell(Note(1), ctx.self)))
        ref.tell(PoisonPill())
        await ref.wait_stopped()
        await trio.sleep(6)
    assert heard == [Note(1), Terminated(ref, TerminationCause.STOPPED)]


@pytest.mark.parametrize("mailbox", [Bounded(1), Priority(lambda message: 0, capacity=1)], ids=["bounded", "priority"])
async def test_a_full_mailbox_does_not_lose_the_news(mailbox: Any, autojump_clock: MockClock) -> None:
    async with watcher_and_other(mailbox=mailbox) as (watcher, ref, heard):
        await watch(watcher, ref)
        await keep_busy(watcher, 5)
        watcher.tell(Note(1))
        ref.stop()
        await ref.wait_stopped()
        await trio.sleep(6)
    assert heard == [Note(1), Terminated(ref, TerminationCause.STOPPED)]


async def test_who_has_unwatched_hears_nothing() -> None:
    async with watcher_and_other() as (watcher, ref, heard):
        await watch(watcher, ref)
        await unwatch(watcher, ref)
        await stop(ref)
    assert not heard


async def test_unwatching_takes_back_news_that_are_on_their_way() -> None:
    heard: list[Any] = []
    async with ActorSystem("test") as system:
        watcher = await system.spawn(partial(Recorder, heard))
        ref = await system.spawn(Recorder)

        async def unwatch_late(ctx: Context) -> None:
            ctx.watch(ref)
            await stop(ref)
            ctx.unwatch(ref)

        with collected(system, DeadLetter) as letters:
            await watcher.ask(Do(unwatch_late))
            await wait_all_tasks_blocked()
        assert not letters
    assert not heard


async def test_watching_anew_after_unwatching_works() -> None:
    async with watcher_and_other() as (watcher, ref, heard):
        await watch(watcher, ref)
        await unwatch(watcher, ref)
        await watch(watcher, ref)
        await stop(ref)
    assert heard == [Terminated(ref, TerminationCause.STOPPED)]


async def test_watching_anew_an_ended_actor_after_unwatching_gives_the_news_once() -> None:
    async with watcher_and_other() as (watcher, ref, heard):

        async def back_and_forth(ctx: Context) -> None:
            ctx.watch(ref)
            await stop(ref)
            ctx.unwatch(ref)
            ctx.watch(ref)

        await watcher.ask(Do(back_and_forth))
        await wait_all_tasks_blocked()
    assert heard == [Terminated(ref, TerminationCause.STOPPED)]


async def test_unwatching_one_that_was_never_watched_harms_nobody() -> None:
    async with watcher_and_other() as (watcher, ref, _):
        await unwatch(watcher, ref)
        ref.stop()
        await ref.wait_stopped()
        await unwatch(watcher, ref)
        assert await watcher.ask(Get()) == 0


async def test_watching_twice_gives_the_news_once() -> None:
    async with watcher_and_other() as (watcher, ref, heard):
        await watch(watcher, ref)
        await watch(watcher, ref)
        await stop(ref)
    assert heard == [Terminated(ref, TerminationCause.STOPPED)]


async def test_a_watcher_that_ended_first_makes_no_dead_letter() -> None:
    async with ActorSystem("test") as system:
        watcher = await system.spawn(Recorder)
        ref = await system.spawn(Recorder)
        await watch(watcher, ref)
        watcher.stop()
        await watcher.wait_stopped()
        with collected(system, DeadLetter) as letters:
            await stop(ref)
        assert not letters


async def test_actors_may_watch_each_other_and_end_together() -> None:
    heard: list[Any] = []
    async with ActorSystem("test") as system:
        one = await system.spawn(partial(Recorder, heard))
        two = await system.spawn(partial(Recorder, heard))
        await watch(one, two)
        await watch(two, one)
        await stop(one)
        two.stop()
    assert heard == [Terminated(one, TerminationCause.STOPPED)]


async def test_a_parent_may_watch_its_child_and_a_child_its_parent() -> None:
    heard: list[Any] = []
    async with ActorSystem("test") as system:
        parent = await system.spawn(partial(Recorder, heard))
        child = await spawn_child(parent, Recorder)
        await watch(parent, child)
        await watch(child, parent)
        await stop(child)
    assert heard == [Terminated(child, TerminationCause.STOPPED)]


async def test_an_actor_that_watches_itself_ends_without_trouble() -> None:
    async with ActorSystem("test") as system:
        ref = await system.spawn(Recorder)
        with collected(system, ActorFailed) as failed:
            try:
                await watch(ref, ref)
            finally:
                ref.stop()
                await ref.wait_stopped()
        assert not failed


async def test_the_news_of_one_spawn_are_not_those_of_the_next_of_the_same_name() -> None:
    heard: list[Any] = []
    async with ActorSystem("test") as system:
        watcher = await system.spawn(partial(Recorder, heard))
        first = await system.spawn(Recorder, name="ada")
        await watch(watcher, first)
        first.stop()
        await first.wait_stopped()
        second = await system.spawn(Recorder, name="ada")
        await stop(second)
    assert heard == [Terminated(first, TerminationCause.STOPPED)]
    assert first != second


async def test_many_watchers_all_hear_of_the_end() -> None:
    heard: list[Any] = []
    async with ActorSystem("test") as system:
        ref = await system.spawn(Recorder)
        for _ in range(50):
            await watch(await system.spawn(partial(Recorder, heard)), ref)
        await stop(ref)
    assert heard == [Terminated(ref, TerminationCause.STOPPED)] * 50


async def test_an_actor_that_does_not_start_is_gone_for_who_watched_it_early() -> None:
    heard: list[Any] = []
    async with ActorSystem("test") as system:
        watcher = await system.spawn(partial(Recorder, heard))
        refs: list[ActorRef] = []

        async def pre_start(ctx: Any) -> None:
            refs.append(ctx.self)
            await watch(watcher, ctx.self)
            raise OSError

        with pytest.raises(Exception, match="did not start"):
            await system.spawn(partial(Recorder, pre_start=pre_start))
        await wait_all_tasks_blocked()
    assert [message.ref for message in heard] == refs


async def test_pre_start_may_watch(autojump_clock: MockClock) -> None:
    heard: list[Any] = []
    async with ActorSystem("test") as system:
        ref = await system.spawn(Recorder)
        await system.spawn(partial(Recorder, heard, pre_start=lambda ctx: ctx.watch(ref)))
        await stop(ref)
    assert heard == [Terminated(ref, TerminationCause.STOPPED)]


async def test_the_news_may_be_told_and_forwarded_to_others() -> None:
    heard: list[Any] = []
    async with ActorSystem("test") as system:
        other = await system.spawn(partial(Recorder, heard))
        ref = await system.spawn(Recorder)
        teller = await system.spawn_func(lambda ctx, msg: ctx.watch(ref) if msg == "watch" else other.tell(msg))
        forwarder = await system.spawn_func(lambda ctx, msg: ctx.watch(ref) if msg == "watch" else ctx.forward(other))
        teller.tell("watch")
        forwarder.tell("watch")
        await wait_all_tasks_blocked()
        await stop(ref)
    assert heard == [Terminated(ref, TerminationCause.STOPPED)] * 2


async def test_the_news_may_be_laid_aside_and_taken_up_again() -> None:
    heard: list[Any] = []
    async with ActorSystem("test") as system:
        ref = await system.spawn(Recorder)

        def receive(ctx: Context, msg: object) -> None:
            match msg:
                case "watch":
                    ctx.watch(ref)
                case "now":
                    ctx.unstash_all()
                    ctx.become(lambda _, news: heard.append(news))
                case _:
                    ctx.stash()

        watcher = await system.spawn_func(receive)
        watcher.tell("watch")
        await wait_all_tasks_blocked()
        await stop(ref)
        watcher.tell("now")
        await wait_all_tasks_blocked()
    assert heard == [Terminated(ref, TerminationCause.STOPPED)]
