"""How activations end otherwise: by failure, by order, and with the system."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
import trio
import trio.lowlevel
from trio.testing import MockClock
from trio.testing import wait_all_tasks_blocked as settle

from tests.core.actors import Boom, Do, Get, Note, Recorder, Sleep, collected, sleeping, spawn_child
from tests.core.crew import Trouble, ask_soon
from tests.grains.kinds import Diary, Plain, Scribe, open_grains, open_scribe
from trioakt import (
    ActorFailed,
    ActorFailedError,
    ActorRestarted,
    ActorStoppedError,
    ActorSystem,
    Context,
    DeadLetter,
    DeadLetterReason,
    Directive,
    Grain,
    OneForAll,
    OneForOne,
    PoisonPill,
    TerminationCause,
)
from trioakt.testing import Probe

LIMITED = OneForOne(max_restarts=2, within=100.0)


class Limited(Scribe):
    """May be restarted twice."""

    options: ClassVar[Any] = {"supervision": LIMITED}


async def test_a_grain_that_fails_is_restarted_and_keeps_what_waits() -> None:
    async with open_scribe() as (system, diary, ref):
        with collected(system, ActorRestarted) as restarted:
            ref.tell(Boom(Trouble()))
            ref.tell("next")
            await settle()
        assert diary == ["ada starts", "ada ends", "ada starts", "ada next"]
        assert [event.ref for event in restarted] == [ref]


async def test_the_asker_gets_the_failure() -> None:
    async with open_scribe() as (_, _, ref):
        with pytest.raises(ActorFailedError) as caught:
            await ref.ask(Do(lambda ctx: 1 / 0))
        assert isinstance(caught.value.__cause__, ZeroDivisionError)
        assert await ref.ask(Get()) == 0


async def test_a_grain_that_keeps_failing_is_stopped_and_activated_anew_by_its_next_message() -> None:
    async with open_grains() as (system, _):
        ref = system.grain(Limited, "ada")
        probe = await Probe.spawn(system)
        ref.tell(Note())
        await settle()
        probe.watch(ref)
        for _ in range(3):
            ref.tell(Boom(Trouble()))
        assert "FAILED" in str((await probe.expect_terminated(ref)).cause)
        ref.tell(Note())
        assert await ref.ask(Get()) == 1
        assert ref.statistics().restarts == 0


@pytest.mark.parametrize("strategy", [OneForOne(default=Directive.ESCALATE), OneForAll(default=Directive.ESCALATE)])
async def test_escalation_stops_the_grain_and_nothing_else(strategy: OneForOne | OneForAll) -> None:
    class Escalating(Scribe):
        options: ClassVar[Any] = {"supervision": strategy}

    async with open_grains() as (system, diary):
        ada, bob = (system.grain(Escalating, name) for name in ("ada", "bob"))
        bob.tell(Note())
        for _ in range(20):
            ada.tell(Boom(Trouble()))
            await settle()
        assert diary.count("ada ends") == 20
        assert await bob.ask(Get()) == 1


async def test_a_grain_that_fails_harms_no_other_of_its_kind_whatever_its_strategy_is() -> None:
    class Grouped(Scribe):
        options: ClassVar[Any] = {"supervision": OneForAll()}

    async with open_grains() as (system, diary):
        ada, bob = (system.grain(Grouped, name) for name in ("ada", "bob"))
        bob.tell(Note())
        ada.tell(Boom(Trouble()))
        await settle()
        assert await bob.ask(Get()) == 1
        assert "bob ends" not in diary


async def test_a_strategy_of_its_class_decides_about_a_grain() -> None:
    class Steady(Scribe):
        options: ClassVar[Any] = {"supervision": OneForOne({Trouble: Directive.RESUME})}

    async with open_grains() as (system, diary):
        ref = system.grain(Steady, "ada")
        ref.tell(Note())
        ref.tell(Boom(Trouble()))
        assert await ref.ask(Get()) == 1
        assert diary == ["ada starts"]


async def test_a_suspended_grain_waits_to_be_reinstated(autojump_clock: MockClock) -> None:
    class Careful(Scribe):
        options: ClassVar[Any] = {"supervision": OneForOne(default=Directive.SUSPEND)}

    async with open_grains() as (system, diary):
        ref = system.grain(Careful, "ada")
        ref.tell(Boom(Trouble()))
        ref.tell("later")
        await trio.sleep(1000)
        assert diary == ["ada starts"]
        ref.reinstate()
        await settle()
        assert diary == ["ada starts", "ada later"]


async def test_a_restarted_grain_is_passivated_like_others(autojump_clock: MockClock) -> None:
    async with open_scribe() as (_, diary, ref):
        ref.tell(Boom(Trouble()))
        await trio.sleep(11)
        assert diary == ["ada starts", "ada ends"] * 2


async def test_the_children_of_a_grain_are_supervised_by_its_class() -> None:
    class Parent(Scribe):
        supervision = OneForOne(default=Directive.STOP)

    async with open_grains() as (system, diary):
        ref = system.grain(Parent, "ada")
        child = await spawn_child(ref, Recorder)
        child.tell(Boom(Trouble()))
        await child.wait_stopped()
        assert await ref.ask(Get()) == 0
        assert diary == ["ada starts"]


async def test_a_post_stop_that_raises_is_an_event_and_the_grain_comes_back(autojump_clock: MockClock) -> None:
    class Sore(Scribe):
        async def post_stop(self, ctx: Context) -> None:
            raise Trouble

    async with open_grains() as (system, diary):
        ref = system.grain(Sore, "ada")
        with collected(system, ActorFailed) as failed:
            ref.tell("one")
            await trio.sleep(11)
            ref.tell("two")
            await settle()
            assert [event.ref for event in failed] == [ref]
        assert diary == ["ada starts", "ada one", "ada starts", "ada two"]


async def test_a_post_stop_that_hangs_holds_the_next_activation_up_for_the_grace_and_no_longer(
    autojump_clock: MockClock,
) -> None:
    class Stuck(Scribe):
        options: ClassVar[Any] = {"stop_grace": 4.0}

        async def post_stop(self, ctx: Context) -> None:
            await trio.sleep_forever()

    async with open_grains() as (system, _):
        ref = system.grain(Stuck, "ada")
        await ref.ask(Get())
        ref.stop()
        began = trio.current_time()
        assert await ref.ask(Get()) == 0
        assert trio.current_time() - began == pytest.approx(4)


# ------------------------------------------------------------------------------------------------ orders


async def test_stop_ends_the_activation_and_what_waited_is_a_dead_letter() -> None:
    async with open_scribe() as (system, diary, ref):
        ref.tell("one")
        await settle()
        with collected(system, DeadLetter) as letters:
            ref.tell("two")
            ref.stop()
            ref.tell("three")
            await settle()
        assert [(letter.message, letter.reason) for letter in letters] == [("two", DeadLetterReason.STOPPED)]
        assert diary == ["ada starts", "ada one", "ada ends", "ada starts", "ada three"]


async def test_a_poison_pill_ends_the_activation_after_what_came_before_it() -> None:
    async with open_scribe() as (_, diary, ref):
        ref.tell("one")
        ref.tell(PoisonPill())
        await ref.wait_stopped()
        assert diary == ["ada starts", "ada one", "ada ends"]
        ref.tell("two")
        await settle()
        assert diary[3:] == ["ada starts", "ada two"]


async def test_kill_cancels_the_handler_and_the_next_message_activates_anew(autojump_clock: MockClock) -> None:
    async with open_scribe() as (_, diary, ref):
        ref.tell(Sleep(1000))
        await trio.sleep(1)
        ref.kill()
        with trio.fail_after(1):
            assert await ref.ask(Get()) == 0
        assert diary == ["ada starts", "ada ends", "ada starts"]


@pytest.mark.parametrize("order", ["stop", "kill", "poison", "reinstate"])
async def test_an_order_to_a_grain_that_is_not_active_activates_nobody(order: str) -> None:
    async with open_scribe() as (system, diary, ref):
        match order:
            case "stop":
                ref.stop()
            case "kill":
                ref.kill()
            case "reinstate":
                ref.reinstate()
            case _:
                ref.tell(PoisonPill())
                await ref.send(PoisonPill())
        await settle()
        assert diary == []
        assert system.statistics().dead_letters == 0


async def test_a_grain_may_stop_itself() -> None:
    async with open_scribe() as (_, diary, ref):
        await ref.ask(Do(lambda ctx: ctx.stop()))
        await ref.wait_stopped()
        assert diary == ["ada starts", "ada ends"]
        assert await ref.ask(Get()) == 0


async def test_waiting_for_the_end_of_a_grain_that_is_not_active_returns_at_once() -> None:
    async with open_scribe() as (_, diary, ref):
        with trio.fail_after(1):
            await ref.wait_stopped()
        assert diary == []


async def test_waiting_for_the_end_means_the_present_activation(autojump_clock: MockClock) -> None:
    async with open_scribe() as (_, diary, ref):
        ref.tell(Note())
        await trio.lowlevel.checkpoint()
        began = trio.current_time()
        await ref.wait_stopped()
        assert trio.current_time() - began == pytest.approx(10)
        assert diary == ["ada starts", "ada ends"]


async def test_a_grain_cannot_wait_in_its_handler_for_its_own_end() -> None:
    async with open_scribe() as (_, _, ref):
        with pytest.raises(ActorFailedError) as caught:
            await ref.ask(Do(lambda ctx: ref.wait_stopped()))
        assert isinstance(caught.value.__cause__, RuntimeError)


async def test_who_watches_a_grain_that_is_not_active_hears_of_its_end_at_once() -> None:
    async with open_scribe() as (system, diary, ref):
        probe = await Probe.spawn(system)
        probe.watch(ref)
        assert (await probe.expect_terminated(ref)).cause == TerminationCause.STOPPED
        assert diary == []


async def test_who_watches_no_longer_hears_nothing(autojump_clock: MockClock) -> None:
    async with open_scribe() as (system, _, ref):
        probe = await Probe.spawn(system)
        ref.tell(Note())
        await settle()
        probe.watch(ref)
        probe.unwatch(ref)
        await probe.expect_none(within=30)


async def test_a_grain_hears_of_the_end_of_another_that_it_watches(autojump_clock: MockClock) -> None:
    async with open_grains() as (system, _):
        ada, bob = (system.grain(Scribe, name) for name in ("ada", "bob"))
        bob.tell(Note())
        await ada.ask(Do(lambda ctx: ctx.watch(bob)))
        bob.stop()
        await bob.wait_stopped()
        await settle()
        assert await ada.ask(Get()) == 1


async def test_figures_of_a_grain_are_those_of_its_activation() -> None:
    async with open_scribe() as (_, _, ref):
        with pytest.raises(TypeError, match="not active"):
            ref.statistics()
        await ref.ask(Get())
        assert ref.statistics().handled == 1


# ------------------------------------------------------------------------------------------------ the end of all


async def test_shutdown_lets_busy_grains_finish_the_message_in_hand(autojump_clock: MockClock) -> None:
    async with open_grains() as (system, diary):
        for name in ["ada", "bob"]:
            ref = system.grain(Scribe, name)
            ref.tell(Do(sleeping(2)))
            ref.tell("left over")
        await settle()
    assert sorted(diary) == ["ada ends", "ada starts", "bob ends", "bob starts"]
    assert trio.current_time() == pytest.approx(2)


async def test_shutdown_cancels_a_grain_that_does_not_come_to_an_end(autojump_clock: MockClock) -> None:
    async with open_scribe(stop_grace=3.0) as (_, diary, ref):
        ref.tell(Sleep(10_000))
        await settle()
    assert diary == ["ada starts", "ada ends"]
    assert trio.current_time() == pytest.approx(3)


async def test_what_is_told_to_grains_when_the_system_ends_is_dead_letters_and_activates_nobody(
    autojump_clock: MockClock,
) -> None:
    class Sociable(Scribe):
        async def post_stop(self, ctx: Context) -> None:
            for kind in (Scribe, Sociable, Plain):
                for name in ("eve", "ada"):
                    ctx.system.grain(kind, name).tell("goodbye")
            await super().post_stop(ctx)

    async with open_grains() as (system, diary):
        system.grain(Sociable, "ada").tell(Note())
        await settle()
    assert diary == ["ada starts", "ada ends"]
    assert system.statistics().dead_letters == 6


async def test_a_question_to_a_grain_of_a_system_that_ends_is_answered_with_that(autojump_clock: MockClock) -> None:
    heard: list[Any] = []

    class Curious(Scribe):
        async def post_stop(self, ctx: Context) -> None:
            for kind in (Scribe, Plain):
                try:
                    await ctx.system.grain(kind, "eve").ask(Get())
                except ActorStoppedError as error:
                    heard.append(type(error))

    async with open_grains() as (system, _):
        system.grain(Curious, "ada").tell(Note())
        await settle()
    assert heard == [ActorStoppedError] * 2


@pytest.mark.parametrize("kind", [Scribe, Plain])
async def test_a_message_after_the_end_of_the_system_is_lost_without_an_error(kind: type[Scribe] | type[Plain]) -> None:
    async with open_grains() as (system, _):
        system.grain(Scribe, "ada").tell(Note())
        await settle()
        ref = system.grain(kind, "ada")
    ref.tell("too late")
    with pytest.raises(ActorStoppedError):
        await ref.ask("too late")
    with pytest.raises(ActorStoppedError):
        await ref.send("too late")
    ref.stop()
    await ref.wait_stopped()


async def test_askers_of_grains_hear_of_the_end_of_the_system(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        async with ActorSystem("test") as system:

            class Deaf(Grain):
                async def receive(self, ctx: Context, msg: Any) -> None:
                    await trio.sleep_forever()

            askings = [ask_soon(nursery, system.grain(Deaf, "ada"), "hello?") for _ in range(3)]
            await settle()
        await settle()
        assert [type(asking.outcome) for asking in askings] == [ActorStoppedError] * 3


async def test_a_body_that_raises_ends_the_grains_with_it(autojump_clock: MockClock) -> None:
    diary = Diary()
    with pytest.raises(Trouble):
        async with ActorSystem("test", extensions=[diary]) as system:
            system.grain(Scribe, "ada").tell(Sleep(100))
            await settle()
            raise Trouble
    assert diary == ["ada starts", "ada ends"]
