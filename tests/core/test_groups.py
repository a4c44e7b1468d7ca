"""Children that share a fate: one-for-all and rest-for-one."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock
from trio.testing import wait_all_tasks_blocked as settle

from tests.core.actors import collected
from tests.core.crew import Diarist, Question, Trouble, WorseTrouble, ask_soon, what_leaves
from trioakt import (
    Actor,
    ActorFailedError,
    ActorRef,
    ActorRestarted,
    ActorStoppedError,
    ActorSystem,
    Backoff,
    Context,
    DeadLetter,
    Directive,
    OneForAll,
    OneForOne,
    RestForOne,
)

FINE = "are you fine?"


async def crew_of(system: ActorSystem, diary: list[str], names: str = "abc") -> list[ActorRef]:
    """Spawn diarists in this order, and forget that they have started."""
    refs = [await system.spawn(Diarist, diary, name=name) for name in names]
    diary.clear()
    return refs


async def test_one_for_all_restarts_all_children_in_the_order_of_their_spawns() -> None:
    async with ActorSystem("test", supervision=OneForAll()) as system:
        diary: list[str] = []
        _, b, _ = await crew_of(system, diary)
        b.tell(Trouble())
        await settle()
        assert sorted(diary[:3]) == ["a stops", "b stops", "c stops"]
        assert diary[3:] == ["a starts", "b starts", "c starts"]


async def test_rest_for_one_restarts_those_spawned_after_the_one_that_failed() -> None:
    async with ActorSystem("test", supervision=RestForOne()) as system:
        diary: list[str] = []
        _, b, _, _ = await crew_of(system, diary, "abcd")
        b.tell(Trouble())
        await settle()
        assert sorted(diary[:3]) == ["b stops", "c stops", "d stops"]
        assert diary[3:] == ["b starts", "c starts", "d starts"]


async def test_rest_for_one_leaves_the_others_alone_when_the_last_one_fails() -> None:
    async with ActorSystem("test", supervision=RestForOne()) as system:
        diary: list[str] = []
        *_, c = await crew_of(system, diary)
        c.tell(Trouble())
        await settle()
        assert diary == ["c stops", "c starts"]


@pytest.mark.parametrize("strategy", [OneForAll(), RestForOne()])
async def test_all_of_the_group_have_stopped_before_any_starts(strategy: OneForOne, autojump_clock: MockClock) -> None:
    class SlowToStop(Diarist):
        async def post_stop(self, ctx: Context) -> None:
            await trio.sleep(2)
            await super().post_stop(ctx)

    async with ActorSystem("test", supervision=strategy) as system:
        diary: list[str] = []
        ref = await system.spawn(Diarist, diary, name="a")
        await system.spawn(SlowToStop, diary, name="b")
        diary.clear()
        ref.tell(Trouble())
        await trio.sleep(4)
        assert diary == ["a stops", "b stops", "a starts", "b starts"]


async def test_each_starts_when_the_one_before_it_has_started(autojump_clock: MockClock) -> None:
    class SlowToStart(Diarist):
        async def pre_start(self, ctx: Context) -> None:
            self.write(ctx, "begins")
            await trio.sleep(1)
            await super().pre_start(ctx)

    async with ActorSystem("test", supervision=OneForAll()) as system:
        diary: list[str] = []
        refs = [await system.spawn(SlowToStart, diary, name=name) for name in "ab"]
        diary.clear()
        refs[1].tell(Trouble())
        await trio.sleep(5)
        assert sorted(diary[:2]) == ["a stops", "b stops"]
        assert diary[2:] == ["a begins", "a starts", "b begins", "b starts"]


async def test_a_sibling_in_the_middle_of_a_message_is_cancelled_and_its_asker_is_told() -> None:
    async with ActorSystem("test", supervision=OneForAll()) as system, trio.open_nursery() as nursery:
        diary: list[str] = []
        a, b, _ = await crew_of(system, diary)
        asking = ask_soon(nursery, a, trio.Event())
        await settle()
        a.tell("next")
        b.tell(Trouble())
        await settle()
        assert isinstance(asking.outcome, ActorFailedError | ActorStoppedError)
        assert diary[0] == "a waits"
        assert "a goes on" not in diary
        assert diary.index("a next") > diary.index("a starts")


async def test_the_siblings_keep_their_mailboxes() -> None:
    async with ActorSystem("test", supervision=OneForAll()) as system:
        diary: list[str] = []
        a, b, c = await crew_of(system, diary)
        gates = [trio.Event(), trio.Event()]
        for ref, gate in zip((a, c), gates, strict=True):
            ref.tell(gate)
        await settle()
        for ref in (a, c):
            ref.tell("x")
            ref.tell("y")
        with collected(system, DeadLetter) as letters:
            b.tell(Trouble())
            await settle()
        for name in "ac":
            assert [line for line in diary if line.startswith(name)][-3:] == [
                f"{name} starts",
                f"{name} x",
                f"{name} y",
            ]
        assert letters == []


async def test_no_sibling_handles_a_message_while_the_group_restarts(autojump_clock: MockClock) -> None:
    strategy = OneForAll(backoff=Backoff(initial=5.0, jitter=0.0))
    async with ActorSystem("test", supervision=strategy) as system:
        diary: list[str] = []
        a, b, c = await crew_of(system, diary)
        b.tell(Trouble())
        await trio.sleep(1)
        for ref in (a, b, c):
            ref.tell("x")
        await trio.sleep(3)
        assert sorted(diary) == ["a stops", "b stops", "c stops"]
        await trio.sleep(3)
        for name in "abc":
            assert diary.index(f"{name} x") > diary.index(f"{name} starts")


async def test_the_siblings_restart_as_one_that_did_not_fail() -> None:
    """Each is announced with the failure that caused it, and only the one that failed counts one."""
    async with ActorSystem("test", supervision=OneForAll()) as system:
        refs = await crew_of(system, [])
        with collected(system, ActorRestarted) as events:
            refs[1].tell(Trouble("b's"))
            await settle()
        assert {event.ref for event in events} == set(refs)
        assert {event.failure.text for event in events} == {"b's"}
        assert [ref.statistics().failures for ref in refs] == [0, 1, 0]
        assert [ref.statistics().restarts for ref in refs] == [1, 1, 1]


async def test_a_group_has_one_budget() -> None:
    async def body(system: ActorSystem) -> None:
        for ref in await crew_of(system, []):
            ref.tell(Trouble(ref.name))
            await settle()

    assert [error.args for error in await what_leaves(body, OneForAll(max_restarts=2))] == [("c",)]
    assert [error.args for error in await what_leaves(body, RestForOne(max_restarts=2))] == [("c",)]


async def test_a_group_restart_counts_once_however_many_are_restarted() -> None:
    async with ActorSystem("test", supervision=OneForAll(max_restarts=3)) as system:
        a, b, c = await crew_of(system, [])
        for ref in (a, b, c):
            ref.tell(Trouble())
            await settle()
        for ref in (a, b, c):
            assert await ref.ask(Question(FINE)) == FINE
            assert ref.statistics().restarts == 3


@pytest.mark.parametrize(("strategy", "left"), [(OneForAll, ""), (RestForOne, "a")])
async def test_a_stop_stops_the_group(strategy: type[OneForOne], left: str) -> None:
    async with ActorSystem("test", supervision=strategy(default=Directive.STOP)) as system:
        diary: list[str] = []
        _, b, c = await crew_of(system, diary)
        b.tell(Trouble())
        await b.wait_stopped()
        await c.wait_stopped()
        await settle()
        assert {ref.name for ref in system.actors() if ref.is_alive} == set(left)


@pytest.mark.parametrize("directive", [Directive.RESUME, Directive.SUSPEND])
async def test_what_is_neither_a_restart_nor_a_stop_concerns_one_child_alone(directive: Directive) -> None:
    async with ActorSystem("test", supervision=OneForAll(default=directive)) as system:
        diary: list[str] = []
        a, b, c = await crew_of(system, diary)
        b.tell(Trouble())
        await settle()
        for ref in (a, c):
            assert await ref.ask(Question(FINE)) == FINE
        assert diary == []
        b.reinstate()
        assert await b.ask(Question(FINE)) == FINE


async def test_two_that_fail_at_once_leave_a_group_that_works() -> None:
    async with ActorSystem("test", supervision=OneForAll()) as system:
        diary: list[str] = []
        refs = await crew_of(system, diary)
        for ref in refs[:2]:
            ref.tell(Trouble())
        for ref in refs:
            assert await ref.ask(Question(FINE)) == FINE
        for name in "abc":
            lives = [line for line in diary if line.startswith(name)]
            assert lives == [f"{name} stops", f"{name} starts"] * (len(lives) // 2)


async def test_a_sibling_that_was_stopped_meanwhile_stays_stopped() -> None:
    async with ActorSystem("test", supervision=OneForAll()) as system:
        diary: list[str] = []
        a, b, c = await crew_of(system, diary)
        a.stop()
        await a.wait_stopped()
        b.tell(Trouble())
        assert await b.ask(Question(FINE)) == FINE
        assert await c.ask(Question(FINE)) == FINE
        assert diary.count("a starts") == 0


@pytest.mark.parametrize("end", [ActorRef.stop, ActorRef.kill])
async def test_a_sibling_that_is_ended_during_the_restart_does_not_start_again(
    end: Any, autojump_clock: MockClock
) -> None:
    strategy = OneForAll(backoff=Backoff(initial=5.0, jitter=0.0))
    async with ActorSystem("test", supervision=strategy) as system:
        diary: list[str] = []
        a, b, c = await crew_of(system, diary)
        b.tell(Trouble())
        await trio.sleep(1)
        end(c)
        await c.wait_stopped()
        await trio.sleep(5)
        for ref in (a, b):
            assert await ref.ask(Question(FINE)) == FINE
        assert "c starts" not in diary


async def test_a_sibling_whose_start_fails_at_the_group_restart_fails_the_group_again() -> None:
    class FailsOnce(Diarist):
        async def pre_start(self, ctx: Context) -> None:
            await super().pre_start(ctx)
            if self.diary.count(f"{ctx.self.name} starts") == 2:
                raise WorseTrouble

    async with ActorSystem("test", supervision=OneForAll()) as system:
        diary: list[str] = []
        refs = [await system.spawn(FailsOnce if name == "b" else Diarist, diary, name=name) for name in "abc"]
        refs[0].tell(Trouble())
        await settle()
        for ref in refs:
            assert await ref.ask(Question(FINE)) == FINE
        assert diary.count("b starts") == 3


async def test_a_suspended_sibling_is_restarted_with_the_group_and_goes_on() -> None:
    strategy = OneForAll({WorseTrouble: Directive.SUSPEND})
    async with ActorSystem("test", supervision=strategy) as system:
        diary: list[str] = []
        a, b, _ = await crew_of(system, diary)
        a.tell(WorseTrouble())
        await settle()
        b.tell(Trouble())
        assert await a.ask(Question(FINE)) == FINE
        assert diary.count("a starts") == 1


async def test_the_children_of_siblings_stop_with_them() -> None:
    class Parent(Diarist):
        async def pre_start(self, ctx: Context) -> None:
            await super().pre_start(ctx)
            await ctx.spawn(Diarist, self.diary, name=f"child-of-{ctx.self.name}")

    async with ActorSystem("test", supervision=OneForAll()) as system:
        diary: list[str] = []
        await system.spawn(Parent, diary, name="a")
        b = await system.spawn(Diarist, diary, name="b")
        diary.clear()
        b.tell(Trouble())
        await settle()
        assert diary.count("child-of-a stops") == diary.count("child-of-a starts") == 1
        assert diary.index("child-of-a stops") < diary.index("a starts")


async def test_a_group_is_that_of_one_parent_alone() -> None:
    class Parent(Actor):
        supervision = OneForAll()

        async def pre_start(self, ctx: Context) -> None:
            for name in "ab":
                await ctx.spawn(Diarist, diary, name=f"{name}-of-{ctx.self.name}")

    async with ActorSystem("test") as system:
        diary: list[str] = []
        for name in ("x", "y"):
            await system.spawn(Parent, name=name)
        diary.clear()
        child = system.actor("x/a-of-x")
        assert child is not None
        child.tell(Trouble())
        await settle()
        assert sorted(diary[:2]) == ["a-of-x stops", "b-of-x stops"]
        assert diary[2:] == ["a-of-x starts", "b-of-x starts"]


async def test_a_child_spawned_during_a_group_restart_is_no_part_of_it(autojump_clock: MockClock) -> None:
    strategy = OneForAll(backoff=Backoff(initial=5.0, jitter=0.0))
    async with ActorSystem("test", supervision=strategy) as system:
        diary: list[str] = []
        a, *_ = await crew_of(system, diary)
        a.tell(Trouble())
        await trio.sleep(1)
        late = await system.spawn(Diarist, diary, name="late")
        assert await late.ask(Question(FINE)) == FINE
        await trio.sleep(10)
        assert late.statistics().restarts == 0
        assert await a.ask(Question(FINE)) == FINE
