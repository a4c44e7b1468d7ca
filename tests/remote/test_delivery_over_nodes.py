"""Reliable delivery from one node to another, over a network that loses frames, falls apart and kills nodes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock

from tests.remote.nodes import Net, nodes
from trioakt import ActorRef, Context, message
from trioakt.delivery import open_queue, spawn_consumer, spawn_producer

INBOX = "trioakt://bank@b:1/user/inbox"


@message(name="tests.parcel")
class Parcel:
    number: int
    text: str = ""


@attrs.define
class Shelf:
    """Where the parcels of all lives of the consumer end up."""

    numbers: list[int] = attrs.field(factory=list[int])

    async def open(self, net: Net) -> ActorRef:
        """Start a consumer on b, and return the ref that a has of it."""
        there = net.systems["b"]
        keeper = await there.spawn_func(self._keep, name="keeper")
        await spawn_consumer(there, to=keeper, name="inbox")
        return await net.systems["a"].resolve(INBOX)

    def _keep(self, ctx: Context, msg: Any) -> None:
        self.numbers.append(msg.number)


async def test_what_is_accepted_comes_once_and_in_order(autojump_clock: MockClock) -> None:
    shelf = Shelf()
    async with nodes("a", "b") as net:
        producer = await spawn_producer(net.systems["a"], "till", to=await shelf.open(net))
        for number in range(100):
            await producer.send(Parcel(number))
        await producer.wait_confirmed()
    assert shelf.numbers == list(range(100))


async def test_lost_frames_cost_time_and_no_message(autojump_clock: MockClock) -> None:
    shelf = Shelf()
    async with nodes("a", "b") as net:
        producer = await spawn_producer(net.systems["a"], "till", to=await shelf.open(net))
        net.network.drop(0.05)
        for number in range(300):
            await producer.send(Parcel(number))
        net.network.drop(0.0)
        await producer.wait_confirmed()
    assert shelf.numbers == list(range(300))


@pytest.mark.parametrize("one_way", [None, ("a", "b"), ("b", "a")], ids=["both ways", "to", "from"])
async def test_a_partition_costs_time_and_no_message(
    autojump_clock: MockClock, one_way: tuple[str, str] | None
) -> None:
    shelf = Shelf()
    async with nodes("a", "b") as net, trio.open_nursery() as nursery:
        producer = await spawn_producer(net.systems["a"], "till", to=await shelf.open(net))
        cut = one_way or ("a", "b")

        async def fall_apart() -> None:
            for seconds in 0.3, 1.5, 4.0, 30.0:
                await trio.sleep(2.0)
                net.network.partition({cut[0]}, {cut[1]}, one_way=one_way is not None)
                await trio.sleep(seconds)
                net.network.heal()

        nursery.start_soon(fall_apart)
        for number in range(400):
            await producer.send(Parcel(number))
            await trio.sleep(0.05)
        await producer.wait_confirmed()
    assert shelf.numbers == list(range(400))


async def test_a_large_message_comes_over_in_parts(autojump_clock: MockClock) -> None:
    shelf = Shelf()
    async with nodes("a", "b") as net:
        net.network.drop(0.02)
        producer = await spawn_producer(net.systems["a"], "till", to=await shelf.open(net), chunk_size=1000)
        await producer.deliver(Parcel(1, "x" * 50_000))
    assert shelf.numbers == [1]


async def test_with_a_queue_the_node_of_the_sender_may_die(tmp_path: Path) -> None:
    shelf = Shelf()
    async with open_queue(tmp_path / "queue.db") as queue, nodes("a", "b") as net:
        inbox = await shelf.open(net)
        for first in 0, 50, 100:
            producer = await spawn_producer(net.systems["a"], "till", to=inbox, queue=queue)
            for number in range(first, first + 50):
                await producer.send(Parcel(number))
            net.crash("a")
            await producer.wait_stopped()
            await net.start("a")
            inbox = await net.systems["a"].resolve(INBOX)
        producer = await spawn_producer(net.systems["a"], "till", to=inbox, queue=queue)
        await producer.wait_confirmed()
    assert shelf.numbers == list(range(150))


async def test_the_node_of_the_receiver_may_die_and_be_started_again(autojump_clock: MockClock) -> None:
    shelf = Shelf()
    async with nodes("a", "b") as net:
        producer = await spawn_producer(net.systems["a"], "till", to=await shelf.open(net))
        for number in range(50):
            await producer.send(Parcel(number))
        net.crash("b")
        await net.start("b")
        await trio.sleep(6)
        producer.redirect(await shelf.open(net))
        for number in range(50, 100):
            await producer.send(Parcel(number))
        await producer.wait_confirmed()
    assert sorted(set(shelf.numbers)) == list(range(100))
