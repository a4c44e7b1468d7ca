"""What becomes of an actor that failed: each directive, the rules that choose it, and how failures climb."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock
from trio.testing import wait_all_tasks_blocked as settle

from tests.core.actors import Do, Recorder, collected
from tests.core.crew import Diarist, Question, Trouble, WorseTrouble, ask_soon, what_leaves
from trioakt import (
    Actor,
    ActorFailed,
    ActorRef,
    ActorReinstated,
    ActorRestarted,
    ActorSuspended,
    ActorSystem,
    Context,
    DeadLetter,
    Directive,
    OneForOne,
    Terminated,
)

FINE = "are you fine?"


def always(directive: Directive) -> OneForOne:
    return OneForOne(default=directive)


class Parent(Actor):
    """Starts one diarist and treats it by the strategy of the subclass; writes a diary itself."""

    def __init__(self, diary: list[str]) -> None:
        self.diary = diary

    async def pre_start(self, ctx: Context) -> None:
        self.diary.append("parent starts")
        await ctx.spawn(Diarist, self.diary, name="child")

    async def receive(self, ctx: Context, msg: Any) -> None:
        if isinstance(msg, trio.Event):
            await msg.wait()
        self.diary.append(f"parent {type(msg).__name__}")

    async def post_stop(self, ctx: Context) -> None:
        self.diary.append("parent stops")


class Escalating(Parent):
    supervision = always(Directive.ESCALATE)


class Stopping(Parent):
    supervision = always(Directive.STOP)


def child_of(system: ActorSystem, parent: ActorRef) -> ActorRef:
    child = system.actor(f"{parent.path}/child")
    assert child is not None
    return child


async def test_resume_goes_on_with_the_state_as_it_is() -> None:
    async with ActorSystem("test", supervision=always(Directive.RESUME)) as system:
        diary: list[str] = []
        ref = await system.spawn(Diarist, diary, name="a")
        for message in ("x", Trouble(), "y"):
            ref.tell(message)
        await settle()
        assert diary == ["a starts", "a x", "a y"]
        assert (ref.statistics().failures, ref.statistics().restarts) == (1, 0)


async def test_restart_makes_a_new_instance_and_drops_the_message_that_failed() -> None:
    async with ActorSystem("test") as system:
        diary: list[str] = []
        ref = await system.spawn(Diarist, diary, name="a")
        with collected(system, ActorFailed, ActorRestarted) as events:
            for message in ("x", Trouble("oh no"), "y"):
                ref.tell(message)
            await settle()
        assert diary == ["a starts", "a x", "a stops", "a starts", "a y"]
        failed, restarted = events
        assert (failed.ref, failed.failure.text) == (ref, "oh no")
        assert (restarted.ref, restarted.restarts, restarted.failure.text) == (ref, 1, "oh no")


async def test_stop_ends_the_actor_and_says_why() -> None:
    async with ActorSystem("test", supervision=always(Directive.STOP)) as system:
        diary: list[str] = []
        heard: list[Terminated] = []
        ref = await system.spawn(Diarist, diary, name="a")
        watcher = await system.spawn(Recorder, heard)
        await watcher.ask(Do(lambda ctx: ctx.watch(ref)))
        with collected(system, DeadLetter) as letters:
            for message in ("x", Trouble("oh no"), "y"):
                ref.tell(message)
            await ref.wait_stopped()
            await settle()
        assert diary == ["a starts", "a x", "a stops"]
        assert [letter.message for letter in letters] == ["y"]
        assert heard[0].ref == ref
        assert heard[0].cause.name == "FAILED"
        assert heard[0].failure is not None
        assert heard[0].failure.text == "oh no"


async def test_suspend_handles_nothing_until_the_actor_is_reinstated() -> None:
    async with ActorSystem("test", supervision=always(Directive.SUSPEND)) as system:
        diary: list[str] = []
        ref = await system.spawn(Diarist, diary, name="a")
        with collected(system, ActorSuspended, ActorReinstated) as events:
            for message in ("x", Trouble("oh no"), "y"):
                ref.tell(message)
            await settle()
            assert diary == ["a starts", "a x"]
            assert (ref.is_alive, ref.statistics().depth) == (True, 1)
            ref.tell("z")
            ref.reinstate()
            await settle()
        assert diary == ["a starts", "a x", "a y", "a z"]
        assert [type(event) for event in events] == [ActorSuspended, ActorReinstated]
        assert events[0].failure.text == "oh no"


async def test_reinstating_an_actor_that_is_not_suspended_changes_nothing() -> None:
    async with ActorSystem("test", supervision=always(Directive.SUSPEND)) as system:
        diary: list[str] = []
        ref = await system.spawn(Diarist, diary, name="a")
        with collected(system, ActorReinstated) as events:
            ref.reinstate()
            await settle()
            ref.tell(Trouble())
            ref.tell("x")
            await settle()
        assert diary == ["a starts"]
        assert events == []


@pytest.mark.parametrize("end", [ActorRef.stop, ActorRef.kill])
async def test_a_suspended_actor_can_be_ended(end: Any) -> None:
    async with ActorSystem("test", supervision=always(Directive.SUSPEND)) as system:
        diary: list[str] = []
        ref = await system.spawn(Diarist, diary, name="a")
        ref.tell(Trouble())
        ref.tell("x")
        await settle()
        with collected(system, DeadLetter) as letters:
            end(ref)
            await ref.wait_stopped()
        assert diary == ["a starts", "a stops"]
        assert [letter.message for letter in letters] == ["x"]


async def test_leaving_the_system_does_not_wait_for_a_suspended_actor() -> None:
    diary: list[str] = []
    async with ActorSystem("test", supervision=always(Directive.SUSPEND)) as system:
        ref = await system.spawn(Diarist, diary, name="a")
        ref.tell(Trouble())
        await settle()
    assert diary == ["a starts", "a stops"]


async def test_escalate_past_the_root_leaves_the_block_with_the_exception() -> None:
    diary: list[str] = []
    trouble = Trouble("too much")

    async def body(system: ActorSystem) -> None:
        ref = await system.spawn(Diarist, diary, name="a")
        await system.spawn(Diarist, diary, name="b")
        ref.tell(trouble)

    assert await what_leaves(body, always(Directive.ESCALATE)) == [trouble]
    assert sorted(diary) == ["a starts", "a stops", "b starts", "b stops"]


async def test_a_bug_that_stays_leaves_the_block_by_default() -> None:
    async def body(system: ActorSystem) -> None:
        ref = await system.spawn(Diarist)
        for number in range(4):
            ref.tell(Trouble(number))

    assert [error.args for error in await what_leaves(body, OneForOne())] == [(3,)]


async def test_three_failures_at_once_are_within_the_default_budget() -> None:
    async with ActorSystem("test") as system:
        ref = await system.spawn(Diarist)
        for number in range(3):
            ref.tell(Trouble(number))
        assert await ref.ask(Question(FINE)) == FINE


async def test_an_escalated_failure_restarts_the_parent_which_makes_its_children_again() -> None:
    async with ActorSystem("test") as system:
        diary: list[str] = []
        parent = await system.spawn(Escalating, diary)
        with collected(system, ActorFailed, ActorRestarted) as events:
            child_of(system, parent).tell(Trouble("oh no"))
            await settle()
        assert diary == [
            "parent starts",
            "child starts",
            "parent stops",
            "child stops",
            "parent starts",
            "child starts",
        ]
        assert [event.ref for event in events if isinstance(event, ActorRestarted)] == [parent]
        assert {event.failure.text for event in events} == {"oh no"}
        assert await child_of(system, parent).ask(Question(FINE)) == FINE


async def test_an_escalated_failure_climbs_level_by_level_out_of_the_block() -> None:
    class Grandparent(Actor):
        supervision = always(Directive.ESCALATE)

        async def pre_start(self, ctx: Context) -> None:
            await ctx.spawn(Escalating, diary, name="parent")

    diary: list[str] = []
    trouble = Trouble("from below")

    async def body(system: ActorSystem) -> None:
        await system.spawn(Grandparent, name="top")
        child = system.actor("top/parent/child")
        assert child is not None
        child.tell(trouble)

    assert await what_leaves(body, always(Directive.ESCALATE)) == [trouble]
    assert diary[:2] == ["parent starts", "child starts"]
    assert sorted(diary[2:]) == ["child stops", "parent stops"]


async def test_an_escalated_failure_is_judged_by_the_rules_of_the_grandparent() -> None:
    strategy = OneForOne({WorseTrouble: Directive.STOP}, default=Directive.RESTART)
    async with ActorSystem("test", supervision=strategy) as system:
        diary: list[str] = []
        parent = await system.spawn(Escalating, diary)
        child_of(system, parent).tell(WorseTrouble())
        await parent.wait_stopped()
        assert diary[-2:] == ["child stops", "parent stops"]


async def test_a_parent_that_is_resumed_after_an_escalation_goes_on_with_its_child() -> None:
    async with ActorSystem("test", supervision=always(Directive.RESUME)) as system:
        diary: list[str] = []
        parent = await system.spawn(Escalating, diary)
        child = child_of(system, parent)
        child.tell(Trouble())
        child.tell("x")
        parent.tell("y")
        await settle()
        assert sorted(diary) == ["child starts", "child x", "parent starts", "parent str"]


async def test_a_suspended_parent_suspends_those_below_and_reinstates_them() -> None:
    async with ActorSystem("test", supervision=always(Directive.SUSPEND)) as system:
        diary: list[str] = []
        parent = await system.spawn(Escalating, diary)
        child = child_of(system, parent)
        child.tell(Trouble())
        await settle()
        for ref in (child, parent):
            ref.tell("x")
        await settle()
        assert diary == ["parent starts", "child starts"]
        parent.reinstate()
        await settle()
        assert sorted(diary[2:]) == ["child x", "parent str"]


async def test_the_rule_of_the_most_specific_class_wins() -> None:
    strategy = OneForOne(
        {Exception: Directive.STOP, Trouble: Directive.RESTART, WorseTrouble: Directive.RESUME},
        default=Directive.ESCALATE,
    )
    async with ActorSystem("test", supervision=strategy) as system:
        diary: list[str] = []
        ref = await system.spawn(Diarist, diary, name="a")
        ref.tell(WorseTrouble())
        await settle()
        assert diary == ["a starts"]
        ref.tell(Trouble())
        await settle()
        assert diary == ["a starts", "a stops", "a starts"]
        ref.tell(KeyError())
        await ref.wait_stopped()
        assert diary == ["a starts", "a stops", "a starts", "a stops"]


async def test_the_most_severe_member_decides_about_a_group() -> None:
    async def fail_twice(ctx: Context, msg: object) -> None:
        async def fail(error: Exception) -> None:
            raise error

        async with trio.open_nursery() as nursery:
            nursery.start_soon(fail, WorseTrouble())
            nursery.start_soon(fail, Trouble())

    strategy = OneForOne({WorseTrouble: Directive.RESUME, Trouble: Directive.STOP})
    async with ActorSystem("test", supervision=strategy) as system:
        ref = await system.spawn_func(fail_twice)
        ref.tell("go")
        await ref.wait_stopped()


async def test_the_option_at_a_spawn_is_for_that_child_alone() -> None:
    async with ActorSystem("test", supervision=always(Directive.STOP)) as system:
        spared = await system.spawn(Diarist, supervision=always(Directive.RESUME))
        plain = await system.spawn(Diarist)
        spared.tell(Trouble())
        plain.tell(Trouble())
        await plain.wait_stopped()
        assert await spared.ask(Question(FINE)) == FINE


async def test_the_attribute_of_a_class_is_for_the_children_and_not_for_itself() -> None:
    async with ActorSystem("test", supervision=always(Directive.RESUME)) as system:
        diary: list[str] = []
        parent = await system.spawn(Stopping, diary)
        child = child_of(system, parent)
        child.tell(Trouble())
        await child.wait_stopped()
        assert parent.is_alive


async def test_the_option_at_a_spawn_is_not_inherited_by_grandchildren() -> None:
    async with ActorSystem("test") as system:
        diary: list[str] = []
        parent = await system.spawn(Stopping, diary, supervision=always(Directive.RESUME))
        child = child_of(system, parent)
        child.tell(Trouble())
        await child.wait_stopped()
        assert diary[-1] == "child stops"


async def test_a_failure_is_decided_at_once_however_busy_the_parent_is() -> None:
    async with ActorSystem("test") as system:
        diary: list[str] = []
        parent = await system.spawn(Stopping, diary)
        child = child_of(system, parent)
        gate = trio.Event()
        parent.tell(gate)
        await settle()
        child.tell(Trouble())
        await child.wait_stopped()
        assert diary == ["parent starts", "child starts", "child stops"]
        gate.set()
        await settle()
        assert diary[-1] == "parent Event"


async def test_an_escalated_failure_does_not_wait_for_the_message_the_parent_has_in_hand() -> None:
    async with ActorSystem("test") as system, trio.open_nursery() as nursery:
        diary: list[str] = []
        parent = await system.spawn(Escalating, diary)
        in_hand = ask_soon(nursery, parent, trio.Event())
        await settle()
        child_of(system, parent).tell(Trouble())
        await settle()
        assert diary[-2:] == ["parent starts", "child starts"]
        assert isinstance(in_hand.outcome, Exception)


async def test_no_message_is_handled_between_a_failure_and_the_decision(autojump_clock: MockClock) -> None:
    """The grandparent, asked by escalation, restarts the parent, whose hook takes its time: nobody handles anything."""

    class Thoughtful(Escalating):
        async def post_stop(self, ctx: Context) -> None:
            await trio.sleep(3)
            await super().post_stop(ctx)

    async with ActorSystem("test") as system:
        diary: list[str] = []
        parent = await system.spawn(Thoughtful, diary)
        child = child_of(system, parent)
        child.tell(Trouble())
        child.tell("too late")
        await settle()
        parent.tell("kept")
        await trio.sleep(2)
        assert diary == ["parent starts", "child starts"]
        await trio.sleep(2)
        assert "child too late" not in diary
        assert diary[-1] == "parent str"


async def test_a_failure_of_one_child_leaves_its_siblings_alone() -> None:
    async with ActorSystem("test") as system:
        diary: list[str] = []
        refs = [await system.spawn(Diarist, diary, name=name) for name in "ab"]
        refs[0].tell(Trouble())
        await settle()
        assert diary == ["a starts", "b starts", "a stops", "a starts"]


async def test_a_failing_task_of_an_actor_is_its_failure() -> None:
    class Host(Diarist):
        async def receive(self, ctx: Context, msg: Any) -> None:
            match msg:
                case Exception():
                    ctx.nursery.start_soon(self.fail, msg)
                case _:
                    await super().receive(ctx, msg)

        async def fail(self, error: Exception) -> None:
            raise error

        def pre_restart(self, ctx: Context, error: BaseException, msg: Any) -> None:
            self.write(ctx, f"fails with {error!r}, {msg}")

    async with ActorSystem("test") as system:
        diary: list[str] = []
        ref = await system.spawn(Host, diary, name="a")
        ref.tell(Trouble("in a task"))
        await settle()
        ref.tell("x")
        await settle()
        assert diary == ["a starts", "a fails with Trouble('in a task'), None", "a starts", "a x"]
        assert ref.statistics().failures == 1


async def test_the_tasks_of_an_actor_end_with_the_life_that_failed() -> None:
    class Host(Diarist):
        async def pre_start(self, ctx: Context) -> None:
            await super().pre_start(ctx)
            ctx.nursery.start_soon(self.run_until_cancelled, ctx)

        async def run_until_cancelled(self, ctx: Context) -> None:
            try:
                await trio.sleep_forever()
            finally:
                self.write(ctx, "task ends")

    async with ActorSystem("test") as system:
        diary: list[str] = []
        ref = await system.spawn(Host, diary, name="a")
        ref.tell(Trouble())
        await settle()
        assert diary[-1] == "a starts"
        assert sorted(diary) == ["a starts", "a starts", "a stops", "a task ends"]


async def test_a_task_that_fails_while_a_handler_runs_restarts_the_actor_at_once() -> None:
    class Host(Actor):
        async def receive(self, ctx: Context, msg: trio.Event) -> None:
            ctx.nursery.start_soon(self.fail_after, msg)
            await trio.sleep_forever()

        async def fail_after(self, gate: trio.Event) -> None:
            await gate.wait()
            raise Trouble

    async with ActorSystem("test") as system, trio.open_nursery() as nursery:
        ref = await system.spawn(Host)
        gate = trio.Event()
        asking = ask_soon(nursery, ref, gate)
        await settle()
        gate.set()
        await settle()
        assert ref.statistics().restarts == 1
        assert isinstance(asking.outcome, Exception)


async def test_a_task_of_a_resumed_actor_goes_on() -> None:
    beats: list[int] = []
    gate = trio.Event()

    async def beat() -> None:
        await gate.wait()
        beats.append(1)

    class Host(Diarist):
        async def pre_start(self, ctx: Context) -> None:
            ctx.nursery.start_soon(beat)

    async with ActorSystem("test", supervision=always(Directive.RESUME)) as system:
        ref = await system.spawn(Host)
        ref.tell(Trouble())
        await settle()
        gate.set()
        await settle()
        assert beats == [1]
