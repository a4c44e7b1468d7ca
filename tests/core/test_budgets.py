"""Restart budgets and backoff as an actor lives through them, on virtual time."""

from __future__ import annotations

from random import Random

import pytest
import trio
from trio.testing import MockClock
from trio.testing import wait_all_tasks_blocked as settle

from tests.core.actors import collected
from tests.core.crew import Diarist, Question, Trouble, WorseTrouble, what_leaves
from trioakt import (
    ActorFailedError,
    ActorRestarted,
    ActorSystem,
    Backoff,
    Context,
    Directive,
    OneForOne,
    Terminated,
)

FINE = "are you fine?"


class Timed(Diarist):
    """Writes down when it starts; only the starts whose number is not in ``bad_starts`` go well."""

    bad_starts: tuple[int, ...] = ()

    async def pre_start(self, ctx: Context) -> None:
        self.diary.append(f"{trio.current_time():.2f}")
        if len(self.diary) in self.bad_starts:
            raise WorseTrouble

    async def post_stop(self, ctx: Context) -> None:
        pass


async def fail_at(system: ActorSystem, *times: float) -> list[str]:
    """Let an actor fail at these times, and return when it has started."""
    diary: list[str] = []
    ref = await system.spawn(Timed, diary)
    for time in times:
        await trio.sleep_until(time)
        ref.tell(Trouble())
    await trio.sleep(50)
    return diary


def backing_off(**options: float) -> OneForOne:
    return OneForOne(max_restarts=None, backoff=Backoff(**{"jitter": 0.0, **options}))


async def test_without_backoff_a_restart_is_immediate(autojump_clock: MockClock) -> None:
    async with ActorSystem("test") as system:
        assert await fail_at(system, 1, 2, 3) == ["0.00", "1.00", "2.00", "3.00"]


async def test_failures_older_than_the_window_are_forgiven(autojump_clock: MockClock) -> None:
    async with ActorSystem("test", supervision=OneForOne(max_restarts=2, within=10.0)) as system:
        starts = await fail_at(system, 1, 6, 12, 17, 30)
        assert len(starts) == 6


async def test_one_failure_too_many_within_the_window_escalates(autojump_clock: MockClock) -> None:
    async def body(system: ActorSystem) -> None:
        await fail_at(system, 1, 6, 10)

    (error,) = await what_leaves(body, OneForOne(max_restarts=2, within=10.0))
    assert isinstance(error, Trouble)
    assert trio.current_time() == pytest.approx(10.0)


async def test_a_budget_of_no_restarts_escalates_at_once() -> None:
    async def body(system: ActorSystem) -> None:
        ref = await system.spawn(Diarist)
        ref.tell(Trouble())

    (error,) = await what_leaves(body, OneForOne(max_restarts=0))
    assert isinstance(error, Trouble)


async def test_without_a_limit_restarts_never_end() -> None:
    async with ActorSystem("test", supervision=OneForOne(max_restarts=None)) as system:
        ref = await system.spawn(Diarist)
        for _ in range(500):
            ref.tell(Trouble())
        assert await ref.ask(Question(FINE)) == FINE
        assert ref.statistics().restarts == 500


async def test_resumed_failures_use_up_no_budget() -> None:
    strategy = OneForOne({WorseTrouble: Directive.RESUME}, max_restarts=1)
    async with ActorSystem("test", supervision=strategy) as system:
        ref = await system.spawn(Diarist)
        for _ in range(10):
            ref.tell(WorseTrouble())
        ref.tell(Trouble())
        assert await ref.ask(Question(FINE)) == FINE


async def test_each_child_has_a_budget_of_its_own() -> None:
    async with ActorSystem("test", supervision=OneForOne(max_restarts=2)) as system:
        refs = [await system.spawn(Diarist) for _ in range(3)]
        for ref in refs:
            for _ in range(2):
                ref.tell(Trouble())
        for ref in refs:
            assert await ref.ask(Question(FINE)) == FINE


async def test_a_new_actor_of_the_same_name_has_a_new_budget() -> None:
    async with ActorSystem("test", supervision=OneForOne(max_restarts=1)) as system:
        for _ in range(3):
            ref = await system.spawn(Diarist, name="a")
            ref.tell(Trouble())
            assert await ref.ask(Question(FINE)) == FINE
            ref.stop()
            await ref.wait_stopped()


