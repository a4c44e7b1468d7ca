"""What counts as handled: how a consumer hands messages over, and when they come again."""

from __future__ import annotations

from typing import Any

import trio
import trio.testing
from trio.testing import MockClock

from tests.core.actors import collected
from tests.delivery.letters import Letter, Reader, spawn_pair
from trioakt import (
    Actor,
    ActorSystem,
    Bounded,
    Context,
    DeadLetter,
    DeadLetterReason,
    Directive,
    OneForOne,
    ReplyTo,
)
from trioakt.delivery import Delivery, spawn_consumer, spawn_producer
from trioakt.supervision import Backoff
from trioakt.testing import open_test_system

RESUME = OneForOne(default=Directive.RESUME)


async def test_a_message_whose_handler_fails_comes_again_before_the_next(autojump_clock: MockClock) -> None:
    read: list[int] = []
    failures = {2: 2}
    async with ActorSystem("test") as system:
        reader = await system.spawn(Reader, read, 0.0, failures)
        producer, _ = await spawn_pair(system, reader)
        for number in range(5):
            await producer.send(Letter(number))
        await producer.wait_confirmed()
        assert read == [0, 1, 2, 3, 4]
        assert reader.statistics().restarts == 2


async def test_it_comes_again_ever_more_slowly(autojump_clock: MockClock) -> None:
    read: list[int] = []
    async with ActorSystem("test") as system:
        reader = await system.spawn(Reader, read, 0.0, {1: 5}, supervision=RESUME)
        retry = Backoff(initial=1.0, maximum=4.0, jitter=0.0)
        producer = await spawn_producer(system, "writer", to=await spawn_consumer(system, to=reader, retry=retry))
        await producer.deliver(Letter(1))
        assert trio.current_time() == 1 + 2 + 4 + 4 + 4


class Clerk(Actor):
    """Keeps the handles of the letters it gets, to answer them later, and does with the first one as it is told."""

    def __init__(self, handles: list[ReplyTo], numbers: list[int]) -> None:
        self.handles = handles
        self.numbers = numbers

    def receive(self, ctx: Context, msg: Letter) -> None:
        self.numbers.append(msg.number)
        self.handles.append(ctx.reply_to)


async def test_a_handler_that_took_reply_to_confirms_by_answering(autojump_clock: MockClock) -> None:
    handles: list[ReplyTo] = []
    numbers: list[int] = []
    async with open_test_system() as system:
        producer, _ = await spawn_pair(system, await system.spawn(Clerk, handles, numbers))
        producer.tell(Letter(1))
        producer.tell(Letter(2))
        await trio.sleep(5.0)
        assert numbers == [1]
        handles[0].reply(None)
        await trio.sleep(0.0)
        await trio.testing.wait_all_tasks_blocked()
        assert numbers == [1, 2]
        handles[1].reply(None)
        await producer.wait_confirmed()


async def test_a_message_that_is_refused_or_whose_handle_is_lost_comes_again(autojump_clock: MockClock) -> None:
    handles: list[ReplyTo] = []
    numbers: list[int] = []
    async with open_test_system() as system:
        producer, _ = await spawn_pair(system, await system.spawn(Clerk, handles, numbers))
        producer.tell(Letter(1))
        await trio.sleep(1.0)
        handles.pop().fail(OSError("not now"))
        await trio.sleep(1.0)
        assert numbers == [1, 1]
        handles.clear()
        await trio.sleep(1.0)
        assert numbers == [1, 1, 1]
        handles.pop().reply(None)
        await producer.wait_confirmed()


async def test_a_stashed_message_is_confirmed_when_it_is_handled_at_last(autojump_clock: MockClock) -> None:
    read: list[int] = []

    def receive(ctx: Context, msg: Any) -> None:
        if msg == "open":
            ctx.unstash_all()
            ctx.become(lambda ctx, msg: read.append(msg.number))
        else:
            ctx.stash()

    async with open_test_system() as system:
        reader = await system.spawn_func(receive)
        producer, _ = await spawn_pair(system, reader)
        with trio.move_on_after(5.0) as waiting:
            await producer.deliver(Letter(1))
        assert waiting.cancelled_caught
        reader.tell("open")
        await producer.wait_confirmed()
        assert read == [1]


async def test_what_is_not_understood_is_a_dead_letter_and_holds_nothing_up(
    autojump_clock: MockClock,
) -> None:
    read: list[int] = []
    async with ActorSystem("test") as system:
        producer, _ = await spawn_pair(system, await system.spawn(Reader, read))
        with collected(system, DeadLetter) as dead:
            producer.tell("what?")
            await producer.deliver(Letter(1))
        assert [(each.message, each.reason) for each in dead] == [("what?", DeadLetterReason.UNHANDLED)]
        assert read == [1]


async def test_a_full_mailbox_only_delays_a_message(autojump_clock: MockClock) -> None:
    read: list[int] = []
    async with open_test_system() as system:
        reader = await system.spawn(Reader, read, 1.0, mailbox=Bounded(1))
        producer, _ = await spawn_pair(system, reader)
        reader.tell(Letter(1))
        await trio.testing.wait_all_tasks_blocked()
        reader.tell(Letter(2))
        await producer.deliver(Letter(3))
        assert read == [1, 2, 3]


async def test_a_consumer_may_be_given_the_place_of_each_message(autojump_clock: MockClock) -> None:
    got: list[Delivery] = []

    def keep(ctx: Context, msg: Delivery) -> None:
        got.append(msg)

    async with open_test_system() as system:
        consumer = await spawn_consumer(system, to=await system.spawn_func(keep), wrap=lambda delivery: delivery)
        producer = await spawn_producer(system, "writer", to=consumer)
        await producer.deliver(Letter(7))
        await producer.deliver(Letter(8))
        assert [(each.message, each.producer_id, each.sequence) for each in got] == [
            (Letter(7), "writer", 1),
            (Letter(8), "writer", 2),
        ]
        assert got[0].stream == got[1].stream
