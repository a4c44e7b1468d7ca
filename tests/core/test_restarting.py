"""A restart: what it keeps, what it closes, in which order, and what happens when a hook fails on the way."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock
from trio.testing import wait_all_tasks_blocked as settle

from tests.core.actors import Do, Recorder, collected, resource
from tests.core.crew import Asking, Diarist, Question, Trouble, WorseTrouble, ask_soon, what_leaves
from trioakt import (
    Actor,
    ActorFailed,
    ActorRef,
    ActorRestarted,
    ActorSystem,
    Backoff,
    Bounded,
    Context,
    DeadLetter,
    DeadLetterReason,
    OneForOne,
    Terminated,
)

FINE = "are you fine?"


class Householder(Diarist):
    """A diarist with children, resources and a stash."""

    async def pre_start(self, ctx: Context) -> None:
        for name in ("outer", "inner"):
            await ctx.enter(resource(self.diary, name))
        await super().pre_start(ctx)
        for name in ("child1", "child2"):
            await ctx.spawn(Diarist, self.diary, name=name)

    def pre_restart(self, ctx: Context, error: BaseException, msg: Any) -> None:
        self.write(ctx, f"fails with {error} on {msg!r}")

    async def receive(self, ctx: Context, msg: Any) -> None:
        if isinstance(msg, str) and msg.startswith("later"):
            self.write(ctx, f"stashes {msg}")
            ctx.stash()
        else:
            await super().receive(ctx, msg)


class FailingHook(Diarist):
    """Fails once in each hook that is named."""

    def __init__(self, diary: list[str], troubles: set[str]) -> None:
        super().__init__(diary)
        self.troubles = troubles

    def run(self, ctx: Context, hook: str) -> None:
        self.write(ctx, hook)
        if hook in self.troubles:
            self.troubles.remove(hook)
            raise WorseTrouble

    async def pre_start(self, ctx: Context) -> None:
        self.run(ctx, "pre_start")

    async def post_stop(self, ctx: Context) -> None:
        self.run(ctx, "post_stop")


class FailingHookAtRestart(FailingHook):
    async def pre_restart(self, ctx: Context, error: BaseException, msg: Any) -> None:
        self.run(ctx, "pre_restart")


async def test_a_restart_takes_its_steps_in_order() -> None:
    async with ActorSystem("test") as system:
        diary: list[str] = []
        ref = await system.spawn(Householder, diary, name="a")
        start = ["open outer", "open inner", "a starts", "child1 starts", "child2 starts"]
        assert diary == start
        diary.clear()
        ref.tell(Trouble("oh no"))
        await settle()
        assert diary[0].startswith("a fails with oh no on Trouble(")
        assert sorted(diary[1:3]) == ["child1 stops", "child2 stops"]
        assert diary[3:] == ["close inner", "close outer", *start]


async def test_the_children_of_a_restarted_actor_are_other_ones() -> None:
    async with ActorSystem("test") as system:
        ref = await system.spawn(Householder, list[str](), name="a")
        before = system.actor("a/child1")
        ref.tell(Trouble())
        await settle()
        after = system.actor("a/child1")
        assert before is not None
        assert after is not None
        assert not before.is_alive
        assert after.is_alive
        assert before != after


async def test_a_restart_keeps_the_ref_the_name_and_the_mailbox() -> None:
    async with ActorSystem("test") as system:
        diary: list[str] = []
        ref = await system.spawn(Diarist, diary, name="a")
        for message in ("x", Trouble(), "y", "z"):
            ref.tell(message)
        await settle()
        assert diary == ["a starts", "a x", "a stops", "a starts", "a y", "a z"]
        assert system.actor("a") == ref
        assert ref.is_alive


async def test_a_restart_keeps_the_options_of_the_spawn() -> None:
    async with ActorSystem("test", supervision=OneForOne(max_restarts=0)) as system, trio.open_nursery() as nursery:
        strategy = OneForOne({WorseTrouble: OneForOne().default}, max_restarts=5)
        ref = await system.spawn(Diarist, supervision=strategy, mailbox=Bounded(1))
        for _ in range(5):
            ref.tell(WorseTrouble())
            await settle()
        assert ref.statistics().restarts == 5
        gate = trio.Event()
        askings: list[Asking] = []
        for message in (gate, Question(FINE), Question("one too many")):
            askings.append(ask_soon(nursery, ref, message))
            await settle()
        gate.set()
        await settle()
        assert [type(asking.outcome).__name__ for asking in askings] == ["NoReplyError", "str", "MailboxFullError"]


async def test_a_restart_keeps_the_watchers_and_tells_them_nothing() -> None:
    heard: list[Any] = []
    async with ActorSystem("test") as system:
        ref = await system.spawn(Diarist)
        watcher = await system.spawn(Recorder, heard)
        await watcher.ask(Do(lambda ctx: ctx.watch(ref)))
        ref.tell(Trouble())
        await settle()
        assert heard == []
        ref.stop()
        await settle()
        assert [type(each) for each in heard] == [Terminated]
        assert heard[0].ref == ref


async def test_a_restart_calls_the_recipe_with_its_arguments_again() -> None:
    made: list[tuple[object, ...]] = []

    def recipe(*args: object) -> Actor:
        made.append(args)
        return Diarist()

    async with ActorSystem("test") as system:
        ref = await system.spawn(recipe, 1, "two")
        ref.tell(Trouble())
        await settle()
        assert made == [(1, "two"), (1, "two")]


async def test_everything_an_actor_does_runs_in_one_task() -> None:
    tasks: list[trio.lowlevel.Task] = []

    class Everywhere(Actor):
        def pre_start(self, ctx: Context) -> None:
            tasks.append(trio.lowlevel.current_task())

        def receive(self, ctx: Context, msg: object) -> None:
            tasks.append(trio.lowlevel.current_task())
            raise Trouble

        def pre_restart(self, ctx: Context, error: BaseException, msg: object) -> None:
            tasks.append(trio.lowlevel.current_task())

        post_stop = pre_start

    async with ActorSystem("test") as system:
        ref = await system.spawn(Everywhere)
        ref.tell("x")
        await settle()
        ref.stop()
        await ref.wait_stopped()
        assert len(tasks) == 5
        assert len(set(tasks)) == 1


async def test_the_stash_goes_back_to_the_front_of_the_mailbox() -> None:
    async with ActorSystem("test") as system:
        diary: list[str] = []
        ref = await system.spawn(StashesOnce, diary, set[str](), name="a")
        for message in ("1", "2", Trouble(), "3"):
            ref.tell(message)
        await settle()
        assert diary == ["a starts", "a stashes 1", "a stashes 2", "a stops", "a starts", "a 1", "a 2", "a stashes 3"]


class StashesOnce(Diarist):
    """Stashes each message the first time that any of its lives sees it."""

    def __init__(self, diary: list[str], seen: set[str]) -> None:
        super().__init__(diary)
        self.seen = seen

    async def receive(self, ctx: Context, msg: Any) -> None:
        if isinstance(msg, str) and msg not in self.seen:
            self.seen.add(msg)
            self.write(ctx, f"stashes {msg}")
            ctx.stash()
        else:
            await super().receive(ctx, msg)


async def test_pre_restart_is_called_on_the_failed_instance_with_the_error_and_the_message() -> None:
    seen: list[object] = []

    class Careful(Actor):
        def receive(self, ctx: Context, msg: object) -> None:
            self.failed_on = msg
            raise Trouble("here")

        def pre_restart(self, ctx: Context, error: BaseException, msg: object) -> None:
            seen.extend([str(error), msg, self.failed_on])

    async with ActorSystem("test") as system:
        ref = await system.spawn(Careful)
        ref.tell("x")
        await settle()
        assert seen == ["here", "x", "x"]


@pytest.mark.parametrize(("kind", "hook"), [(FailingHook, "post_stop"), (FailingHookAtRestart, "pre_restart")])
async def test_post_stop_is_called_at_a_restart_unless_pre_restart_is_overridden(
    kind: type[FailingHook], hook: str
) -> None:
    async with ActorSystem("test") as system:
        diary: list[str] = []
        ref = await system.spawn(kind, diary, set[str](), name="a")
        ref.tell(Trouble())
        await settle()
        assert diary == ["a pre_start", f"a {hook}", "a pre_start"]


@pytest.mark.parametrize(("kind", "hook"), [(FailingHook, "post_stop"), (FailingHookAtRestart, "pre_restart")])
async def test_a_failing_hook_at_the_end_of_a_life_is_an_event_and_the_restart_goes_on(
    kind: type[FailingHook], hook: str
) -> None:
    async with ActorSystem("test") as system:
        diary: list[str] = []
        ref = await system.spawn(kind, diary, {hook}, name="a")
        with collected(system, ActorFailed, ActorRestarted) as events:
            ref.tell(Trouble())
            assert await ref.ask(Question(FINE)) == FINE
        assert [type(event) for event in events] == [ActorFailed, ActorFailed, ActorRestarted]
        assert [event.failure.type_name.rpartition(".")[2] for event in events[:2]] == ["Trouble", "WorseTrouble"]
        assert diary == ["a pre_start", f"a {hook}", "a pre_start"]


async def test_a_pre_restart_that_hangs_has_the_grace_of_a_stop(autojump_clock: MockClock) -> None:
    class Hanging(Diarist):
        async def pre_restart(self, ctx: Context, error: BaseException, msg: Any) -> None:
            await trio.sleep_forever()

    async with ActorSystem("test") as system:
        ref = await system.spawn(Hanging, stop_grace=2.0)
        ref.tell(Trouble())
        assert await ref.ask(Question(FINE)) == FINE
        assert trio.current_time() == pytest.approx(2.0)


async def test_a_start_that_fails_at_a_restart_is_one_more_failure() -> None:
    """Within the budget it is tried again, and the message that failed first is not."""
    async with ActorSystem("test") as system:
        diary: list[str] = []
        troubles: set[str] = set()
        ref = await system.spawn(FailingHook, diary, troubles, name="a")
        troubles.add("pre_start")
        ref.tell(Trouble())
        assert await ref.ask(Question(FINE)) == FINE
        assert diary.count("a pre_start") == 3
        assert (ref.statistics().failures, ref.statistics().restarts) == (2, 1)


async def test_a_start_that_always_fails_uses_up_the_budget() -> None:
    class StartsOnce(Diarist):
        async def pre_start(self, ctx: Context) -> None:
            self.write(ctx, "starts")
            if len(self.diary) > 1:
                raise WorseTrouble

    diary: list[str] = []

    async def body(system: ActorSystem) -> None:
        ref = await system.spawn(StartsOnce, diary, name="a")
        ref.tell(Trouble())

    (error,) = await what_leaves(body, OneForOne())
    assert isinstance(error, WorseTrouble)
    assert diary.count("a starts") == 4


async def test_a_recipe_that_fails_at_a_restart_is_one_more_failure() -> None:
    troubles: list[Exception | None] = [None, Trouble("no clay"), None]

    def recipe() -> Actor:
        if trouble := troubles.pop(0):
            raise trouble
        return Diarist()

    async with ActorSystem("test") as system:
        ref = await system.spawn(recipe)
        ref.tell(Trouble())
        assert await ref.ask(Question(FINE)) == FINE
        assert ref.statistics().failures == 2


async def test_a_start_that_takes_too_long_at_a_restart_is_one_more_failure(autojump_clock: MockClock) -> None:
    delays = [0.0, 100.0, 1.0]

    class SlowStart(Diarist):
        async def pre_start(self, ctx: Context) -> None:
            await trio.sleep(delays.pop(0))

    async with ActorSystem("test") as system:
        ref = await system.spawn(SlowStart, init_timeout=3.0)
        ref.tell(Trouble())
        assert await ref.ask(Question(FINE)) == FINE
        assert trio.current_time() == pytest.approx(4.0)


async def test_a_resource_that_fails_to_close_does_not_stop_the_restart() -> None:
    class Sticky:
        async def __aenter__(self) -> None:
            pass

        async def __aexit__(self, *details: object) -> None:
            raise WorseTrouble

    class Holder(Diarist):
        async def pre_start(self, ctx: Context) -> None:
            await ctx.enter(resource(self.diary))
            await ctx.enter(Sticky())

    async with ActorSystem("test") as system:
        diary: list[str] = []
        ref = await system.spawn(Holder, diary)
        ref.tell(Trouble())
        assert await ref.ask(Question(FINE)) == FINE
        assert diary[0] == "open resource"
        assert diary.count("close resource") == 1


async def test_a_reply_of_an_earlier_life_comes_too_late_for_nobody() -> None:
    """An asker whose request failed hears of it once; the new instance knows nothing of it."""
    async with ActorSystem("test") as system, trio.open_nursery() as nursery:
        ref = await system.spawn(Diarist)
        asking = ask_soon(nursery, ref, Trouble())
        await settle()
        assert isinstance(asking.outcome.__cause__, Trouble)
        assert await ref.ask(Question(FINE)) == FINE
        assert system.statistics().late_replies == 0


@pytest.mark.parametrize("end", [ActorRef.stop, ActorRef.kill])
async def test_an_actor_can_be_ended_while_it_waits_for_its_restart(end: Any, autojump_clock: MockClock) -> None:
    strategy = OneForOne(backoff=Backoff(initial=100.0, maximum=100.0, jitter=0.0))
    async with ActorSystem("test", supervision=strategy) as system:
        diary: list[str] = []
        ref = await system.spawn(Diarist, diary, name="a")
        ref.tell(Trouble())
        ref.tell("x")
        await trio.sleep(1)
        with collected(system, DeadLetter) as letters:
            end(ref)
            await ref.wait_stopped()
        assert trio.current_time() == pytest.approx(1.0)
        assert [(letter.message, letter.reason) for letter in letters] == [("x", DeadLetterReason.STOPPED)]
        assert diary == ["a starts", "a stops"]


async def test_a_stop_during_a_slow_restart_ends_the_actor(autojump_clock: MockClock) -> None:
    class SlowStart(Diarist):
        async def pre_start(self, ctx: Context) -> None:
            await super().pre_start(ctx)
            await trio.sleep(1)

    async with ActorSystem("test") as system:
        diary: list[str] = []
        ref = await system.spawn(SlowStart, diary, name="a")
        ref.tell(Trouble())
        await settle()
        assert diary == ["a starts", "a stops", "a starts"]
        ref.stop()
        await ref.wait_stopped()
        assert trio.current_time() <= 2.0


async def test_a_child_that_will_not_stop_delays_the_restart_by_its_grace_at_most(autojump_clock: MockClock) -> None:
    class Stubborn(Actor):
        async def receive(self, ctx: Context, msg: object) -> None:
            await trio.sleep_forever()

    class Host(Diarist):
        async def pre_start(self, ctx: Context) -> None:
            await super().pre_start(ctx)
            child = await ctx.spawn(Stubborn, stop_grace=3.0)
            child.tell("busy")

    async with ActorSystem("test") as system:
        ref = await system.spawn(Host)
        await settle()
        ref.tell(Trouble())
        assert await ref.ask(Question(FINE)) == FINE
        assert trio.current_time() <= 3.0
