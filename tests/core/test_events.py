"""The event stream: what is told, to whom, and what becomes of a reader that is too slow."""

from __future__ import annotations

import logging
import math
from functools import partial
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.core.actors import Boom, Do, Get, Note, Recorder, collected, keep_busy
from trioakt import (
    ActorFailed,
    ActorRef,
    ActorReinstated,
    ActorRestarted,
    ActorStarted,
    ActorStopped,
    ActorSuspended,
    ActorSystem,
    Bounded,
    Context,
    DeadLetter,
    Directive,
    Missed,
    OneForOne,
    TerminationCause,
)
from trioakt.lowlevel import Event

SUSPEND = OneForOne(default=Directive.SUSPEND)


async def live_once(system: ActorSystem) -> ActorRef:
    """Let an actor start, fail, restart, stop."""
    ref = await system.spawn(Recorder)
    ref.tell(Boom(OSError("no disk")))
    assert await ref.ask(Get()) == 0
    ref.stop()
    await ref.wait_stopped()
    return ref


# What is told


async def test_a_life_is_told_from_start_to_stop_in_its_order() -> None:
    async with ActorSystem("test") as system:
        with collected(system) as events:
            ref = await live_once(system)
        told = [event for event in events if event.ref == ref]
        assert [type(event) for event in told] == [ActorStarted, ActorFailed, ActorRestarted, ActorStopped]
        _, failed, restarted, stopped = told
        assert failed.failure.type_name == "OSError"
        assert failed.failure.text == "no disk"
        assert restarted.failure == failed.failure
        assert restarted.restarts == 1
        assert stopped.cause == TerminationCause.STOPPED


async def test_suspending_and_reinstating_are_told() -> None:
    async with ActorSystem("test") as system:
        ref = await system.spawn(Recorder, supervision=SUSPEND)
        with collected(system) as events:
            ref.tell(Boom(OSError()))
            await wait_all_tasks_blocked()
            ref.reinstate()
            await wait_all_tasks_blocked()
        assert [type(event) for event in events] == [ActorFailed, ActorSuspended, ActorReinstated]
        assert {event.ref for event in events} == {ref}


async def test_restarts_are_counted_for_each_ref() -> None:
    async with ActorSystem("test") as system:
        ref = await system.spawn(Recorder)
        with collected(system, ActorRestarted) as events:
            for _ in range(3):
                ref.tell(Boom(OSError()))
            await wait_all_tasks_blocked()
        assert [event.restarts for event in events] == [1, 2, 3]


async def test_events_are_frozen_and_say_when(autojump_clock: MockClock) -> None:
    async with ActorSystem("test") as system:
        await trio.sleep(7)
        with collected(system, ActorStarted) as events:
            await system.spawn(Recorder)
        assert events[0].at == trio.current_time()
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            events[0].at = 0.0


async def test_the_ends_at_the_end_of_the_block_are_told_too() -> None:
    system = ActorSystem("test")
    with collected(system, ActorStopped) as events:
        async with system:
            ref = await system.spawn(Recorder)
    assert ref in [event.ref for event in events]


# To whom


async def test_a_subscriber_gets_the_classes_it_named() -> None:
    async with ActorSystem("test") as system, system.events.subscribe(ActorFailed, ActorStopped) as events:
        await live_once(system)
        assert isinstance(await anext(aiter(events)), ActorFailed)
        assert isinstance(await anext(aiter(events)), ActorStopped)


async def test_a_subscriber_that_names_nothing_gets_everything_and_a_base_class_stands_for_all_below() -> None:
    async with (
        ActorSystem("test") as system,
        system.events.subscribe() as everything,
        system.events.subscribe(Event) as events,
    ):
        ref = await live_once(system)
        for stream in (everything, events):
            kinds: list[object] = []
            while ActorStopped not in kinds:
                event: Any = await anext(aiter(stream))
                if event.ref == ref:
                    kinds.append(event.__class__)
            assert kinds == [ActorStarted, ActorFailed, ActorRestarted, ActorStopped]


async def test_each_subscriber_gets_every_event() -> None:
    async with (
        ActorSystem("test") as system,
        system.events.subscribe(ActorFailed) as one,
        system.events.subscribe(ActorFailed) as two,
    ):
        await live_once(system)
        first: Any = await anext(aiter(one))
        second: Any = await anext(aiter(two))
        assert first == second


async def test_a_subscriber_waits_for_the_next_event(autojump_clock: MockClock) -> None:
    async with ActorSystem("test") as system, trio.open_nursery() as nursery:

        async def fail_later() -> None:
            await trio.sleep(3)
            await live_once(system)

        async with system.events.subscribe(ActorFailed) as events:
            nursery.start_soon(fail_later)
            began = trio.current_time()
            await anext(aiter(events))
            assert trio.current_time() == began + 3


