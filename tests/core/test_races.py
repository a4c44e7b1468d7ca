"""Races: stops, kills, failures, watches and messages that meet at any moment; each message, each ask has one end."""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import Any

import attrs
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.core.actors import Boom, Do, Get, Note, Recorder, Sleep, collected, noting, sleeping, spawn_child
from trioakt import (
    Actor,
    ActorRef,
    ActorSystem,
    Backoff,
    Bounded,
    Context,
    DeadLetter,
    OneForOne,
    PoisonPill,
    Terminated,
    TrioaktError,
)

PATIENT = OneForOne(max_restarts=1_000_000)
STEPS = [
    "note",
    "send",
    "ask",
    "busy",
    "fail",
    "fail in a task",
    "stop",
    "kill",
    "poison",
    "watch",
    "unwatch",
    "child",
    "replace",
    "checkpoint",
    "settle",
    "second",
]


@attrs.define
class Scene:
    """Some actors to play with, and what became of the messages."""

    system: ActorSystem
    nursery: trio.Nursery
    watcher: ActorRef
    kept: list[Any] = attrs.field(factory=list[Any])
    actors: list[ActorRef] = attrs.field(factory=list[ActorRef])
    everybody: list[ActorRef] = attrs.field(factory=list[ActorRef])
    watched: set[ActorRef] = attrs.field(factory=set[ActorRef])
    watches: Counter[ActorRef] = attrs.field(factory=Counter[ActorRef])
    told: int = 0
    refused: int = 0
    asked: int = 0
    answered: int = 0

    async def spawn(self) -> ActorRef:
        recipe = partial(Recorder, self.kept, post_stop=sleeping(0.5))
        self.everybody.append(await self.system.spawn(recipe, supervision=PATIENT, mailbox=Bounded(3)))
        return self.everybody[-1]

    async def play(self, step: str, index: int) -> None:
        ref = self.actors[index]
        match step:
            case "note":
                self._tell(ref)
            case "send":
                self.told += 1
                self.nursery.start_soon(self._send, ref, Note(self.told))
            case "ask":
                self.asked += 1
                self.nursery.start_soon(self._ask, ref)
            case "watch":
                self.watched.add(ref)
                self.watches[ref] += 1
                self.watcher.tell(Do(lambda ctx: ctx.watch(ref)))
            case "unwatch":
                self.watched.discard(ref)
                self.watcher.tell(Do(lambda ctx: ctx.unwatch(ref)))
            case "stop" | "kill":
                getattr(ref, step)()
            case "replace":
                self.actors[index] = await self.spawn()
            case "checkpoint":
                await trio.lowlevel.checkpoint()
            case "settle":
                await wait_all_tasks_blocked()
            case "second":
                await trio.sleep(1)
            case _:
                self._disturb(ref, step)

    def _tell(self, ref: ActorRef) -> None:
        self.told += 1
        try:
            ref.tell(Note(self.told))
        except TrioaktError:
            self.refused += 1

    async def _send(self, ref: ActorRef, note: Note) -> None:
        try:
            await ref.send(note)
        except TrioaktError:
            self.refused += 1

    async def _ask(self, ref: ActorRef) -> None:
        try:
            await ref.ask(Get())
        except TrioaktError:
            pass
        finally:
            self.answered += 1

    @staticmethod
    def _disturb(ref: ActorRef, step: str) -> None:
        disturbances: dict[str, Any] = {
            "busy": Sleep(0.7),
            "fail": Boom(OSError()),
            "fail in a task": Do(lambda ctx: ctx.nursery.start_soon(_fail)),
            "child": Do(lambda ctx: ctx.spawn(Recorder)),
            "poison": PoisonPill(),
        }
        try:
            ref.tell(disturbances[step])
        except TrioaktError:  # full
            return


async def _fail() -> None:
    raise OSError


