"""Passivation: who is at rest is stopped when it is due, and nothing that was sent is lost without a word."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.lowlevel
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock
from trio.testing import wait_all_tasks_blocked as settle

from tests.core.actors import Boom, Do, Echo, Note, Recorder, Sleep, collected, noting, sleeping, spawn_child
from trioakt import (
    ActorPassivated,
    ActorRef,
    ActorStopped,
    ActorStoppedError,
    ActorSystem,
    AfterMessages,
    Context,
    DeadLetter,
    DeadLetterReason,
    Directive,
    Idle,
    Never,
    OneForOne,
    Reentrancy,
    ReplyTo,
    TerminationCause,
)
from trioakt.patterns.passivation import Passivator
from trioakt.testing import Probe


async def test_an_idle_actor_is_passivated_when_its_time_is_over(autojump_clock: MockClock) -> None:
    async with ActorSystem("test") as system:
        ref = await system.spawn(Echo, passivation=Idle(300.0))
        await trio.sleep(299.9)
        assert ref.is_alive
        await trio.sleep(0.2)
        assert not ref.is_alive


async def test_every_message_puts_the_end_off(autojump_clock: MockClock) -> None:
    async with ActorSystem("test") as system:
        ref = await system.spawn(Echo, passivation=Idle(10.0))
        for _ in range(20):
            await trio.sleep(9.0)
            assert await ref.ask("there?") == "there?"
        await trio.sleep(9.9)
        assert ref.is_alive
        await trio.sleep(0.2)
        assert not ref.is_alive


async def test_the_time_counts_from_the_end_of_a_handler_which_is_never_cut_short(autojump_clock: MockClock) -> None:
    async with ActorSystem("test") as system:
        ref = await system.spawn(Recorder, passivation=Idle(10.0))
        ref.tell(Sleep(100))
        ref.tell(Note())
        await trio.sleep(109.9)
        assert ref.is_alive
        assert ref.statistics().handled == 2
        await trio.sleep(0.2)
        assert not ref.is_alive


async def test_watchers_and_the_event_stream_hear_that_it_was_passivated_after_its_last_hook(
    autojump_clock: MockClock,
) -> None:
    log: list[Any] = []
    async with ActorSystem("test") as system:
        probe = await Probe.spawn(system)
        with collected(system, ActorPassivated, ActorStopped) as events:
            ref = await system.spawn(lambda: Recorder(post_stop=noting(log, "hook")), name="a", passivation=Idle(1.0))
            probe.watch(ref)
            assert (await probe.expect_terminated(ref)).cause == TerminationCause.PASSIVATED
        assert log == ["hook"]
        assert [(type(event), event.ref) for event in events] == [(ActorPassivated, ref), (ActorStopped, ref)]
        assert await (await system.spawn(Echo, name="a")).ask("the name is free") == "the name is free"


async def test_a_message_that_comes_too_late_is_a_dead_letter_and_an_ask_an_error(autojump_clock: MockClock) -> None:
    async with ActorSystem("test") as system:
        ref = await system.spawn(lambda: Recorder(post_stop=sleeping(1)), passivation=Idle(1.0))
        with collected(system, DeadLetter) as letters:
            await trio.sleep(1.5)
            ref.tell(Note(1))
            with pytest.raises(ActorStoppedError):
                await ref.ask(Note(2))
        assert [(letter.message, letter.reason) for letter in letters] == [
            (Note(1), DeadLetterReason.STOPPED),
            (Note(2), DeadLetterReason.STOPPED),
        ]


async def test_after_so_many_messages_it_is_passivated_once_its_mailbox_is_empty(autojump_clock: MockClock) -> None:
    kept: list[Any] = []
    async with ActorSystem("test") as system:
        ref = await system.spawn(Recorder, kept, passivation=AfterMessages(3))
        for number in range(10):
            ref.tell(Note(number))
        await trio.sleep(0.1)
        assert not ref.is_alive
    assert kept == [Note(number) for number in range(10)]


async def test_with_fewer_messages_it_stays(autojump_clock: MockClock) -> None:
    async with ActorSystem("test") as system:
        ref = await system.spawn(Echo, passivation=AfterMessages(3))
        await ref.ask(1)
        await ref.ask(2)
        await trio.sleep(10_000)
        assert ref.is_alive
        await ref.ask(3)
        await trio.lowlevel.checkpoint()
        await settle()
        assert not ref.is_alive


async def test_messages_are_counted_over_restarts(autojump_clock: MockClock) -> None:
    async with ActorSystem("test") as system:
        ref = await system.spawn(Recorder, passivation=AfterMessages(2))
        ref.tell(Boom(ValueError()))
        await settle()
        assert ref.statistics().restarts == 1
        ref.tell(Note())
        await trio.sleep(0.1)
        assert not ref.is_alive


@pytest.mark.parametrize("options", [{}, {"passivation": Never()}])
async def test_by_default_and_when_told_never_an_actor_stays(autojump_clock: MockClock, options: Any) -> None:
    async with ActorSystem("test") as system:
        ref = await system.spawn(Echo, **options)
        await trio.sleep(10_000)
        assert ref.is_alive


async def test_a_parent_is_not_idle_before_its_last_child_has_gone(autojump_clock: MockClock) -> None:
    async with ActorSystem("test") as system:
        parent = await system.spawn(Recorder, passivation=Idle(10.0))
        child = await spawn_child(parent, Recorder)
        await trio.sleep(100)
        assert parent.is_alive
        child.stop()
        await trio.sleep(21)
        assert not parent.is_alive


async def test_who_has_a_task_of_its_own_is_not_idle(autojump_clock: MockClock) -> None:
    async with ActorSystem("test") as system:
        ref = await system.spawn(Recorder, passivation=Idle(10.0))
        await ref.ask(Do(lambda ctx: ctx.nursery.start_soon(trio.sleep, 100)))
        await trio.sleep(99)
        assert ref.is_alive
        await trio.sleep(22)
        assert not ref.is_alive


async def test_who_owes_an_answer_is_not_idle(autojump_clock: MockClock) -> None:
    owed: list[ReplyTo] = []
    async with ActorSystem("test") as system, trio.open_nursery() as nursery:
        ref = await system.spawn_func(owe, owed, passivation=Idle(10.0))
        nursery.start_soon(ref.ask, "question")
        await trio.sleep(100)
        assert ref.is_alive
        owed.pop().reply("at last")
        await trio.sleep(21)
        assert not ref.is_alive


async def owe(ctx: Context, msg: object, owed: list[ReplyTo]) -> None:
    owed.append(ctx.reply_to)


async def test_who_waits_for_another_with_its_mailbox_open_is_not_idle(autojump_clock: MockClock) -> None:
    async with ActorSystem("test") as system:
        slow = await system.spawn(Recorder)
        ref = await system.spawn(Recorder, passivation=Idle(1.0), reentrancy=Reentrancy())
        answer = await ref.ask(Do(lambda ctx: ctx.ask(slow, Do(sleeping(60)))))
        assert answer is None
        assert ref.is_alive


async def test_a_suspended_actor_is_not_passivated(autojump_clock: MockClock) -> None:
    async with ActorSystem("test", supervision=OneForOne(default=Directive.SUSPEND)) as system:
        ref = await system.spawn(Recorder, passivation=Idle(10.0))
        ref.tell(Boom(ValueError()))
        await trio.sleep(100)
        assert ref.is_alive
        ref.reinstate()
        await trio.sleep(21)
        assert not ref.is_alive


async def test_a_restarted_actor_is_idle_again(autojump_clock: MockClock) -> None:
    async with ActorSystem("test") as system:
        ref = await system.spawn(Recorder, passivation=Idle(10.0))
        ref.tell(Boom(ValueError()))
        await trio.sleep(10.1)
        assert not ref.is_alive


async def test_an_actor_whose_start_takes_longer_than_its_idle_time_starts(autojump_clock: MockClock) -> None:
    async with ActorSystem("test") as system:
        ref = await system.spawn(lambda: Recorder(pre_start=sleeping(4)), passivation=Idle(1.0))
        assert ref.is_alive
        await trio.sleep(1.1)
        assert not ref.is_alive


async def test_many_actors_with_many_times_each_go_at_their_own(autojump_clock: MockClock) -> None:
    async with ActorSystem("test") as system:
        refs = [await system.spawn(Echo, passivation=Idle(seconds - 0.5)) for seconds in range(1, 101)]
        for seconds in range(1, 101):
            assert sum(ref.is_alive for ref in refs) == 101 - seconds
            await trio.sleep(1)


async def test_nothing_is_kept_of_an_actor_that_has_ended(autojump_clock: MockClock) -> None:
    async with ActorSystem("test") as system:
        refs = [await system.spawn(Echo, passivation=Idle(300.0)) for _ in range(10)]
        for ref in refs:
            ref.stop()
            await ref.wait_stopped()
        assert system.service(Passivator).waiting == 0


@pytest.mark.parametrize("seconds", [0, -1, float("inf"), float("nan")])
def test_an_idle_time_is_positive_and_finite(seconds: float) -> None:
    with pytest.raises(ValueError, match="after"):
        Idle(seconds)


def test_a_count_of_messages_is_a_positive_whole_number() -> None:
    with pytest.raises(ValueError, match="count"):
        AfterMessages(0)
    with pytest.raises(TypeError, match="count"):
        AfterMessages(1.5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def test_something_else_as_passivation_is_refused_at_the_spawn() -> None:
    async with ActorSystem("test") as system:
        with pytest.raises(TypeError, match=r"passivation must be Idle\(\.\.\.\)"):
            await system.spawn(Echo, passivation=300.0)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        assert system.actors() == ()


@given(
    pauses=st.lists(st.sampled_from([0.0, 0.3, 0.999, 1.0, 1.001, 2.0]), max_size=12),
    work=st.sampled_from([0.0, 0.4, 1.5]),
    policy=st.sampled_from([Idle(1.0), AfterMessages(2)]),
)
def test_whenever_messages_come_each_is_handled_or_a_dead_letter(pauses: list[float], work: float, policy: Any) -> None:
    async def run() -> None:
        handled: list[Any] = []

        async def handle(ctx: Context, msg: object) -> None:
            await trio.sleep(work)
            handled.append(msg)

        async with ActorSystem("test") as system:
            with collected(system, DeadLetter) as letters:
                ref = await system.spawn_func(handle, passivation=policy)
                for number, pause in enumerate(pauses):
                    ref.tell(number)
                    await trio.sleep(pause)
                await trio.sleep(100)
            assert not ref.is_alive or (isinstance(policy, AfterMessages) and len(pauses) < 2)
            assert handled + [letter.message for letter in letters] == list(range(len(pauses)))

    trio.run(run, clock=MockClock(autojump_threshold=0))


async def test_who_has_stashed_a_message_is_not_at_rest(autojump_clock: MockClock) -> None:
    async def handle(ctx: Context, msg: object) -> None:
        if msg == "now":
            ctx.become(lambda ctx, msg: ctx.reply(msg))
            ctx.unstash_all()
        else:
            ctx.stash()

    async with ActorSystem("test") as system:
        ref = await system.spawn_func(handle, passivation=Idle(1.0))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(expect_echo, ref)
            await trio.sleep(100)
            assert ref.is_alive
            ref.tell("now")
        await trio.sleep(2.1)
        assert not ref.is_alive


async def expect_echo(ref: ActorRef) -> None:
    assert await ref.ask("later") == "later"


async def test_a_message_that_was_stashed_counts_once(autojump_clock: MockClock) -> None:
    async def handle(ctx: Context, msg: object) -> None:
        ctx.become(lambda ctx, msg: None)
        ctx.stash()
        ctx.unstash()

    async with ActorSystem("test") as system:
        ref = await system.spawn_func(handle, passivation=AfterMessages(2))
        ref.tell(1)
        await trio.sleep(10)
        assert ref.is_alive
        ref.tell(2)
        await trio.sleep(10)
        assert not ref.is_alive


async def test_get_or_spawn_returns_no_actor_that_is_passivated_at_the_same_moment(autojump_clock: MockClock) -> None:
    async def visit() -> None:
        await trio.sleep(60)
        ref = await system.get_or_spawn(Echo, name="a", passivation=Idle(60.0))
        assert await ref.ask("there?") == "there?"

    async with ActorSystem("test") as system:
        await system.get_or_spawn(Echo, name="a", passivation=Idle(60.0))
        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(visit)


async def test_a_policy_that_is_a_class_is_refused() -> None:
    async with ActorSystem("test") as system:
        with pytest.raises(TypeError, match=r"passivation must be Idle\(\.\.\.\)"):
            await system.spawn(Echo, passivation=Idle)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        assert system.actors() == ()
