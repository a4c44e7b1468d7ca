from __future__ import annotations

import threading
from functools import partial
from random import Random
from typing import Any

import pytest
import trio
from trio.testing import MockClock
from trio.testing import wait_all_tasks_blocked as settle

from tests.core.actors import Boom, Do, Recorder, spawn_child
from trioakt import ActorRef, ActorSystem, Context, Terminated
from trioakt.observability import Correlation, correlated, correlation_id


def system(seed: int | None = None) -> ActorSystem:
    return ActorSystem("test", extensions=[Correlation()], rng=None if seed is None else Random(seed))


class Noting(Recorder):
    """Keeps the id under which it is sent anything."""

    async def receive(self, ctx: Context, msg: Any) -> None:
        if isinstance(msg, Do | Boom):
            await super().receive(ctx, msg)
        else:
            self.kept.append(correlation_id())


async def noting(running: ActorSystem) -> tuple[ActorRef, list[Any]]:
    kept: list[Any] = []
    return await running.spawn(Noting, kept), kept


def test_there_is_no_id_outside_of_everything() -> None:
    assert correlation_id() is None


async def test_a_message_from_outside_has_a_new_id_each_time() -> None:
    async with system() as running:
        ref, ids = await noting(running)
        ref.tell("a")
        ref.tell("b")
        await settle()
    assert len(set(ids)) == 2
    assert all(len(each) == 16 and int(each, 16) for each in ids)


async def test_a_seeded_system_makes_the_same_ids_again() -> None:
    runs: list[list[Any]] = []
    for _ in range(2):
        async with system(seed=7) as running:
            ref, ids = await noting(running)
            ref.tell("a")
            await settle()
        runs.append(ids)
    assert runs[0] == runs[1]


async def test_what_is_sent_in_a_block_has_its_id_and_so_has_all_that_follows() -> None:
    async with system() as running:
        last, ids = await noting(running)
        middle = await running.spawn(Recorder)
        with correlated("order-7"):
            middle.tell(Do(lambda ctx: last.tell("told")))
            await middle.ask(Do(lambda ctx: last.ask(Do(lambda inner: ids.append(correlation_id())))))
            assert correlation_id() == "order-7"
        await settle()
        assert correlation_id() is None
        last.tell("later")
        await settle()
    assert ids[:2] == ["order-7"] * 2
    assert ids[2] != "order-7"


async def test_blocks_nest() -> None:
    with correlated("outer"):
        with correlated("inner"):
            assert correlation_id() == "inner"
        assert correlation_id() == "outer"


async def test_an_actor_handles_each_message_under_its_own_id() -> None:
    async with system() as running:
        ref, ids = await noting(running)
        for each in "a", "b", "a":
            with correlated(each):
                ref.tell("hello")
        await settle()
    assert ids == ["a", "b", "a"]


async def test_a_message_that_is_forwarded_keeps_its_id() -> None:
    async with system() as running:
        last, ids = await noting(running)
        first = await running.spawn_func(lambda ctx, msg: ctx.forward(last))
        with correlated("order-7"):
            first.tell("hello")
        await settle()
    assert ids == ["order-7"]


async def test_a_message_that_was_stashed_is_handled_under_its_own_id() -> None:
    ids: list[Any] = []

    def stashing(ctx: Context, msg: Any) -> None:
        if msg == "now":
            ctx.become(lambda ctx, msg: ids.append(correlation_id()))
            ctx.unstash_all()
        else:
            ctx.stash()

    async with system() as running:
        ref = await running.spawn_func(stashing)
        for order, msg in ("order-7", "wait"), ("order-8", "now"):
            with correlated(order):
                ref.tell(msg)
        await settle()
    assert ids == ["order-7"]


async def test_tasks_pipes_and_schedules_of_a_handler_have_its_id(autojump_clock: MockClock) -> None:
    async def work() -> str:
        await trio.sleep(1)
        return "result"

    def start(ctx: Context, last: ActorRef) -> None:
        async def task() -> None:
            await trio.sleep(2)
            last.tell("from a task")

        ctx.nursery.start_soon(task)
        ctx.pipe_to(last, work)
        ctx.system.scheduler.once(3.0, last, "later")
        ctx.system.scheduler.every(4.0, last, "again")

    async with system() as running:
        last, ids = await noting(running)
        first = await running.spawn(Recorder)
        with correlated("order-7"):
            first.tell(Do(lambda ctx: start(ctx, last)))
        await trio.sleep(9)
    assert ids == ["order-7"] * 5


async def test_what_supervision_does_after_a_failure_has_the_id_of_the_message_that_failed() -> None:
    async with system() as running:
        watcher, ids = await noting(running)
        ref = await running.spawn(partial(Recorder, pre_start=lambda ctx: watcher.tell("started")))
        with correlated("order-7"):
            ref.tell(Boom(ValueError()))
        await settle()
    assert ids[1] == "order-7"
    assert ids[0] != "order-7"


async def test_the_news_of_an_end_has_an_id_too() -> None:
    ids: list[Any] = []

    class Watching(Recorder):
        async def receive(self, ctx: Context, msg: Any) -> None:
            if isinstance(msg, Terminated):
                ids.append(correlation_id())
            else:
                await super().receive(ctx, msg)

    async with system() as running:
        watched = await running.spawn(Recorder)
        watcher = await running.spawn(Watching)
        await watcher.ask(Do(lambda ctx: ctx.watch(watched)))
        watched.kill()
        await settle()
    assert len(ids) == 1
    assert ids[0] is not None


async def test_routed_and_published_messages_keep_the_id() -> None:
    kept: list[Any] = []
    async with system() as running:
        router = await running.spawn_router(Noting, kept, size=2)
        one, _ = await noting(running)
        running.topics.subscribe_ref("news", await running.spawn(Noting, kept))
        with correlated("order-7"):
            router.tell("a")
            running.topics.publish("news", "b")
        await settle()
        assert one.is_alive
    assert kept == ["order-7"] * 2


async def test_an_actor_does_not_go_on_with_the_id_under_which_it_was_spawned() -> None:
    ids: list[Any] = []
    async with system() as running:
        parent = await running.spawn(Recorder)
        with correlated("order-7"):
            child = await spawn_child(parent, partial(Noting, ids))
        child.tell("hello")
        await settle()
    assert ids
    assert ids[0] not in {None, "order-7"}


async def test_two_systems_may_share_one() -> None:
    shared = Correlation()
    async with ActorSystem("one", extensions=[shared]) as one, ActorSystem("two", extensions=[shared]) as two:
        ref, ids = await noting(two)
        first = await one.spawn(Recorder)
        with correlated("order-7"):
            first.tell(Do(lambda ctx: ref.tell("over")))
        await settle()
    assert ids == ["order-7"]


@pytest.mark.parametrize("bad", ["", "x" * 129, "two\nlines", "\x1b[31m"])
def test_an_id_that_could_break_a_log_is_refused(bad: str) -> None:
    with pytest.raises(ValueError, match="a correlation id is 1 to 128 printable characters"), correlated(bad):
        pytest.fail("it was taken")


async def test_an_id_goes_into_threads_with_the_work() -> None:
    with correlated("order-7"):
        assert await trio.to_thread.run_sync(correlation_id) == "order-7"


async def test_what_another_thread_sends_through_the_portal_has_the_id_of_that_thread() -> None:
    async with system() as running:
        ref, ids = await noting(running)

        def send() -> None:
            with correlated("order-7"):
                running.portal.tell(ref, "hello")

        thread = threading.Thread(target=send)
        thread.start()
        await trio.to_thread.run_sync(thread.join)
        await settle()
    assert ids == ["order-7"]