async def _play(steps: list[tuple[str, int]]) -> None:
    heard: list[Any] = []
    lost: list[Any] = []
    with trio.fail_after(1000):
        async with ActorSystem("test") as system:
            with collected(system, DeadLetter) as letters:
                async with trio.open_nursery() as nursery:
                    scene = Scene(system, nursery, await system.spawn(partial(Recorder, heard)))
                    scene.actors = [await scene.spawn() for _ in range(3)]
                    for step, index in steps:
                        await scene.play(step, index)
                    await wait_all_tasks_blocked()
                    for ref in scene.everybody:
                        ref.stop()
                        await ref.wait_stopped()
                await wait_all_tasks_blocked()
                lost += [letter.message for letter in letters if isinstance(letter.message, Note)]
            assert system.actors() == (scene.watcher,)
    assert scene.answered == scene.asked, "every ask ends"
    ends = Counter(note.number for note in scene.kept + lost)
    assert max(ends.values(), default=1) == 1, "a message has one end"
    assert len(ends) == scene.told - scene.refused, "and each has one"
    news = Counter(message.ref for message in heard if isinstance(message, Terminated))
    assert set(news) >= scene.watched, "who watches hears of the end"
    assert news <= scene.watches, "and not more often than it asked"


@settings(max_examples=60)
@given(st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 2)), max_size=40))
def test_whatever_meets_whatever_each_message_and_each_ask_has_one_end(steps: list[tuple[str, int]]) -> None:
    trio.run(_play, steps, clock=MockClock(autojump_threshold=0))


# Single moments


@pytest.mark.parametrize("end", ["stop", "kill"])
@pytest.mark.parametrize("moment", ["pre_restart", "second pre_start", "backoff", "post_stop of a child"])
async def test_an_end_that_meets_a_restart_ends_the_actor(end: str, moment: str, autojump_clock: MockClock) -> None:
    lives: list[int] = []
    log: list[str] = []

    class Restarting(Actor):
        async def pre_start(self, ctx: Context) -> None:
            lives.append(1)
            if moment == "post_stop of a child":
                await ctx.spawn(partial(Recorder, post_stop=sleeping(3)))
            if moment == "second pre_start" and len(lives) > 1:
                await trio.sleep(3)

        async def receive(self, ctx: Context, msg: object) -> None:
            raise OSError

        async def pre_restart(self, ctx: Context, error: BaseException, msg: object) -> None:
            if moment == "pre_restart":
                await trio.sleep(3)
            log.append("pre_restart")

        def post_stop(self, ctx: Context) -> None:
            log.append("post_stop")

    backoff = Backoff(initial=3) if moment == "backoff" else None
    async with ActorSystem("test") as system:
        ref = await system.spawn(Restarting, supervision=OneForOne(backoff=backoff))
        ref.tell("fail")
        await trio.sleep(1)
        began = trio.current_time()
        getattr(ref, end)()
        with trio.fail_after(10):
            await ref.wait_stopped()
        assert trio.current_time() <= began + 5
        assert not system.actors()
    assert log.count("pre_restart") == 1


@pytest.mark.parametrize("how", ["raises", "hangs"])
async def test_a_pre_restart_that_raises_or_hangs_does_not_prevent_the_restart(
    how: str, autojump_clock: MockClock
) -> None:
    log: list[str] = []

    class Restarting(Recorder):
        async def pre_restart(self, ctx: Context, error: BaseException, msg: object) -> None:
            log.append("pre_restart")
            if how == "raises":
                raise LookupError
            await trio.sleep_forever()

    async with ActorSystem("test") as system:
        ref = await system.spawn(Restarting)
        ref.tell(Note())
        ref.tell(Boom(OSError()))
        with trio.fail_after(10):
            assert await ref.ask(Get()) == 0
    assert log == ["pre_restart"]


