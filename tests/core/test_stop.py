"""The end of an actor: in which order, how long it may take, and what becomes of what was not done."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import trio
from trio.testing import MockClock, assert_checkpoints, wait_all_tasks_blocked

from tests.core.actors import (
    Boom,
    Do,
    Get,
    Note,
    Recorder,
    Sleep,
    collected,
    hang,
    keep_busy,
    noting,
    resource,
    sleeping,
    spawn_child,
)
from trioakt import (
    ActorFailed,
    ActorRef,
    ActorRestarted,
    ActorStopped,
    ActorStoppedError,
    ActorSystem,
    Bounded,
    Context,
    DeadLetter,
    DeadLetterReason,
    PoisonPill,
    TerminationCause,
)

# stop


async def test_stop_finishes_the_message_in_hand_and_no_more(autojump_clock: MockClock) -> None:
    log: list[Any] = []

    async def work(ctx: Context) -> None:
        await trio.sleep(3)
        log.append("done")

    async with ActorSystem("test") as system:
        ref = await system.spawn(partial(Recorder, log))
        ref.tell(Do(work))
        ref.tell(Note(1))
        await wait_all_tasks_blocked()
        ref.stop()
        await ref.wait_stopped()
    assert log == ["done"]


async def test_a_stop_has_patience_with_the_message_in_hand(autojump_clock: MockClock) -> None:
    async with ActorSystem("test") as system:
        ref = await system.spawn(Recorder)
        await keep_busy(ref, 1000)
        began = trio.current_time()
        ref.stop()
        await ref.wait_stopped()
        assert trio.current_time() == began + 1000


async def test_messages_left_at_the_stop_become_dead_letters_in_their_order(autojump_clock: MockClock) -> None:
    async with ActorSystem("test") as system:
        sender = await system.spawn(Recorder)
        ref = await system.spawn(Recorder)
        ref.tell(Sleep(1))
        ref.tell(Note(1), sender)
        ref.tell(Note(2))
        await wait_all_tasks_blocked()
        with collected(system, DeadLetter) as letters:
            ref.stop()
            await ref.wait_stopped()
            ref.tell(Note(3))
        assert [letter.message for letter in letters] == [Note(1), Note(2), Note(3)]
        assert {letter.reason for letter in letters} == {DeadLetterReason.STOPPED}
        assert {letter.recipient for letter in letters} == {ref}
        assert letters[0].sender == sender


async def test_what_comes_after_the_stop_is_a_dead_letter_at_once(autojump_clock: MockClock) -> None:
    async with ActorSystem("test") as system:
        ref = await system.spawn(Recorder)
        await keep_busy(ref, 1)
        ref.stop()
        with collected(system, DeadLetter) as letters:
            ref.tell(Note(1))
            assert [(letter.message, letter.reason) for letter in letters] == [(Note(1), DeadLetterReason.STOPPED)]


async def test_the_askers_of_messages_left_at_the_stop_are_told(autojump_clock: MockClock) -> None:
    async with ActorSystem("test") as system, trio.open_nursery() as nursery:
        ref = await system.spawn(Recorder)
        ref.tell(Sleep(1))

        async def ask() -> None:
            with pytest.raises(ActorStoppedError) as caught:
                await ref.ask(Get())
            assert caught.value.path == ref.path

        nursery.start_soon(ask)
        await wait_all_tasks_blocked()
        ref.stop()
        with pytest.raises(ActorStoppedError):
            await ref.ask(Get())
        await ref.wait_stopped()
        with pytest.raises(ActorStoppedError):
            await ref.ask(Get())


async def test_messages_left_in_the_stash_become_dead_letters_too() -> None:
    async with ActorSystem("test") as system:
        ref = await system.spawn_func(lambda ctx, msg: ctx.stash())
        ref.tell(Note(1))
        ref.tell(Note(2))
        await wait_all_tasks_blocked()
        with collected(system, DeadLetter) as letters:
            ref.stop()
            await ref.wait_stopped()
        assert [letter.message for letter in letters] == [Note(1), Note(2)]
        assert {letter.reason for letter in letters} == {DeadLetterReason.STOPPED}


async def test_an_actor_that_is_told_to_stop_is_no_longer_alive_and_then_gone() -> None:
    async with ActorSystem("test") as system:
        ref = await system.spawn(Recorder, name="ada")
        ref.stop()
        assert not ref.is_alive
        await ref.wait_stopped()
        assert system.actor("ada") is None
        assert ref.name == "ada"


async def test_an_actor_may_stop_itself_and_ends_its_handler_first() -> None:
    kept: list[Any] = []

    async def stop(ctx: Context) -> None:
        ctx.stop()
        await trio.lowlevel.checkpoint()
        kept.append("after")

    async with ActorSystem("test") as system:
        ref = await system.spawn(partial(Recorder, kept))
        ref.tell(Do(stop))
        ref.tell(Note(1))
        await ref.wait_stopped()
    assert kept == ["after"]


async def test_stopping_again_or_stopping_one_that_has_gone_changes_nothing() -> None:
    kept: list[Any] = []
    async with ActorSystem("test") as system:
        ref = await system.spawn(partial(Recorder, post_stop=noting(kept, "post_stop")))
        with collected(system, ActorStopped) as stopped:
            ref.stop()
            ref.stop()
            await ref.wait_stopped()
            ref.stop()
            ref.kill()
            await wait_all_tasks_blocked()
        assert [event.cause for event in stopped] == [TerminationCause.STOPPED]
    assert kept == ["post_stop"]


async def test_a_stopped_actor_that_fails_on_its_last_message_is_not_restarted(autojump_clock: MockClock) -> None:
    made: list[Recorder] = []

    def factory() -> Recorder:
        made.append(Recorder())
        return made[-1]

    async def fail_late(ctx: Context) -> None:
        await trio.sleep(1)
        raise OSError

    async with ActorSystem("test") as system:
        with collected(system, ActorRestarted) as restarted:
            ref = await system.spawn(factory)
            ref.tell(Do(fail_late))
            await wait_all_tasks_blocked()
            ref.stop()
            with trio.fail_after(2):
                await ref.wait_stopped()
        assert not restarted
        assert len(made) == 1


async def test_an_actor_that_waits_for_its_restart_can_be_stopped(autojump_clock: MockClock) -> None:
    async def slow_again(ctx: Context) -> None:
        if made.count(1) > 1:
            await trio.sleep(4)

    made: list[int] = []

    def factory() -> Recorder:
        made.append(1)
        return Recorder(pre_start=slow_again)

    async with ActorSystem("test") as system:
        ref = await system.spawn(factory)
        ref.tell(Boom(OSError()))
        await trio.sleep(1)
        ref.stop()
        with trio.fail_after(4):
            await ref.wait_stopped()
        assert len(made) == 2


async def test_who_waits_in_send_for_room_hears_that_the_actor_ended(autojump_clock: MockClock) -> None:
    async with ActorSystem("test") as system, trio.open_nursery() as nursery:
        ref = await system.spawn(Recorder, mailbox=Bounded(1))
        await keep_busy(ref, 2)
        ref.tell(Note(1))

        async def send() -> None:
            with pytest.raises(ActorStoppedError):
                await ref.send(Note(2))

        nursery.start_soon(send)
        await wait_all_tasks_blocked()
        ref.stop()


# PoisonPill


async def test_a_poison_pill_lets_every_earlier_message_be_handled(autojump_clock: MockClock) -> None:
    kept: list[Any] = []
    async with ActorSystem("test") as system:
        ref = await system.spawn(partial(Recorder, kept))
        ref.tell(Sleep(1))
        ref.tell(Note(1))
        ref.tell(Note(2))
        ref.tell(PoisonPill())
        ref.tell(Note(3))
        with collected(system, DeadLetter) as letters:
            await ref.wait_stopped()
        assert [(letter.message, letter.reason) for letter in letters] == [(Note(3), DeadLetterReason.STOPPED)]
    assert kept == [Note(1), Note(2)]


async def test_a_poison_pill_may_be_sent_and_needs_no_room(autojump_clock: MockClock) -> None:
    kept: list[Any] = []
    async with ActorSystem("test") as system:
        ref = await system.spawn(partial(Recorder, kept), mailbox=Bounded(1))
        await keep_busy(ref, 1)
        ref.tell(Note(1))
        await ref.send(PoisonPill())
        await ref.wait_stopped()
    assert kept == [Note(1)]


async def test_a_poison_pill_stops_children_first_and_counts_as_a_stop() -> None:
    log: list[Any] = []
    async with ActorSystem("test") as system:
        parent = await system.spawn(partial(Recorder, log, post_stop=noting(log, "parent")))
        await spawn_child(parent, partial(Recorder, log, post_stop=noting(log, "child")))
        with collected(system, ActorStopped) as stopped:
            parent.tell(PoisonPill())
            await parent.wait_stopped()
        assert {event.cause for event in stopped} == {TerminationCause.STOPPED}
    assert log == ["child", "parent"]


async def test_a_poison_pill_for_one_that_has_gone_harms_nobody() -> None:
    async with ActorSystem("test") as system:
        ref = await system.spawn(Recorder)
        ref.tell(PoisonPill())
        ref.tell(PoisonPill())
        await ref.wait_stopped()
        ref.tell(PoisonPill())


# kill


async def test_kill_cancels_the_handler_and_still_runs_post_stop(autojump_clock: MockClock) -> None:
    kept: list[Any] = []
    async with ActorSystem("test") as system:
        ref = await system.spawn(partial(Recorder, kept, post_stop=noting(kept, "post_stop")))
        ref.tell(Do(hang))
        ref.tell(Note(1))
        await wait_all_tasks_blocked()
        began = trio.current_time()
        with collected(system, ActorStopped, DeadLetter, ActorFailed) as events:
            ref.kill()
            await ref.wait_stopped()
        assert trio.current_time() == began
        letters = [event for event in events if isinstance(event, DeadLetter)]
        assert Note(1) in [letter.message for letter in letters]
        assert [event.cause for event in events if isinstance(event, ActorStopped)] == [TerminationCause.KILLED]
        assert not [event for event in events if isinstance(event, ActorFailed)]
    assert kept == ["post_stop"]


async def test_the_asker_of_a_killed_handler_is_told(autojump_clock: MockClock) -> None:
    async with ActorSystem("test") as system, trio.open_nursery() as nursery:
        ref = await system.spawn(Recorder)

        async def ask() -> None:
            with pytest.raises(ActorStoppedError):
                await ref.ask(Do(hang))

        nursery.start_soon(ask)
        await wait_all_tasks_blocked()
        ref.kill()


async def test_kill_ends_an_idle_actor() -> None:
    async with ActorSystem("test") as system:
        ref = await system.spawn(Recorder)
        ref.kill()
        assert not ref.is_alive
        await ref.wait_stopped()


async def test_kill_ends_a_stop_that_waits_for_a_handler(autojump_clock: MockClock) -> None:
    kept: list[Any] = []
    async with ActorSystem("test") as system:
        ref = await system.spawn(partial(Recorder, post_stop=noting(kept, "post_stop")))
        ref.tell(Do(hang))
        await wait_all_tasks_blocked()
        ref.stop()
        await trio.sleep(10)
        assert not kept
        ref.kill()
        with trio.fail_after(1):
            await ref.wait_stopped()
    assert kept == ["post_stop"]


async def test_kill_takes_the_whole_subtree_with_it(autojump_clock: MockClock) -> None:
    log: list[Any] = []
    async with ActorSystem("test") as system:
        parent = await system.spawn(partial(Recorder, post_stop=noting(log, "parent")))
        child = await spawn_child(parent, partial(Recorder, post_stop=noting(log, "child")))
        child.tell(Do(hang))
        await wait_all_tasks_blocked()
        parent.kill()
        with trio.fail_after(1):
            await parent.wait_stopped()
        assert not child.is_alive
    assert log == ["child", "parent"]


async def test_a_handler_that_ends_well_in_spite_of_a_kill_is_the_last(autojump_clock: MockClock) -> None:
    kept: list[Any] = []

    async def deaf(ctx: Context) -> None:
        with trio.CancelScope(shield=True):
            await trio.sleep(2)
        kept.append("done")

    async with ActorSystem("test") as system:
        ref = await system.spawn(partial(Recorder, kept))
        ref.tell(Do(deaf))
        ref.tell(Note(1))
        await wait_all_tasks_blocked()
        ref.kill()
        await ref.wait_stopped()
    assert kept == ["done"]


# The order


async def test_children_stop_before_their_parents_depth_first() -> None:
    log: list[Any] = []

    def member(ctx: Context) -> None:
        log.append(ctx.self.name)

    async with ActorSystem("test") as system:
        member_of_tree = partial(Recorder, post_stop=member)
        root = await system.spawn(member_of_tree, name="root")
        for branch_name in ("a", "b"):
            branch = await spawn_child(root, member_of_tree, branch_name)
            for leaf_name in ("1", "2"):
                await spawn_child(branch, member_of_tree, branch_name + leaf_name)
        root.stop()
        await root.wait_stopped()
    assert len(log) == 7
    assert log[-1] == "root"
    for branch_name in ("a", "b"):
        below = {log.index(branch_name + leaf_name) for leaf_name in ("1", "2")}
        assert max(below) < log.index(branch_name)


async def test_a_parent_waits_for_a_slow_child(autojump_clock: MockClock) -> None:
    log: list[tuple[str, float]] = []

    async def post_stop(ctx: Context) -> None:
        await trio.sleep(3)
        log.append((ctx.self.name, trio.current_time()))

    async with ActorSystem("test") as system:
        root = await system.spawn(partial(Recorder, post_stop=post_stop), name="root")
        for name in ("a", "b"):
            await spawn_child(root, partial(Recorder, post_stop=post_stop), name)
        began = trio.current_time()
        root.stop()
        await root.wait_stopped()
    assert log[-1] == ("root", began + 6)
    assert {time for _, time in log[:2]} == {began + 3}  # siblings stop side by side


async def test_first_children_then_tasks_then_post_stop_then_resources_then_the_watchers() -> None:
    log: list[Any] = []

    async def task() -> None:
        try:
            await trio.sleep_forever()
        finally:
            log.append("task")

    async def pre_start(ctx: Context) -> None:
        await ctx.enter(resource(log, "1"))
        await ctx.enter(resource(log, "2"))
        await ctx.spawn(partial(Recorder, post_stop=noting(log, "child")))
        ctx.nursery.start_soon(task)
        await wait_all_tasks_blocked()

    async with ActorSystem("test") as system:
        ref = await system.spawn(partial(Recorder, pre_start=pre_start, post_stop=noting(log, "post_stop")))
        watcher = await system.spawn(partial(Recorder, log))
        await watcher.ask(Do(lambda ctx: ctx.watch(ref)))
        del log[:2]
        ref.stop()
        await ref.wait_stopped()
        await wait_all_tasks_blocked()
    assert log[:-1] == ["child", "task", "post_stop", "close 2", "close 1"]
    assert log[-1].ref == ref


async def test_a_stopped_child_disappears_from_its_parent() -> None:
    async with ActorSystem("test") as system:
        parent = await system.spawn(Recorder)
        child = await spawn_child(parent, Recorder, "child")
        child.stop()
        await child.wait_stopped()
        assert await parent.ask(Do(lambda ctx: ctx.children)) == ()
        assert parent.statistics().children == 0
        assert await spawn_child(parent, Recorder, "child") != child


# wait_stopped


async def test_any_number_may_wait_for_the_end(autojump_clock: MockClock) -> None:
    async with ActorSystem("test") as system, trio.open_nursery() as nursery:
        ref = await system.spawn(partial(Recorder, post_stop=sleeping(1)))
        for _ in range(3):
            nursery.start_soon(ref.wait_stopped)
        await wait_all_tasks_blocked()
        assert len(nursery.child_tasks) == 3
        ref.stop()


async def test_waiting_for_the_end_can_be_given_up(autojump_clock: MockClock) -> None:
    async with ActorSystem("test") as system:
        ref = await system.spawn(Recorder)
        with trio.move_on_after(1) as scope:
            await ref.wait_stopped()
        assert scope.cancelled_caught
        assert ref.is_alive
        ref.stop()
        await ref.wait_stopped()


async def test_an_actor_that_waits_for_its_own_end_is_told_so() -> None:
    async def wait_for_itself(ctx: Context) -> None:
        with pytest.raises(RuntimeError, match="own end"):
            await ctx.self.wait_stopped()

    async with ActorSystem("test") as system:
        ref: ActorRef = await system.spawn(Recorder)
        await ref.ask(Do(wait_for_itself))


async def test_waiting_for_one_that_has_gone_is_a_checkpoint() -> None:
    async with ActorSystem("test") as system:
        ref = await system.spawn(Recorder)
        ref.stop()
        await ref.wait_stopped()
        with assert_checkpoints():
            await ref.wait_stopped()
