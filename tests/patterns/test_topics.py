"""Topics: who hears what is published, what a slow subscriber loses, and when a subscription ends."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock
from trio.testing import wait_all_tasks_blocked as settle

from tests.core.actors import Boom, Do, Note, Recorder, Sleep, collected
from trioakt import (
    ActorRef,
    ActorSystem,
    Bounded,
    DeadLetter,
    DeadLetterReason,
    Missed,
    Overflow,
    Priority,
    TopicStream,
)
from trioakt.patterns.topics import Patterns


@asynccontextmanager
async def subscribed(*patterns: str, **options: Any) -> AsyncGenerator[tuple[ActorSystem, ActorRef, list[Any]]]:
    """Open a system with one actor that subscribes to these patterns, and give what it keeps."""
    kept: list[Any] = []
    async with ActorSystem("test") as system:
        ref = await system.spawn(Recorder, kept, **options)
        for pattern in patterns:
            system.topics.subscribe_ref(pattern, ref)
        yield system, ref, kept


def topics_and_subscribers(system: ActorSystem) -> tuple[int, int]:
    """Return the first two figures."""
    figures = system.topics.statistics()
    return figures.topics, figures.subscribers


async def read(stream: TopicStream, count: int) -> list[Any]:
    """Read so many values."""
    return [await anext(stream) for _ in range(count)]


# Who hears what


async def test_a_task_reads_what_is_published_while_it_subscribes() -> None:
    async with ActorSystem("test") as system:
        system.topics.publish("orders", 1)
        async with system.topics.subscribe("orders") as orders:
            for number in 2, 3:
                system.topics.publish("orders", number)
            system.topics.publish("payments", 4)
            assert await read(orders, 2) == [2, 3]
        assert topics_and_subscribers(system) == (0, 0)


async def test_an_actor_is_told_what_is_published_in_order() -> None:
    async with subscribed("orders") as (system, _, kept):
        for number in range(3):
            system.topics.publish("orders", number)
        await settle()
        assert kept == [0, 1, 2]


async def test_an_actor_sees_who_published() -> None:
    seen: list[Any] = []
    async with subscribed("orders") as (system, ref, _):
        system.topics.publish("orders", Do(lambda ctx: seen.append(ctx.sender)), sender=ref)
        await settle()
        assert seen == [ref]


async def test_every_subscriber_gets_every_message() -> None:
    async with subscribed("orders") as (system, _, kept), system.topics.subscribe("orders") as stream:
        system.topics.publish("orders", 1)
        assert await read(stream, 1) == [1]
        await settle()
        assert kept == [1]


async def test_publishing_for_nobody_is_no_dead_letter() -> None:
    async with ActorSystem("test") as system:
        system.topics.publish("orders", 1)
        assert system.statistics().dead_letters == 0
        assert system.topics.statistics().published == 1


@pytest.mark.parametrize(
    ("pattern", "topic", "heard"),
    [
        ("orders", "orders", True),
        ("orders", "orders.new", False),
        ("orders.*", "orders.new", True),
        ("orders.*", "orders", False),
        ("orders.*", "orders.new.today", False),
        ("*.new", "orders.new", True),
        ("*", "orders", True),
        ("*.*", "orders.new", True),
        ("orders.*.today", "orders.new.today", True),
        ("orders.*.today", "orders.new.tomorrow", False),
    ],
)
async def test_a_star_stands_for_exactly_one_part(pattern: str, topic: str, heard: bool) -> None:
    async with subscribed(pattern) as (system, _, kept):
        system.topics.publish(topic, 1)
        await settle()
        assert kept == [1] * heard


async def test_who_subscribes_to_several_patterns_gets_a_message_once() -> None:
    async with subscribed("orders.new", "orders.*", "orders.*", "*.new") as (system, ref, kept):
        system.topics.publish("orders.new", 1)
        system.topics.unsubscribe_ref("orders.*", ref)
        system.topics.publish("orders.new", 2)
        await settle()
        assert kept == [1, 2]
        assert topics_and_subscribers(system) == (2, 1)


@pytest.mark.parametrize("name", ["", ".", "orders.", ".orders", "a..b", "or*ders", "orders new", "**"])
async def test_what_is_no_topic_is_refused(name: str) -> None:
    async with subscribed() as (system, ref, _):
        with pytest.raises(ValueError, match="topic"):
            system.topics.publish(name, 1)
        with pytest.raises(ValueError, match="topic"):
            system.topics.subscribe_ref(name, ref)
        with pytest.raises(ValueError, match="topic"):
            async with system.topics.subscribe(name):
                pass
        assert topics_and_subscribers(system) == (0, 0)


async def test_publishing_to_a_pattern_is_refused() -> None:
    async with ActorSystem("test") as system:
        with pytest.raises(ValueError, match="orders"):
            system.topics.publish("orders.*", 1)


async def test_a_call_from_another_thread_is_refused() -> None:
    async with subscribed("orders") as (system, _, kept):
        with pytest.raises(RuntimeError, match=r"system\.topics was called from another thread"):
            await trio.to_thread.run_sync(system.topics.publish, "orders", 1)
        await settle()
        assert kept == []


# Those who are slow


async def test_a_slow_reader_is_told_how_many_it_has_missed() -> None:
    async with ActorSystem("test") as system, system.topics.subscribe("orders", buffer=2) as orders:
        for number in range(5):
            system.topics.publish("orders", number)
        assert system.topics.statistics().missed == 3
        assert await read(orders, 3) == [Missed(3), 3, 4]
        system.topics.publish("orders", 5)
        assert await read(orders, 1) == [5]


async def test_a_slow_reader_costs_the_others_nothing() -> None:
    async with (
        ActorSystem("test") as system,
        system.topics.subscribe("orders", buffer=1),
        system.topics.subscribe("orders") as quick,
    ):
        for number in range(3):
            system.topics.publish("orders", number)
        assert await read(quick, 3) == [0, 1, 2]


async def test_what_was_missed_is_still_counted_when_the_reader_has_gone() -> None:
    async with ActorSystem("test") as system:
        async with system.topics.subscribe("orders", buffer=1):
            for number in range(3):
                system.topics.publish("orders", number)
        assert system.topics.statistics().missed == 2


async def test_a_buffer_without_room_is_refused() -> None:
    async with ActorSystem("test") as system:
        with pytest.raises(ValueError, match="at least 1"):
            async with system.topics.subscribe("orders", buffer=0):
                pass


async def test_a_full_mailbox_that_rejects_harms_nobody_and_is_counted() -> None:
    async with subscribed("orders", mailbox=Bounded(1)) as (system, slow, _):
        kept: list[Any] = []
        system.topics.subscribe_ref("orders", await system.spawn(Recorder, kept))
        with collected(system, DeadLetter) as letters:
            for number in range(3):
                system.topics.publish("orders", number)
            await settle()
        assert kept == [0, 1, 2]
        assert [(each.message, each.recipient, each.reason) for each in letters] == [
            (number, slow, DeadLetterReason.MAILBOX_FULL) for number in (1, 2)
        ]
        assert system.topics.statistics().missed == 2


async def test_a_full_mailbox_that_drops_does_so() -> None:
    async with subscribed("orders", mailbox=Bounded(1, overflow=Overflow.DROP_OLDEST)) as (system, _, kept):
        for number in range(3):
            system.topics.publish("orders", number)
        await settle()
        assert kept == [2]


async def test_a_mailbox_that_raises_harms_nobody_and_is_counted() -> None:
    async with subscribed("orders", mailbox=Priority(lambda msg: msg.urgency)) as (system, broken, _):
        kept: list[Any] = []
        system.topics.subscribe_ref("orders", await system.spawn(Recorder, kept))
        with collected(system, DeadLetter) as letters:
            system.topics.publish("orders", Note())
            await settle()
        assert kept == [Note()]
        assert [each.recipient for each in letters] == [broken]
        assert system.topics.statistics().missed == 1


# When a subscription ends


async def test_an_actor_that_has_ended_is_forgotten() -> None:
    async with subscribed("orders.new", "orders.*") as (system, ref, _):
        ref.stop()
        await ref.wait_stopped()
        assert topics_and_subscribers(system) == (0, 0)
        system.topics.publish("orders.new", 1)
        assert system.statistics().dead_letters == 0


async def test_an_actor_that_is_stopping_is_told_nothing_more(autojump_clock: MockClock) -> None:
    async with subscribed("orders") as (system, ref, _):
        ref.tell(Sleep(1))
        await settle()
        ref.stop()
        system.topics.publish("orders", 1)
        await ref.wait_stopped()
        assert system.statistics().dead_letters == 0


async def test_an_actor_that_had_ended_before_is_not_subscribed() -> None:
    async with subscribed() as (system, ref, _):
        ref.kill()
        await ref.wait_stopped()
        system.topics.subscribe_ref("orders", ref)
        assert topics_and_subscribers(system) == (0, 0)


async def test_a_restart_keeps_the_subscription() -> None:
    async with subscribed("orders") as (system, ref, kept):
        system.topics.publish("orders", Boom(OSError()))
        await settle()
        system.topics.publish("orders", 1)
        await settle()
        assert ref.statistics().restarts == 1
        assert kept == [1]


async def test_unsubscribing_ends_one_subscription_and_once_more_changes_nothing() -> None:
    async with subscribed("orders", "payments") as (system, ref, kept):
        for _ in range(2):
            system.topics.unsubscribe_ref("orders", ref)
        system.topics.publish("orders", 1)
        system.topics.publish("payments", 2)
        system.topics.unsubscribe_ref("payments", ref)
        system.topics.unsubscribe_ref("never", ref)
        await settle()
        assert kept == [2]
        assert topics_and_subscribers(system) == (0, 0)


async def test_an_actor_can_subscribe_anew_and_its_end_still_ends_that() -> None:
    async with subscribed("orders") as (system, ref, kept):
        system.topics.unsubscribe_ref("orders", ref)
        system.topics.subscribe_ref("orders", ref)
        system.topics.publish("orders", 1)
        await settle()
        assert kept == [1]
        ref.stop()
        await ref.wait_stopped()
        assert topics_and_subscribers(system) == (0, 0)


async def test_a_reader_that_is_cancelled_or_fails_is_forgotten() -> None:
    async with ActorSystem("test") as system:
        with trio.move_on_after(0):
            async with system.topics.subscribe("orders"):
                pytest.fail("the checkpoint comes before the subscription")
        with trio.CancelScope() as scope:
            async with system.topics.subscribe("orders") as orders:
                scope.cancel()
                await anext(orders)
        with pytest.raises(OSError, match="no disk"):
            async with system.topics.subscribe("orders"):
                raise OSError("no disk")
        assert topics_and_subscribers(system) == (0, 0)


async def test_a_stream_ends_with_the_system() -> None:
    heard: list[Any] = []

    async def listen(system: ActorSystem, *, task_status: trio.TaskStatus[None]) -> None:
        async with system.topics.subscribe("orders") as orders:
            task_status.started()
            heard.extend([order async for order in orders])

    async with trio.open_nursery() as nursery, ActorSystem("test") as system:
        await nursery.start(listen, system)
        system.topics.publish("orders", 1)
    assert heard == [1]
    async with system.topics.subscribe("orders") as orders:
        assert [order async for order in orders] == []
    assert topics_and_subscribers(system) == (0, 0)


async def test_subscribing_while_a_message_is_published_counts_for_the_next_one() -> None:
    kept: list[Any] = []
    async with subscribed("orders", mailbox=Bounded(1)) as (system, _, _):
        late = await system.spawn(Recorder, kept)

        def subscribe(_: object) -> None:
            system.topics.subscribe_ref("orders", late)

        with system.events.listen(subscribe, DeadLetter):
            system.topics.publish("orders", 1)
            system.topics.publish("orders", 2)  # the mailbox is full, and the listener is called
            system.topics.publish("orders", 3)
        await settle()
        assert kept == [3]


async def test_ten_thousand_subscribers_of_one_topic_are_all_reached_and_all_forgotten() -> None:
    kept: list[Any] = []
    async with ActorSystem("test") as system:
        for _ in range(10_000):
            system.topics.subscribe_ref("orders", await system.spawn(Recorder, kept))
        system.topics.publish("orders", 1)
        await settle()
        assert len(kept) == 10_000
        for ref in system.actors():
            ref.stop()
        await settle()
        assert topics_and_subscribers(system) == (0, 0)


# The tree of patterns against a plain model

parts = st.sampled_from(["a", "b", "*"])
patterns = st.lists(parts, min_size=1, max_size=3).map(".".join)
topics = st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=3).map(".".join)


def matches(pattern: str, topic: str) -> bool:
    """Say the rule plainly."""
    left, right = pattern.split("."), topic.split(".")
    return len(left) == len(right) and all(each in ("*", part) for each, part in zip(left, right, strict=True))


@given(st.lists(st.tuples(st.booleans(), patterns, st.integers(0, 3))), topics)
def test_the_tree_of_patterns_agrees_with_a_list_of_them(steps: list[tuple[bool, str, int]], topic: str) -> None:
    tree, model = Patterns(), set[tuple[str, int]]()
    for adding, pattern, subscriber in steps:
        if adding:
            tree.add(pattern, subscriber)
            model.add((pattern, subscriber))
        else:
            tree.discard(pattern, subscriber)
            model.discard((pattern, subscriber))
    found = tree.matching(topic)
    assert len(found) == len(set(found))
    assert set(found) == {subscriber for pattern, subscriber in model if matches(pattern, topic)}
    assert tree.count() == len({pattern for pattern, _ in model})


@given(st.lists(patterns))
def test_the_tree_of_patterns_keeps_no_empty_branch(steps: list[str]) -> None:
    tree = Patterns()
    for pattern in steps:
        tree.add(pattern, 1)
    for pattern in steps:
        tree.discard(pattern, 1)
    assert tree.below == {}


async def test_what_is_no_ref_is_not_subscribed() -> None:
    async with subscribed("orders") as (system, _, kept):
        with pytest.raises(TypeError, match="by its ref"):
            system.topics.subscribe_ref("orders", "nobody")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        system.topics.publish("orders", 1)
        await settle()
        assert kept == [1]