async def test_a_pre_restart_that_is_cancelled_with_the_whole_system_still_lets_it_end(
    autojump_clock: MockClock,
) -> None:
    class Restarting(Recorder):
        async def pre_restart(self, ctx: Context, error: BaseException, msg: object) -> None:
            await trio.sleep_forever()

    began = trio.current_time()
    with trio.move_on_after(1) as scope:
        async with ActorSystem("test") as system:
            (await system.spawn(Restarting)).tell(Boom(OSError()))
            await trio.sleep_forever()
    assert scope.cancelled_caught
    assert trio.current_time() <= began + 7


@pytest.mark.parametrize("order", ["watch first", "stop first"])
async def test_a_watch_and_a_stop_in_one_breath_give_the_news_once(order: str) -> None:
    heard: list[Any] = []

    def both(ctx: Context) -> None:
        if order == "watch first":
            ctx.watch(ref)
        ref.stop()
        ctx.watch(ref)

    async with ActorSystem("test") as system:
        ref = await system.spawn(Recorder)
        watcher = await system.spawn(partial(Recorder, heard))
        await watcher.ask(Do(both))
        await ref.wait_stopped()
        await wait_all_tasks_blocked()
    assert [message.ref for message in heard] == [ref]


async def test_a_child_that_stops_itself_while_its_parent_stops_ends_once() -> None:
    log: list[Any] = []

    def stop_parent_and_self(ctx: Context) -> None:
        parent.stop()
        ctx.stop()

    async with ActorSystem("test") as system:
        parent = await system.spawn(partial(Recorder, post_stop=noting(log, "parent")))
        child = await spawn_child(parent, partial(Recorder, post_stop=noting(log, "child")))
        child.tell(Do(stop_parent_and_self))
        await parent.wait_stopped()
    assert log == ["child", "parent"]


async def test_a_child_that_escalates_while_its_parent_stops_does_not_revive_anybody(autojump_clock: MockClock) -> None:
    class Passing(Recorder):
        supervision = OneForOne(max_restarts=0)

    async def fail_late(ctx: Context) -> None:
        await trio.sleep(1)
        raise OSError

    async with ActorSystem("test") as system:
        parent = await system.spawn(Passing)
        child = await spawn_child(parent, Recorder)
        child.tell(Do(fail_late))
        await wait_all_tasks_blocked()
        parent.stop()
        with trio.fail_after(5):
            await parent.wait_stopped()
        assert not system.actors()


async def test_a_parent_that_restarts_while_its_child_starts_leaves_one_child(autojump_clock: MockClock) -> None:
    async def pre_start(ctx: Context) -> None:
        await ctx.spawn(partial(Recorder, pre_start=sleeping(1)), name="child")

    async with ActorSystem("test") as system:
        parent = await system.spawn(partial(Recorder, pre_start=pre_start))
        parent.tell(Boom(OSError()))
        parent.tell(Do(lambda ctx: ctx.spawn(partial(Recorder, pre_start=sleeping(1)))))
        parent.tell(Do(lambda ctx: ctx.nursery.start_soon(_fail)))
        await trio.sleep(10)
        assert [ref.name for ref in system.actors()] == [parent.name, "child"]


async def test_an_actor_that_is_stopped_by_its_own_child_in_its_last_words_ends() -> None:
    async with ActorSystem("test") as system:
        parent = await system.spawn(Recorder)
        await spawn_child(parent, partial(Recorder, post_stop=lambda ctx: parent.kill()))
        parent.stop()
        with trio.fail_after(5):
            await parent.wait_stopped()


async def test_a_handler_that_waits_for_a_parent_that_waits_for_it_is_ended_with_the_system(
    autojump_clock: MockClock,
) -> None:
    async with ActorSystem("test") as system:
        parent = await system.spawn(Recorder)
        child = await spawn_child(parent, Recorder)
        child.tell(Do(lambda ctx: parent.wait_stopped()))
        await wait_all_tasks_blocked()
        parent.stop()
        await trio.sleep(1)
        began = trio.current_time()
    assert trio.current_time() <= began + 5