async def test_a_reader_that_is_cancelled_loses_no_event(autojump_clock: MockClock) -> None:
    async with ActorSystem("test") as system, system.events.subscribe(ActorFailed) as events:
        with trio.move_on_after(1):
            await anext(aiter(events))
        await live_once(system)
        assert isinstance(await anext(aiter(events)), ActorFailed)


async def test_nothing_comes_after_the_subscription_has_ended() -> None:
    async with ActorSystem("test") as system:
        async with system.events.subscribe(ActorFailed) as events:
            pass
        await live_once(system)
        assert [event async for event in events] == []


async def test_subscriptions_end_with_the_system_after_its_last_events() -> None:
    got: list[Any] = []

    async def read(system: ActorSystem, task_status: trio.TaskStatus[None]) -> None:
        async with system.events.subscribe(ActorStopped) as events:
            task_status.started()
            async for event in events:
                got.append(event)  # noqa: PERF401

    async with trio.open_nursery() as nursery, ActorSystem("test") as system:
        await nursery.start(read, system)
        ref = await system.spawn(Recorder)
    assert ref in [event.ref for event in got]


async def test_events_are_told_to_an_actor_that_subscribed_until_it_takes_that_back() -> None:
    kept: list[Any] = []
    async with ActorSystem("test") as system:
        reader = await system.spawn(partial(Recorder, kept))
        system.events.subscribe_ref(reader, ActorFailed)
        ref = await live_once(system)
        await wait_all_tasks_blocked()
        assert [(type(event), event.ref) for event in kept] == [(ActorFailed, ref)]
        system.events.unsubscribe_ref(reader)
        await live_once(system)
        await wait_all_tasks_blocked()
        assert len(kept) == 1


async def test_an_actor_may_hold_a_subscription_as_a_resource_and_read_it_in_a_task() -> None:
    lost: list[Any] = []

    async def read(events: Any) -> None:
        async for event in events:
            lost.append(event.message)  # noqa: PERF401

    async def pre_start(ctx: Context) -> None:
        ctx.nursery.start_soon(read, await ctx.enter(ctx.system.events.subscribe(DeadLetter)))

    async with ActorSystem("test") as system:
        reader = await system.spawn(partial(Recorder, pre_start=pre_start))
        gone = await system.spawn(Recorder)
        gone.stop()
        await gone.wait_stopped()
        gone.tell(Note(1))
        reader.tell(Boom(OSError()))
        assert await reader.ask(Get()) == 0
        gone.tell(Note(2))
        await wait_all_tasks_blocked()
    assert lost == [Note(1), Note(2)]


async def test_a_subscribed_actor_that_ends_makes_no_dead_letters() -> None:
    async with ActorSystem("test") as system:
        reader = await system.spawn(Recorder)
        system.events.subscribe_ref(reader)
        reader.stop()
        await reader.wait_stopped()
        await live_once(system)
        assert system.statistics().dead_letters == 0


async def test_an_actor_that_hears_of_dead_letters_and_makes_one_each_time_does_not_hang_the_system() -> None:
    async with ActorSystem("test") as system:
        gone = await system.spawn(Recorder)
        gone.stop()
        await gone.wait_stopped()
        echo = await system.spawn_func(lambda ctx, msg: gone.tell(msg))
        system.events.subscribe_ref(echo, DeadLetter)
        gone.tell(Note())
        for _ in range(20):
            await trio.lowlevel.checkpoint()  # others still get their turn


async def test_a_subscribed_actor_whose_mailbox_is_full_harms_neither_the_publisher_nor_other_readers(
    autojump_clock: MockClock,
) -> None:
    async with ActorSystem("test") as system:
        busy = await system.spawn(Recorder, mailbox=Bounded(1))
        await keep_busy(busy, 5)
        system.events.subscribe_ref(busy, ActorFailed)
        with collected(system, ActorFailed) as seen:
            for _ in range(3):
                await live_once(system)
        assert len(seen) == 3
        await trio.sleep(6)
        assert await busy.ask(Get()) == 1


@pytest.mark.parametrize("kind", ["DeadLetter", 3, None])
async def test_what_is_no_class_cannot_be_subscribed_to(kind: Any) -> None:
    async with ActorSystem("test") as system:
        reader = await system.spawn(Recorder)
        with pytest.raises(TypeError):
            system.events.subscribe_ref(reader, kind)
        with pytest.raises(TypeError):
            async with system.events.subscribe(kind):
                pass


# A slow reader


