"""Passivation: a grain that nobody needs ends, and no message is lost by it."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import pytest
import trio
from trio.testing import MockClock
from trio.testing import wait_all_tasks_blocked as settle

from tests.core.actors import Do, Get, Note, Recorder, Sleep, collected, noting, sleeping, spawn_child
from tests.grains.kinds import IDLE, Diary, Plain, Scribe, open_grains, open_scribe
from trioakt import (
    ActorPassivated,
    ActorRef,
    ActorStarted,
    ActorStopped,
    AfterMessages,
    Bounded,
    Context,
    DeadLetter,
    Eviction,
    Grain,
    GrainRef,
    Never,
    ReplyTo,
    TerminationCause,
)
from trioakt.lowlevel import PASSIVATE
from trioakt.testing import Probe, open_test_system


class Lingering(Scribe):
    """Takes three seconds to end."""

    async def post_stop(self, ctx: Context) -> None:
        await trio.sleep(3)
        await super().post_stop(ctx)


async def test_an_idle_grain_is_passivated_and_comes_back_with_its_next_message(autojump_clock: MockClock) -> None:
    async with open_scribe() as (system, diary, ref):
        ref.tell("one")
        await trio.sleep(IDLE + 0.1)
        assert diary == ["ada starts", "ada one", "ada ends"]
        assert system.statistics().actors <= 1
        assert ref.is_alive
        ref.tell("two")
        await settle()
        assert diary[3:] == ["ada starts", "ada two"]


async def test_an_activation_knows_nothing_of_the_one_before(autojump_clock: MockClock) -> None:
    async with open_scribe() as (_, _, ref):
        ref.tell(Note())
        assert await ref.ask(Get()) == 1
        await trio.sleep(IDLE + 0.1)
        assert await ref.ask(Get()) == 0


async def test_each_message_puts_the_end_off(autojump_clock: MockClock) -> None:
    async with open_scribe() as (_, diary, ref):
        for _ in range(10):
            ref.tell(Note())
            await trio.sleep(IDLE - 1)
        assert diary == ["ada starts"]
        await trio.sleep(2)
        assert diary == ["ada starts", "ada ends"]


async def test_a_busy_grain_is_not_passivated(autojump_clock: MockClock) -> None:
    async with open_scribe() as (_, diary, ref):
        ref.tell(Sleep(10 * IDLE))
        await trio.sleep(10 * IDLE + 1)
        assert diary == ["ada starts"]


async def test_without_a_word_of_its_class_a_grain_is_passivated_after_two_minutes(autojump_clock: MockClock) -> None:
    class Default(Grain):
        def receive(self, ctx: Context, msg: object) -> None:
            pass

    async with open_grains() as (system, _):
        with collected(system, ActorPassivated) as gone:
            system.grain(Default, "ada").tell(1)
            await trio.sleep(119)
            assert gone == []
            await trio.sleep(2)
            assert [event.ref.identity for event in gone] == ["ada"]


async def test_a_grain_that_is_never_to_go_stays(autojump_clock: MockClock) -> None:
    class Lasting(Scribe):
        passivation = Never()

    async with open_grains() as (system, diary):
        system.grain(Lasting, "ada").tell(Note())
        await trio.sleep(80_000)
        assert diary == ["ada starts"]


async def test_a_grain_that_has_done_its_share_goes_and_comes_back(autojump_clock: MockClock) -> None:
    class Tired(Scribe):
        passivation = AfterMessages(3)

    async with open_grains() as (system, diary):
        ref = system.grain(Tired, "ada")
        for number in range(6):
            ref.tell(str(number))
            await settle()
            await trio.sleep(2)
        assert diary == [
            *["ada starts", "ada 0", "ada 1", "ada 2", "ada ends"],
            *["ada starts", "ada 3", "ada 4", "ada 5", "ada ends"],
        ]


async def test_its_children_keep_a_grain(autojump_clock: MockClock) -> None:
    async with open_scribe() as (_, diary, ref):
        child = await spawn_child(ref, Recorder)
        await trio.sleep(10 * IDLE)
        assert diary == ["ada starts"]
        child.stop()
        await trio.sleep(2 * IDLE)
        assert diary == ["ada starts", "ada ends"]


async def test_a_task_of_its_own_keeps_a_grain(autojump_clock: MockClock) -> None:
    async with open_scribe() as (_, diary, ref):
        await ref.ask(Do(lambda ctx: ctx.nursery.start_soon(trio.sleep, 50)))
        await trio.sleep(49)
        assert diary == ["ada starts"]
        await trio.sleep(2 * IDLE)
        assert diary == ["ada starts", "ada ends"]


async def test_an_answer_that_it_owes_keeps_a_grain(autojump_clock: MockClock) -> None:
    owed: list[ReplyTo] = []

    def owe(ctx: Context) -> None:
        owed.append(ctx.reply_to)

    class Debtor(Plain):
        def receive(self, ctx: Context, msg: Any) -> None:
            owe(ctx)

    async with open_grains() as (system, _), trio.open_nursery() as nursery:
        answers: list[Any] = []

        async def ask() -> None:
            answers.append(await system.grain(Debtor, "ada").ask("when?"))

        nursery.start_soon(ask)
        await trio.sleep(10 * IDLE)
        owed[0].reply("now")
        await settle()
        assert answers == ["now"]


async def test_who_listens_hears_of_passivation_and_of_each_activation_by_the_ref_of_the_grain(
    autojump_clock: MockClock,
) -> None:
    async with open_scribe() as (system, _, ref):
        with collected(system, ActorStarted, ActorPassivated, ActorStopped) as events:
            ref.tell(Note())
            await trio.sleep(IDLE + 1)
            ref.tell(Note())
            await settle()
        own = [event for event in events if event.ref == ref]
        assert [type(event) for event in own] == [ActorStarted, ActorPassivated, ActorStopped, ActorStarted]
        assert {type(event.ref) for event in own} == {GrainRef}


# ---------------------------------------------------------------------------- the moment of passivation


@pytest.mark.parametrize("checkpoints", range(8))
@pytest.mark.parametrize("kind", [Scribe, Plain, Lingering])
async def test_a_message_at_the_very_moment_of_passivation_is_handled(
    autojump_clock: MockClock, kind: type[Grain], checkpoints: int
) -> None:
    async with open_grains() as (system, _):
        ref = system.grain(kind, "ada")
        with collected(system, DeadLetter) as letters:
            await ref.ask(Get())
            await trio.sleep(IDLE)
            for _ in range(checkpoints):
                await trio.lowlevel.checkpoint()
            with trio.fail_after(10):
                await ref.ask(Get())
        assert letters == []


@pytest.mark.parametrize("checkpoints", range(8))
async def test_messages_between_the_order_to_go_and_the_end_come_to_the_next_activation_in_their_order(
    autojump_clock: MockClock, checkpoints: int
) -> None:
    async with open_test_system(extensions=[]) as system:
        kept: list[int] = []

        class Listing(Grain):
            async def post_stop(self, ctx: Context) -> None:
                await trio.sleep(1)

            def receive(self, ctx: Context, msg: int) -> None:
                kept.append(msg)

        ref = system.grain(Listing, "ada")
        ref.tell(0)
        await settle()
        ref.recipient.signal(PASSIVATE)
        for number in range(1, 100):
            ref.tell(number)
            if number % 10 == 0:
                for _ in range(checkpoints):
                    await trio.lowlevel.checkpoint()
        await trio.sleep(2)
        assert kept == list(range(100))


async def test_what_comes_while_it_ends_waits_for_the_next_activation(autojump_clock: MockClock) -> None:
    async with open_grains() as (system, diary):
        ref = system.grain(Lingering, "ada")
        ref.tell("one")
        await trio.sleep(IDLE + 1)
        ref.tell("two")
        with trio.fail_after(2.5):
            assert await ref.ask(Get()) == 0
        assert diary == ["ada starts", "ada one", "ada ends", "ada starts", "ada two"]


async def test_an_ask_that_is_given_up_while_the_grain_ends_activates_nobody(autojump_clock: MockClock) -> None:
    async with open_grains() as (system, diary):
        ref = system.grain(Lingering, "ada")
        ref.tell("one")
        await trio.sleep(IDLE + 1)
        with trio.move_on_after(1):
            await ref.ask(Get())
        await trio.sleep(5)
        assert diary == ["ada starts", "ada one", "ada ends"]
        assert system.statistics().dead_letters == 1


async def test_a_grain_that_tells_itself_when_it_ends_is_activated_by_that(autojump_clock: MockClock) -> None:
    class Loyal(Scribe):
        lives: ClassVar[list[int]] = []

        async def post_stop(self, ctx: Context) -> None:
            await super().post_stop(ctx)
            self.lives.append(1)
            if len(self.lives) == 1:
                ctx.self.tell("from the life before")

    Loyal.lives.clear()
    async with open_grains() as (system, diary):
        system.grain(Loyal, "ada").tell(Note())
        await trio.sleep(IDLE + 1)
        assert diary == ["ada starts", "ada ends", "ada starts", "ada from the life before"]


class Tight(Lingering):
    """Has room for two messages."""

    options: ClassVar[Any] = {"mailbox": Bounded(2)}


async def test_who_hears_of_passivation_as_an_event_may_tell_the_grain_at_once(autojump_clock: MockClock) -> None:
    async with open_scribe() as (system, diary, ref):
        heard: list[object] = []

        def answer(event: ActorPassivated | ActorStopped) -> None:
            heard.append(event)
            if len(heard) <= 2:
                ref.tell(type(event).__name__)

        with system.events.listen(answer, ActorPassivated, ActorStopped):
            ref.tell("one")
            await trio.sleep(IDLE + 1)
        assert diary[3:] == ["ada starts", "ada ActorPassivated", "ada ActorStopped"]


async def test_sending_waits_for_the_next_activation_and_for_room_in_it(autojump_clock: MockClock) -> None:
    async with open_test_system(extensions=[Diary()]) as system, trio.open_nursery() as nursery:
        ref = system.grain(Tight, "ada")
        ref.tell("one")
        await trio.sleep(IDLE + 1)
        for number in range(20):
            nursery.start_soon(ref.send, Note(number))
        await trio.sleep(3)
        assert await ref.ask(Get()) == 20


async def test_sending_that_is_cancelled_while_the_grain_ends_has_sent_nothing(autojump_clock: MockClock) -> None:
    async with open_grains() as (system, diary):
        ref = system.grain(Tight, "ada")
        ref.tell("one")
        await trio.sleep(IDLE + 1)
        with trio.move_on_after(1) as scope:
            await ref.send("two")
        assert scope.cancelled_caught
        await trio.sleep(5)
        assert diary == ["ada starts", "ada one", "ada ends"]


async def test_those_who_wait_for_room_in_a_grain_that_is_stopped_send_to_the_next_activation(
    autojump_clock: MockClock,
) -> None:
    async with open_grains() as (system, diary), trio.open_nursery() as nursery:
        ref = system.grain(Tight, "ada")
        ref.tell(Sleep(1))
        await settle()
        for text in ["one", "two"]:
            ref.tell(text)
        for text in ["three", "four", "five"]:
            nursery.start_soon(ref.send, text)
            await settle()
        ref.stop()
        await trio.sleep(10)
        assert diary[:2] == ["ada starts", "ada ends"]
        assert sorted(diary[3:]) == ["ada five", "ada four", "ada three"]


# ---------------------------------------------------------------------------- what outlives an activation


async def test_the_ref_that_a_grain_gives_away_is_good_after_its_passivation(autojump_clock: MockClock) -> None:
    async with open_scribe() as (_, diary, ref):
        own: ActorRef = await ref.ask(Do(lambda ctx: ctx.self))
        assert own == ref
        assert hash(own) == hash(ref)
        assert isinstance(own, GrainRef)
        await trio.sleep(IDLE + 1)
        own.tell("again")
        await settle()
        assert diary == ["ada starts", "ada ends", "ada starts", "ada again"]


async def test_an_answer_to_a_told_message_reaches_a_sender_that_was_passivated_meanwhile(
    autojump_clock: MockClock,
) -> None:
    async with open_scribe() as (system, diary, ref):

        async def answer_late(ctx: Context, msg: object) -> None:
            await trio.sleep(5 * IDLE)
            ctx.reply("late answer")

        slow = await system.spawn_func(answer_late)
        await ref.ask(Do(lambda ctx: slow.tell("question", sender=ctx.self)))
        await trio.sleep(6 * IDLE)
        assert diary[:4] == ["ada starts", "ada ends", "ada starts", "ada late answer"]


async def test_its_own_subscriptions_end_with_an_activation(autojump_clock: MockClock) -> None:
    async with open_scribe() as (system, diary, ref):
        await ref.ask(Do(lambda ctx: ctx.system.topics.subscribe_ref("news", ctx.self)))
        system.topics.publish("news", "heard")
        await trio.sleep(IDLE + 1)
        system.topics.publish("news", "not heard")
        await settle()
        assert diary == ["ada starts", "ada heard", "ada ends"]


async def test_its_own_schedules_end_with_an_activation(autojump_clock: MockClock) -> None:
    async with open_scribe() as (_, diary, ref):
        await ref.ask(Do(lambda ctx: ctx.schedule_once(3 * IDLE, "too late")))
        await trio.sleep(10 * IDLE)
        assert diary == ["ada starts", "ada ends"]


async def test_its_own_schedules_tick_while_it_is_active(autojump_clock: MockClock) -> None:
    async with open_scribe() as (_, diary, ref):
        await ref.ask(Do(lambda ctx: ctx.schedule_every(IDLE / 2, "tick")))
        await trio.sleep(IDLE * 2.1)
        assert diary == ["ada starts", *["ada tick"] * 4]


async def test_a_schedule_of_the_system_wakes_a_passivated_grain(autojump_clock: MockClock) -> None:
    async with open_scribe() as (system, diary, ref):
        schedule = system.scheduler.every(3 * IDLE, ref, "tick")
        await trio.sleep(6.5 * IDLE)
        assert diary == ["ada starts", "ada tick", "ada ends"] * 2 or diary == [
            "ada starts", "ada tick", "ada ends", "ada starts", "ada tick",
        ]  # fmt: skip
        assert schedule.active


async def test_who_watches_a_grain_hears_that_it_was_passivated_and_may_watch_the_next_activation(
    autojump_clock: MockClock,
) -> None:
    async with open_scribe() as (system, _, ref):
        probe = await Probe.spawn(system)
        for _ in range(2):
            ref.tell(Note())
            await settle()
            probe.watch(ref)
            assert (await probe.expect_terminated(ref, within=2 * IDLE)).cause == TerminationCause.PASSIVATED


# ---------------------------------------------------------------------------- eviction


async def test_eviction_counts_grains_and_passivates_those_least_recently_used(autojump_clock: MockClock) -> None:
    class Lasting(Scribe):
        passivation = AfterMessages(10**9)

    async with open_grains(eviction=Eviction(limit=10, fraction=0.5, interval=5.0)) as (system, diary):
        for number in range(20):
            system.grain(Lasting, str(number)).tell(Note())
            await trio.sleep(0.01)
        await trio.sleep(6)
        assert system.statistics().actors == 5
        survivors = {line.split()[0] for line in diary} - {line.split()[0] for line in diary if line.endswith("ends")}
        assert "19" in survivors
        assert "0" not in survivors


@pytest.mark.parametrize("checkpoints", range(8))
async def test_a_message_at_the_very_moment_of_eviction_is_handled(autojump_clock: MockClock, checkpoints: int) -> None:
    async with open_grains(eviction=Eviction(limit=1, fraction=1.0, interval=5.0)) as (system, _):
        with collected(system, DeadLetter) as letters:
            refs = [system.grain(kind, str(number)) for number in range(5) for kind in (Scribe, Plain, Lingering)]
            for _ in range(5):
                for ref in refs:
                    assert await ref.ask(Get()) is not None
                await trio.sleep(5.0)
                for _ in range(checkpoints):
                    await trio.lowlevel.checkpoint()
        assert letters == []


@pytest.mark.parametrize("checkpoints", range(8))
async def test_a_message_long_after_the_last_grain_of_a_kind_was_evicted_is_handled(
    autojump_clock: MockClock, checkpoints: int
) -> None:
    async with open_grains(eviction=Eviction(limit=1, fraction=1.0, interval=1.0)) as (system, _):
        for _ in range(3):
            await system.spawn(Recorder, passivation=Never())
        with collected(system, DeadLetter) as letters:
            for pause in range(1, 5):
                assert await system.grain(Plain, "ada").ask("hi") == ("ada", "hi")
                await trio.sleep(pause)
                for _ in range(checkpoints):
                    await trio.lowlevel.checkpoint()
        assert letters == []


async def test_grains_go_on_after_eviction_has_taken_all_actors_that_it_can(autojump_clock: MockClock) -> None:
    async with open_grains(eviction=Eviction(limit=1, fraction=1.0, interval=0.5)) as (system, _):
        with collected(system, DeadLetter) as letters:
            for number in range(1000):
                with trio.fail_after(5):
                    assert await system.grain(Plain, str(number % 7)).ask(number) == (str(number % 7), number)
                await trio.sleep(number % 13 / 10)
        assert letters == []


async def test_a_grain_takes_no_memory_of_its_system_once_it_is_gone(autojump_clock: MockClock) -> None:
    async with open_grains() as (system, _):
        for start in range(0, 3000, 500):
            for number in range(start, start + 500):
                system.grain(Plain, str(number)).tell(1)
            await trio.sleep(IDLE + 1)
            assert system.statistics().actors <= 1


async def test_a_grain_with_a_long_end_is_not_passivated_twice(autojump_clock: MockClock) -> None:
    log: list[str] = []

    class Sluggish(Scribe):
        options: ClassVar[Any] = {"stop_grace": math.inf}

        async def post_stop(self, ctx: Context) -> None:
            await sleeping(5 * IDLE)(ctx)
            noting(log, "ended")(ctx)

    async with open_grains() as (system, _):
        with collected(system, ActorPassivated) as gone:
            system.grain(Sluggish, "ada").tell(Note())
            await trio.sleep(10 * IDLE)
        assert log == ["ended"]
        assert len(gone) == 1