async def test_the_budget_of_a_child_is_new_when_its_parent_was_restarted() -> None:
    class Parent(Diarist):
        supervision = OneForOne(max_restarts=1)

        async def pre_start(self, ctx: Context) -> None:
            await super().pre_start(ctx)
            await ctx.spawn(Diarist, self.diary, name="child")

    async with ActorSystem("test") as system:
        diary: list[str] = []
        await system.spawn(Parent, diary, name="parent")
        for _ in range(3):
            child = system.actor("parent/child")
            assert child is not None
            child.tell(Trouble())
            await settle()
        assert diary.count("parent starts") == 2
        assert diary.count("child starts") == 4


async def test_backoff_waits_longer_before_each_restart_in_a_row(autojump_clock: MockClock) -> None:
    async with ActorSystem("test", supervision=backing_off(initial=1.0, factor=3.0, maximum=5.0)) as system:
        starts = await fail_at(system, 0, 0, 0, 0)
        assert starts == ["0.00", "1.00", "4.00", "9.00", "14.00"]


async def test_backoff_begins_anew_after_a_calm_time(autojump_clock: MockClock) -> None:
    async with ActorSystem("test", supervision=backing_off(initial=1.0, reset_after=10.0)) as system:
        starts = await fail_at(system, 0, 5, 30, 31.5)
        assert starts == ["0.00", "1.00", "7.00", "31.00", "33.50"]


async def test_no_message_is_handled_during_the_backoff(autojump_clock: MockClock) -> None:
    async with ActorSystem("test", supervision=backing_off(initial=4.0)) as system:
        diary: list[str] = []
        ref = await system.spawn(Diarist, diary, name="a")
        ref.tell(Trouble())
        await trio.sleep(1)
        ref.tell("x")
        await trio.sleep(2)
        assert "a x" not in diary
        await trio.sleep(2)
        assert diary == ["a starts", "a stops", "a starts", "a x"]


async def test_the_failed_instance_ends_before_the_backoff_and_the_asker_hears_at_once(
    autojump_clock: MockClock,
) -> None:
    async with ActorSystem("test", supervision=backing_off(initial=4.0)) as system:
        diary: list[str] = []
        ref = await system.spawn(Diarist, diary, name="a")
        with pytest.raises(ActorFailedError):
            await ref.ask(Trouble())
        await settle()
        assert trio.current_time() == 0.0
        assert diary == ["a starts", "a stops"]


async def test_a_restart_is_announced_when_it_is_done(autojump_clock: MockClock) -> None:
    async with ActorSystem("test", supervision=backing_off(initial=4.0)) as system:
        ref = await system.spawn(Diarist)
        with collected(system, ActorRestarted) as events:
            ref.tell(Trouble())
            await trio.sleep(5)
        assert [event.at for event in events] == [4.0]


async def test_jitter_comes_from_the_chance_that_the_system_was_given(autojump_clock: MockClock) -> None:
    async def starts(seed: int) -> list[str]:
        began = trio.current_time()
        async with ActorSystem("test", supervision=backing_off(jitter=0.5), rng=Random(seed)) as system:
            ref = await system.spawn(Diarist)
            with collected(system, ActorRestarted) as events:
                for _ in range(3):
                    ref.tell(Trouble())
                await trio.sleep(10)
            return [f"{event.at - began:.3f}" for event in events]

    assert await starts(seed=1) == await starts(seed=1) != await starts(seed=2)


async def test_a_start_that_fails_during_a_restart_backs_off_further(autojump_clock: MockClock) -> None:
    class StartsAtTheThirdTry(Timed):
        bad_starts = (2, 3)

    async with ActorSystem("test", supervision=backing_off(initial=1.0)) as system:
        diary: list[str] = []
        ref = await system.spawn(StartsAtTheThirdTry, diary)
        ref.tell(Trouble())
        assert await ref.ask(Question(FINE)) == FINE
        assert diary == ["0.00", "1.00", "3.00", "7.00"]


async def test_a_terminated_message_says_what_used_up_the_budget() -> None:
    class Parent(Diarist):
        supervision = OneForOne({WorseTrouble: Directive.STOP}, max_restarts=None)

        async def pre_start(self, ctx: Context) -> None:
            ctx.watch(await ctx.spawn(Diarist, list[str](), name="child"))

        async def receive(self, ctx: Context, msg: object) -> None:
            if isinstance(msg, Terminated):
                self.write(ctx, f"hears of {msg.failure}")

    async with ActorSystem("test") as system:
        diary: list[str] = []
        await system.spawn(Parent, diary, name="parent")
        child = system.actor("parent/child")
        assert child is not None
        child.tell(Trouble())
        child.tell(WorseTrouble("the end"))
        await settle()
        assert diary == ["parent hears of tests.core.crew.WorseTrouble: the end"]