async def test_a_slow_reader_is_told_how_much_it_missed_and_gets_the_newest() -> None:
    async with ActorSystem("test") as system:
        gone = await system.spawn(Recorder)
        gone.stop()
        await gone.wait_stopped()
        async with system.events.subscribe(DeadLetter, buffer=3) as events:
            for number in range(10):
                gone.tell(Note(number))
            stream = aiter(events)
            assert await anext(stream) == Missed(7)
            letters: list[Any] = [await anext(stream) for _ in range(3)]
            assert [letter.message for letter in letters] == [Note(7), Note(8), Note(9)]
            gone.tell(Note(10))
            letter: Any = await anext(stream)
            assert letter.message == Note(10)


async def test_a_slow_reader_does_not_slow_others() -> None:
    async with ActorSystem("test") as system:
        gone = await system.spawn(Recorder)
        gone.stop()
        await gone.wait_stopped()
        async with (
            system.events.subscribe(DeadLetter, buffer=1) as _slow,
            system.events.subscribe(DeadLetter) as events,
        ):
            for number in range(100):
                gone.tell(Note(number))
            letters: list[Any] = [await anext(aiter(events)) for _ in range(100)]
            assert [letter.message.number for letter in letters] == list(range(100))


@pytest.mark.parametrize("buffer", [0, -1])
async def test_a_buffer_without_room_is_refused(buffer: int) -> None:
    async with ActorSystem("test") as system:
        with pytest.raises(ValueError, match="buffer"):
            async with system.events.subscribe(buffer=buffer):
                pass


# The log


async def test_dead_letters_are_logged_at_a_limited_rate_but_all_are_counted(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with ActorSystem("test") as system:
        gone = await system.spawn(Recorder, name="ada")
        gone.stop()
        await gone.wait_stopped()
        with caplog.at_level(logging.DEBUG):
            for _ in range(1000):
                gone.tell(Note())
            first = len(caplog.records)
            assert 0 < first < 100
            assert "/user/ada" in caplog.records[0].getMessage()
            assert "stopped" in caplog.records[0].getMessage()
            await trio.sleep(3600)
            gone.tell(Note())
            assert len(caplog.records) > first
        assert system.statistics().dead_letters == 1001
        later = "\n".join(record.getMessage() for record in caplog.records[first:])
        assert str(1000 - first) in later or str(1000 - first + 1) in later  # how many were kept back


async def test_a_failure_is_logged_with_the_path_and_the_text(caplog: pytest.LogCaptureFixture) -> None:
    async with ActorSystem("test") as system:
        ref = await system.spawn(Recorder, name="ada")
        ref.tell(Boom(OSError("no disk")))
        await wait_all_tasks_blocked()
    messages = [record.getMessage() for record in caplog.records]
    assert any("/user/ada" in message and "no disk" in message for message in messages)


async def test_what_an_actor_logs_carries_its_path(caplog: pytest.LogCaptureFixture) -> None:
    async with ActorSystem("test") as system:
        ref = await system.spawn(Recorder, name="ada")
        with caplog.at_level(logging.INFO):
            await ref.ask(Do(lambda ctx: ctx.log.info("hello %s", "world", extra={"answer": 42})))
    (record,) = [record for record in caplog.records if record.getMessage() == "hello world"]
    assert (record.__dict__["actor"], record.__dict__["answer"]) == ("/user/ada", 42)


async def test_an_actor_that_never_ends_is_named_in_the_log_not_kept_secret(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async def deaf(ctx: Any, msg: object) -> None:
        with trio.CancelScope(shield=True):
            await trio.sleep(100)

    async with ActorSystem("test", shutdown_timeout=10, stop_grace=1) as system:
        (await system.spawn_func(deaf, name="deaf")).tell("go")
        await wait_all_tasks_blocked()
        began = trio.current_time()
    named = [record for record in caplog.records if "/user/deaf" in record.getMessage()]
    assert math.isclose(trio.current_time(), began + 100, abs_tol=1)
    assert 80 <= len(named) <= 100  # once a second after the shutdown_timeout


async def test_an_actor_that_has_ended_is_forgotten_though_no_event_has_come() -> None:
    async with ActorSystem("test") as system:
        reader = await system.spawn(Recorder)
        system.events.subscribe_ref(reader, ActorSuspended)
        reader.stop()
        await reader.wait_stopped()
        assert not system.events.wants(ActorSuspended)
        system.events.subscribe_ref(reader, ActorSuspended)
        assert not system.events.wants(ActorSuspended)


async def test_what_is_no_ref_is_not_subscribed() -> None:
    async with ActorSystem("test") as system:
        with pytest.raises(AttributeError):
            system.events.subscribe_ref("nobody", ActorStarted)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        await system.spawn(Recorder)
