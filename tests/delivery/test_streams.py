"""A stream from one producer to one consumer: once each, in order, as fast as they are handled."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from tests.core.actors import collected
from tests.delivery.letters import BadChannel, Letter, Reader, notebook, spawn_pair
from trioakt import (
    ActorRef,
    ActorStoppedError,
    ActorSystem,
    CodecError,
    Context,
    DeadLetter,
    DeadLetterReason,
)
from trioakt.codec import Codec
from trioakt.delivery import (
    spawn_consumer,
    spawn_producer,
)
from trioakt.delivery.protocol import Grant, Join, Lost, Open, Part, Superseded
from trioakt.errors import MessageTooLargeError, SupersededError
from trioakt.supervision import Backoff
from trioakt.testing import open_test_system


async def test_messages_are_handled_once_and_in_order(autojump_clock: MockClock) -> None:
    read: list[int] = []
    async with open_test_system() as system:
        producer, _ = await spawn_pair(system, await system.spawn(Reader, read))
        for number in range(50):
            await producer.send(Letter(number))
        await producer.wait_confirmed()
        assert read == list(range(50))


async def test_deliver_returns_when_the_message_has_been_handled(autojump_clock: MockClock) -> None:
    read: list[int] = []
    async with open_test_system() as system:
        producer, _ = await spawn_pair(system, await system.spawn(Reader, read, 2.0))
        await producer.deliver(Letter(1))
        assert (read, trio.current_time()) == ([1], 2.0)


async def test_send_waits_until_the_consumer_wants_more(autojump_clock: MockClock) -> None:
    async with open_test_system() as system:
        producer, _ = await spawn_pair(system, await system.spawn(Reader, notebook(), 1.0), window=2)
        times: list[float] = []
        for number in range(5):
            await producer.send(Letter(number))
            times.append(trio.current_time())
        assert times == [0.0, 0.0, 1.0, 2.0, 3.0]
        await producer.wait_confirmed()


async def test_a_producer_hears_when_it_may_produce(autojump_clock: MockClock) -> None:
    async with open_test_system() as system:
        producer, _ = await spawn_pair(system, await system.spawn(Reader, notebook(), 3.0), window=1)
        await producer.wait_demand()
        await producer.send(Letter(1))
        assert trio.current_time() == 0.0
        await producer.wait_demand()
        assert trio.current_time() == 3.0


async def test_what_is_told_waits_for_demand_and_keeps_its_place(autojump_clock: MockClock) -> None:
    read: list[int] = []
    async with open_test_system() as system:
        producer, _ = await spawn_pair(system, await system.spawn(Reader, read, 1.0), window=1)
        for number in range(5):
            producer.tell(Letter(number))
        await producer.deliver(Letter(5))
        assert read == [0, 1, 2, 3, 4, 5]


async def test_what_is_told_beyond_the_buffer_is_a_dead_letter(autojump_clock: MockClock) -> None:
    read: list[int] = []
    async with ActorSystem("test") as system:
        producer, _ = await spawn_pair(system, await system.spawn(Reader, read, 1.0), window=1, buffer=2)
        await producer.send(Letter(0))
        with collected(system, DeadLetter) as dead:
            for number in range(1, 5):
                producer.tell(Letter(number))
            await producer.wait_confirmed()
        assert read == [0, 1, 2]
        assert [(each.message.number, each.reason) for each in dead] == [
            (3, DeadLetterReason.MAILBOX_FULL),
            (4, DeadLetterReason.MAILBOX_FULL),
        ]


async def test_a_send_that_was_cancelled_is_not_accepted(autojump_clock: MockClock) -> None:
    read: list[int] = []
    async with open_test_system() as system:
        producer, _ = await spawn_pair(system, await system.spawn(Reader, read, 2.0), window=1)
        await producer.send(Letter(1))
        with trio.move_on_after(1.0):
            await producer.send(Letter(2))
        await producer.deliver(Letter(3))
        assert read == [1, 3]


async def test_those_who_gave_up_leave_nothing_in_the_producer(autojump_clock: MockClock) -> None:
    left: list[weakref.ref[Letter]] = []
    async with ActorSystem("test") as system:
        producer, _ = await spawn_pair(system, await system.spawn(Reader, notebook(), 10_000.0), window=1)
        await producer.send(Letter(0))
        for number in range(1, 1000):
            letter = Letter(number)
            left.append(weakref.ref(letter))
            with trio.move_on_after(1.0):
                await producer.send(letter)
        gc.collect()
        assert sum(each() is not None for each in left) < 100


async def test_a_deliver_that_was_cancelled_after_it_was_accepted_is_delivered(autojump_clock: MockClock) -> None:
    read: list[int] = []
    async with open_test_system() as system:
        producer, _ = await spawn_pair(system, await system.spawn(Reader, read, 2.0))
        with trio.move_on_after(1.0):
            await producer.deliver(Letter(1))
        await producer.wait_confirmed()
        assert read == [1]


async def test_when_all_is_confirmed_nothing_stirs(autojump_clock: MockClock) -> None:
    async with open_test_system() as system:
        producer, consumer = await spawn_pair(system, await system.spawn(Reader, notebook()))
        await producer.deliver(Letter(1))
        before = system.statistics().handled
        await trio.sleep(10_000)
        assert system.statistics().handled == before
        assert consumer.is_alive


async def test_several_producers_do_not_wait_for_each_other(autojump_clock: MockClock) -> None:
    read: list[int] = []
    async with open_test_system() as system:
        consumer = await spawn_consumer(system, to=await system.spawn(Reader, read), window=2)
        one = await spawn_producer(system, "one", to=consumer)
        two = await spawn_producer(system, "two", to=consumer)
        for number in range(10):
            await one.send(Letter(number))
            await two.send(Letter(number + 100))
        await one.wait_confirmed()
        await two.wait_confirmed()
        assert [number for number in read if number < 100] == list(range(10))
        assert [number for number in read if number >= 100] == list(range(100, 110))


@pytest.mark.parametrize("chunk_size", [None, 7], ids=["whole", "in parts"])
@pytest.mark.parametrize("seed", range(8))
async def test_a_bad_channel_changes_nothing(seed: int, chunk_size: int | None, autojump_clock: MockClock) -> None:
    read: list[int] = []
    async with open_test_system() as system:
        reader = await system.spawn(Reader, read)
        channel = await system.spawn(BadChannel, await spawn_consumer(system, to=reader, window=5), seed)
        producer = await spawn_producer(system, "writer", to=channel, chunk_size=chunk_size)
        for number in range(20):
            await producer.send(Letter(number, "x" * number))
        await producer.wait_confirmed()
        assert read == list(range(20))
        await trio.sleep(100)  # what is doubled and late finds its place taken
        assert read == list(range(20))


# Large messages


async def test_a_message_of_more_parts_than_the_window_has_passes(autojump_clock: MockClock) -> None:
    texts: list[str] = []

    def keep(ctx: Context, msg: Letter) -> None:
        texts.append(msg.text)

    async with open_test_system() as system:
        producer, _ = await spawn_pair(system, await system.spawn_func(keep), window=3, chunk_size=100)
        for number in range(3):
            await producer.send(Letter(number, "long " * 2000))
        await producer.wait_confirmed()
        assert texts == ["long " * 2000] * 3
        assert trio.current_time() == 0.0


async def test_a_message_that_is_too_large_for_the_consumer_is_not_accepted(autojump_clock: MockClock) -> None:
    read: list[int] = []
    async with open_test_system() as system:
        consumer = await spawn_consumer(system, to=await system.spawn(Reader, read), max_size=1000)
        producer = await spawn_producer(system, "writer", to=consumer, chunk_size=100)
        with pytest.raises(MessageTooLargeError, match="1000"):
            await producer.send(Letter(1, "x" * 1000))
        await producer.deliver(Letter(2))
        assert read == [2]


async def test_a_message_that_cannot_be_encoded_is_not_accepted(autojump_clock: MockClock) -> None:
    read: list[int] = []
    async with ActorSystem("test") as system:
        producer, _ = await spawn_pair(system, await system.spawn(Reader, read), chunk_size=100)
        with pytest.raises(CodecError):
            await producer.send(object())
        with collected(system, DeadLetter) as dead:
            producer.tell(object())
            await producer.deliver(Letter(1))
        assert [each.reason for each in dead] == [DeadLetterReason.UNHANDLED]
        assert read == [1]


async def test_a_message_that_cannot_be_decoded_waits_for_a_consumer_that_can(autojump_clock: MockClock) -> None:
    read: list[int] = []
    async with open_test_system() as system:
        reader = await system.spawn(Reader, read)
        consumer = await spawn_consumer(system, to=reader, codec=Codec(max_size=20))
        producer = await spawn_producer(system, "writer", to=consumer, chunk_size=100)
        await producer.send(Letter(1))
        await trio.sleep(100)
        assert read == []
        producer.redirect(await spawn_consumer(system, to=reader))
        await producer.wait_confirmed()
        assert read == [1]


# Ends and changes


async def spawn_reader(system: ActorSystem, read: list[int], seconds: float = 0.0) -> tuple[ActorRef, ActorRef]:
    reader = await system.spawn(Reader, read, seconds)
    return reader, await spawn_consumer(system, to=reader)


async def test_a_consumer_ends_with_the_actor_behind_it(autojump_clock: MockClock) -> None:
    async with open_test_system() as system:
        reader, consumer = await spawn_reader(system, notebook())
        reader.stop()
        await consumer.wait_stopped()


async def test_what_was_not_confirmed_goes_to_the_next_consumer(autojump_clock: MockClock) -> None:
    first: list[int] = []
    second: list[int] = []
    async with ActorSystem("test") as system:
        reader, consumer = await spawn_reader(system, first, 1.0)
        producer = await spawn_producer(system, "writer", to=consumer)
        for number in range(5):
            await producer.send(Letter(number))
        await trio.sleep(2.5)
        reader.kill()
        await consumer.wait_stopped()
        await trio.sleep(100)
        _, other = await spawn_reader(system, second)
        producer.redirect(other)
        await producer.wait_confirmed()
        assert (first, second) == ([0, 1], [2, 3, 4])


async def test_a_producer_that_stops_makes_dead_letters_of_what_it_has(autojump_clock: MockClock) -> None:
    async with ActorSystem("test") as system:
        producer, _ = await spawn_pair(system, await system.spawn(Reader, notebook(), 10.0), window=2)
        errors: list[BaseException] = []

        async def deliver(number: int) -> None:
            with pytest.raises(ActorStoppedError) as caught:
                await producer.deliver(Letter(number))
            errors.append(caught.value)

        with collected(system, DeadLetter) as dead:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(deliver, 0)
                await trio.testing.wait_all_tasks_blocked()
                for number in range(1, 4):
                    producer.tell(Letter(number))
                await trio.sleep(1.0)
                producer.stop()
        assert len(errors) == 1
        assert [(each.message.number, each.reason) for each in dead] == [
            (number, DeadLetterReason.STOPPED) for number in range(4)
        ]


async def test_a_later_producer_of_the_same_name_takes_over(autojump_clock: MockClock) -> None:
    read: list[int] = []
    async with ActorSystem("test") as system:
        producer, consumer = await spawn_pair(system, await system.spawn(Reader, read))
        await producer.deliver(Letter(1))
        later = await spawn_producer(system, "writer", to=consumer)
        await later.deliver(Letter(2))
        with pytest.raises(SupersededError):
            await producer.deliver(Letter(3))
        await producer.wait_stopped()
        await later.deliver(Letter(4))
        assert read == [1, 2, 4]


async def test_a_producer_that_starts_again_is_not_taken_for_its_earlier_life(autojump_clock: MockClock) -> None:
    read: list[int] = []
    async with ActorSystem("test") as system:
        producer, consumer = await spawn_pair(system, await system.spawn(Reader, read, 1.0))
        for number in range(4):
            await producer.send(Letter(number))
        await trio.sleep(1.5)
        producer.kill()
        again = await spawn_producer(system, "writer", to=consumer)
        for number in range(10, 13):
            await again.send(Letter(number))
        await again.wait_confirmed()
        assert read == [0, 1, 2, 3, 10, 11, 12]


async def test_a_cancelled_system_leaves_nothing_behind(autojump_clock: MockClock) -> None:
    with trio.move_on_after(5.0) as scope:
        async with ActorSystem("test") as system:
            producer, _ = await spawn_pair(system, await system.spawn(Reader, notebook(), 100.0))
            await producer.deliver(Letter(1))
    assert scope.cancelled_caught
    assert trio.current_time() < 20.0


async def test_bad_arguments_are_refused(autojump_clock: MockClock) -> None:
    async with open_test_system() as system:
        reader, consumer = await spawn_reader(system, notebook())
        nobody: Any = "nobody"
        number: Any = 7
        with pytest.raises(TypeError):
            await spawn_consumer(system, to=nobody)
        with pytest.raises(ValueError, match="window"):
            await spawn_consumer(system, to=reader, window=0)
        with pytest.raises(TypeError):
            await spawn_producer(system, "writer", to=nobody)
        with pytest.raises(TypeError, match="producer_id"):
            await spawn_producer(system, number, to=consumer)
        with pytest.raises(ValueError, match="producer_id"):
            await spawn_producer(system, "", to=consumer)
        with pytest.raises(ValueError, match="chunk_size"):
            await spawn_producer(system, "writer", to=consumer, chunk_size=0)
        with pytest.raises(ValueError, match="resend"):
            await spawn_producer(system, "writer", to=consumer, resend=Backoff(initial=0.0))


@pytest.mark.parametrize(
    "message",
    [
        Open("p", "s", "i", 1, 0),
        Part("p", "s", 1, 0, Letter(1), encoded=False, last=True),
        Part("p", "s", 1, 0, b"bytes", encoded=True, last=False),
        Grant("s", "i", 1, 2, 1, 20, 1000),
        Lost("s"),
        Superseded("i"),
        Join(),
    ],
    ids=lambda message: type(message).__name__,
)
def test_what_the_two_ends_say_travels_between_nodes(message: object) -> None:
    codec = Codec()
    assert codec.decode(codec.encode(message)) == message
