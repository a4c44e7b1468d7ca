"""Topics and events of another node: who hears what, what is missed, and when it ends."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from tests.core.actors import Recorder
from tests.remote.listening import B, Unregistered, interests, read, two
from tests.remote.nodes import Meet, Server, nodes
from trioakt import (
    ActorStarted,
    ActorSystem,
    ConnectionLostError,
    MailboxFullError,
    Missed,
    NodeUnreachableError,
    SubscriptionLost,
    TopicStream,
)

MANY = 2**20


# ------------------------------------------------------------------------ who hears what


async def test_a_task_reads_what_is_published_on_another_node(autojump_clock: MockClock) -> None:
    async with two() as (_, one, other):
        async with one.topics.subscribe("orders", node=B) as orders:
            for number in range(3):
                other.topics.publish("orders", number)
            other.topics.publish("payments", 9)
            one.topics.publish("orders", 9)
            assert await read(orders, 3) == [0, 1, 2]
        await trio.sleep(0.1)
        assert interests(other) == 0


async def test_an_actor_is_told_what_is_published_on_another_node_and_by_whom(autojump_clock: MockClock) -> None:
    kept: list[Any] = []
    async with two() as (_, one, other):
        recorder = await one.spawn(Recorder, kept)
        one.topics.subscribe_ref("orders.*", recorder, node=B)
        await trio.sleep(0.1)
        ada = await other.spawn(Server, name="ada")
        other.topics.publish("orders.new", Meet(ada), sender=ada)
        await trio.sleep(0.1)
        assert kept == [Meet(await one.resolve(f"{B}/user/ada"))]
        one.topics.unsubscribe_ref("orders.*", recorder, node=B)
        await trio.sleep(0.1)
        assert interests(other) == 0
        one.topics.subscribe_ref("orders.*", recorder, node=B)
        await trio.sleep(0.1)
        assert interests(other) == 1
        recorder.stop()
        await trio.sleep(0.1)
        assert interests(other) == 0


async def test_a_node_hears_once_of_an_interest_and_sends_each_message_once(autojump_clock: MockClock) -> None:
    async with two() as (_, one, other):
        async with (
            one.topics.subscribe("orders.*", node=B) as first,
            one.topics.subscribe("orders.*", node=B) as second,
            one.topics.subscribe("orders.new", node=B) as third,
        ):
            assert interests(other) == 2
            other.topics.publish("orders.new", 1)
            for stream in first, second, third:
                assert await read(stream, 1) == [1]
            await trio.sleep(1)
            other.topics.publish("orders.old", 2)
            assert await read(first, 1) == await read(second, 1) == [2]
            assert interests(other) == 2
        await trio.sleep(0.1)
        assert interests(other) == 0


async def test_what_comes_from_another_node_goes_no_further(autojump_clock: MockClock) -> None:
    async with (
        nodes("a", "b", "c") as (one, other, third),
        one.topics.subscribe("orders", node=B) as there,
        one.topics.subscribe("orders") as here,
        other.topics.subscribe("orders", node="trioakt://bank@a:1") as back,
        third.topics.subscribe("orders", node="trioakt://bank@a:1") as onwards,
    ):
        other.topics.publish("orders", 1)
        assert await read(there, 1) == [1]
        await trio.sleep(1)
        one.topics.publish("orders", 2)
        assert await read(here, 1) == await read(back, 1) == await read(onwards, 1) == [2]


async def test_the_own_address_means_the_own_topics(autojump_clock: MockClock) -> None:
    async with (
        nodes("a") as (one,),
        one.topics.subscribe("orders", node=one.address) as orders,
        one.remote_events(one.address, ActorStarted) as events,
    ):
        one.topics.publish("orders", Unregistered)
        assert await read(orders, 1) == [Unregistered]
        ada = await one.spawn(Server)
        assert [event.ref for event in await read(events, 1)] == [ada]


async def test_an_interest_that_is_withdrawn_and_stated_again_holds(autojump_clock: MockClock) -> None:
    async with two() as (net, one, other):
        net.network.delay(0.2, 0.2)
        for _ in range(3):
            with trio.move_on_after(0.3):
                async with one.topics.subscribe("orders", node=B):
                    pass
        async with one.topics.subscribe("orders", node=B) as orders:
            other.topics.publish("orders", 1)
            assert await read(orders, 1) == [1]
        await trio.sleep(1)
        assert interests(other) == 0


async def test_a_stream_begins_with_its_block_and_not_with_what_an_earlier_one_has_left(
    autojump_clock: MockClock,
) -> None:
    async with two() as (net, one, other):
        net.network.delay(0.1, 0.1)
        async with one.topics.subscribe("orders", node=B):
            other.topics.publish("orders", "left")
        async with one.topics.subscribe("orders", node=B) as orders:
            other.topics.publish("orders", "new")
            assert await read(orders, 1) == ["new"]


@pytest.mark.parametrize(
    ("node", "pattern", "error"),
    [
        ("trioakt://bank@nowhere:1", "orders", NodeUnreachableError),
        ("trioakt://shop@b:1", "orders", ValueError),
        ("nonsense", "orders", ValueError),
        (B, "orders..new", ValueError),
        (B, "x" * MANY, MailboxFullError),
    ],
)
async def test_a_subscription_that_cannot_be_had_is_refused(
    autojump_clock: MockClock, node: str, pattern: str, error: type[Exception]
) -> None:
    async with two() as (_, one, other):
        with pytest.raises(error):
            async with one.topics.subscribe(pattern, node=node):
                pass
        async with one.topics.subscribe("orders", node=B) as orders:
            other.topics.publish("orders", 1)
            assert await read(orders, 1) == [1]


async def test_a_system_without_remote_has_no_topics_of_other_nodes() -> None:
    async with ActorSystem("bank") as system:
        with pytest.raises(RuntimeError, match="remote"):
            async with system.topics.subscribe("orders", node=B):
                pass


# -------------------------------------------------------------------- what gets lost


async def test_a_slow_reader_is_told_how_many_it_missed(autojump_clock: MockClock) -> None:
    async with two() as (_, one, other), one.topics.subscribe("orders", buffer=2, node=B) as orders:
        for number in range(5):
            other.topics.publish("orders", number)
        await trio.sleep(0.1)
        assert await read(orders, 3) == [Missed(3), 3, 4]


async def test_what_cannot_travel_is_missed_and_told_of_in_the_log(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with two() as (_, one, other), one.topics.subscribe("orders", node=B) as orders:
        other.topics.publish("orders", 1)
        for _ in range(2):
            other.topics.publish("orders", Unregistered())
        other.topics.publish("orders", 2)
        assert await read(orders, 4) == [1, Missed(1), Missed(1), 2]
    told = [each.message for each in caplog.records if "does not get to other nodes" in each.message]
    assert len(told) == 1
    assert "Unregistered is not a registered message" in told[0]


async def test_what_there_is_no_room_for_is_missed_and_told_when_there_is_room_again(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trioakt.remote.peer._PUBLISHED_FULL", 10_000)
    kept: list[Any] = []
    async with two() as (_, one, other), one.topics.subscribe("orders", buffer=10_000, node=B) as orders:
        one.topics.subscribe_ref("orders", await one.spawn(Recorder, kept), node=B)
        for number in range(1000):
            other.topics.publish("orders", f"{number:100}")
        for number in range(1000):
            other.topics.publish(f"payments.{number}", 1)
        await trio.sleep(1)
        other.topics.publish("orders", "last")
        await trio.sleep(1)
        arrived = len(kept) - 2
        assert kept == [*(f"{number:100}" for number in range(arrived)), Missed(1000 - arrived), "last"]
        assert await read(orders, len(kept)) == kept


async def test_with_more_topics_than_are_counted_all_hear_that_they_missed_something(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trioakt.remote.peer._PUBLISHED_FULL", -1)
    monkeypatch.setattr("trioakt.remote.interests._MOST", 1)
    async with two() as (_, one, other), one.topics.subscribe("*", node=B) as orders:
        for topic in "a", "b", "c", "a":
            other.topics.publish(topic, 1)
        monkeypatch.setattr("trioakt.remote.peer._PUBLISHED_FULL", 10_000)
        assert await read(orders, 2) == [Missed(2), Missed(2)]


async def test_the_missed_of_another_node_are_missed_too(autojump_clock: MockClock) -> None:
    stream = TopicStream(2)
    for value in Missed(3), 1, 2, 3:
        stream.offer(value)
    assert await read(stream, 3) == [Missed(4), 2, 3]
    assert stream.lost == 4


# ------------------------------------------------------------------------- how it ends


@pytest.mark.parametrize("end", ["crash", "shutdown", "partition"])
async def test_a_lost_link_ends_the_stream_with_an_error_after_what_has_come(
    autojump_clock: MockClock, end: str
) -> None:
    kept: list[Any] = []
    async with two() as (net, one, other), one.topics.subscribe("orders", node=B) as orders:
        one.topics.subscribe_ref("orders", await one.spawn(Recorder, kept), node=B)
        other.topics.publish("orders", 1)
        await trio.sleep(0.1)
        match end:
            case "crash":
                net.crash("b")
            case "shutdown":
                other.shutdown()
            case _:
                net.network.partition({"a"}, {"b"})
        assert await read(orders, 1) == [1]
        with pytest.raises(ConnectionLostError):
            await read(orders, 1)
        net.network.heal()
        await trio.sleep(5)
        assert [type(each) for each in kept] == [int, SubscriptionLost]
        assert (kept[1].pattern, kept[1].node) == ("orders", B)
        assert interests(other) == 0


async def test_an_actor_hears_that_the_node_is_out_of_reach(autojump_clock: MockClock) -> None:
    kept: list[Any] = []
    async with nodes("a") as (one,):
        one.topics.subscribe_ref("orders", await one.spawn(Recorder, kept), node=B)
        await trio.sleep(5)
        assert [type(each) for each in kept] == [SubscriptionLost]


async def test_a_subscription_can_be_had_anew_after_the_link_was_lost(autojump_clock: MockClock) -> None:
    async with two() as (net, one, other):
        with pytest.raises(ConnectionLostError):
            async with one.topics.subscribe("orders", node=B) as orders:
                net.crash("b")
                await read(orders, 1)
        other = await net.start("b")
        await trio.sleep(10)
        async with one.topics.subscribe("orders", node=B) as orders:
            other.topics.publish("orders", 1)
            assert await read(orders, 1) == [1]


# ------------------------------------------------------------------ members of a cluster


async def test_nodes_that_have_joined_hear_each_other_s_topics_as_their_own(autojump_clock: MockClock) -> None:
    async with nodes("a", "b", "c") as net:
        one, other, third = net
        for node in net:
            for address in {"a:1", "b:1", "c:1"} - {node.node}:
                node.endpoint.topics.join(address)
                node.endpoint.connect(address)
        async with one.topics.subscribe("orders") as orders:
            await trio.sleep(1)
            async with one.topics.subscribe("orders.*") as new, one.topics.subscribe("orders", node=B) as of_b:
                await trio.sleep(0.1)
                for system in one, other, third:
                    system.topics.publish("orders", system.node)
                    system.topics.publish("orders.new", system.node)
                assert sorted(await read(orders, 3)) == sorted(await read(new, 3)) == ["a:1", "b:1", "c:1"]
                assert await read(of_b, 1) == ["b:1"]
            await trio.sleep(0.1)
            assert interests(other) == interests(third) == 1
            one.endpoint.topics.leave("b:1")
            await trio.sleep(0.1)
            assert (interests(other), interests(third)) == (0, 1)


async def test_a_member_that_comes_back_is_told_again_what_its_members_want(autojump_clock: MockClock) -> None:
    kept: list[Any] = []
    async with two() as (net, one, other):
        one.endpoint.topics.join("b:1")
        one.topics.subscribe_ref("orders", await one.spawn(Recorder, kept))
        await one.endpoint.greet("b:1")
        other.topics.publish("orders", 1)
        await trio.sleep(0.1)
        net.crash("b")
        await trio.sleep(5)
        other = await net.start("b")
        await trio.sleep(10)
        await one.endpoint.greet("b:1")
        other.topics.publish("orders", 2)
        await trio.sleep(0.1)
        assert kept == [1, 2]
