"""``send`` waits for room under every policy: a slow actor slows its senders, and nothing is lost on the way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import pytest
import trio
from trio.testing import MockClock, assert_checkpoints
from trio.testing import wait_all_tasks_blocked as settle

from tests.core.actors import collected
from tests.core.crew import Trouble
from trioakt import (
    Actor,
    ActorRef,
    ActorStoppedError,
    ActorSystem,
    Backoff,
    Bounded,
    Context,
    DeadLetter,
    Directive,
    Fair,
    MailboxFullError,
    OneForOne,
    Overflow,
    PoisonPill,
    Priority,
    Unbounded,
)
from trioakt.lowlevel import Mailbox

AnyMailbox: TypeAlias = Callable[[], Mailbox]

every_bounded_mailbox = pytest.mark.parametrize(
    "mailbox",
    [
        Bounded(1),
        Bounded(1, Overflow.DROP_NEWEST),
        Bounded(1, Overflow.DROP_OLDEST),
        Priority(lambda message: 0, capacity=1),
    ],
    ids=["reject", "drop-newest", "drop-oldest", "priority"],
)


class Consumer(Actor):
    """Keeps messages; each event that it is sent, it waits for; exceptions it raises."""

    def __init__(self, kept: list[Any]) -> None:
        self.kept = kept

    async def receive(self, ctx: Context, msg: Any) -> None:
        match msg:
            case trio.Event():
                await msg.wait()
            case Exception():
                raise msg
            case float():
                await trio.sleep(msg)
                self.kept.append(msg)
            case _:
                self.kept.append(msg)


async def busy_consumer(system: ActorSystem, mailbox: AnyMailbox, kept: list[Any]) -> tuple[ActorRef, trio.Event]:
    """Start a consumer that waits for an event and has one message in its mailbox: there is no room left."""
    gate = trio.Event()
    ref = await system.spawn(Consumer, kept, mailbox=mailbox)
    ref.tell(gate)
    await settle()
    ref.tell("first")
    return ref, gate


async def send_and_note(ref: ActorRef, message: object, done: list[object]) -> None:
    try:
        await ref.send(message)
        done.append(message)
    except ActorStoppedError as error:
        done.append(type(error))


@every_bounded_mailbox
async def test_a_sender_waits_until_there_is_room(mailbox: AnyMailbox) -> None:
    async with ActorSystem("test") as system, trio.open_nursery() as nursery:
        kept: list[Any] = []
        done: list[object] = []
        ref, gate = await busy_consumer(system, mailbox, kept)
        nursery.start_soon(send_and_note, ref, "second", done)
        await settle()
        assert done == []
        gate.set()
        await settle()
        assert done == ["second"]
        assert kept == ["first", "second"]
        assert system.statistics().dead_letters == 0


@every_bounded_mailbox
async def test_many_senders_lose_nothing_and_each_keeps_its_order(mailbox: AnyMailbox) -> None:
    async def send_many(ref: ActorRef, name: str) -> None:
        for number in range(20):
            await ref.send((name, number))

    async with ActorSystem("test") as system:
        kept: list[Any] = []
        ref = await system.spawn(Consumer, kept, mailbox=mailbox)
        async with trio.open_nursery() as nursery:
            for name in "abc":
                nursery.start_soon(send_many, ref, name)
        await settle()
        assert len(kept) == 60
        for name in "abc":
            assert [number for sender, number in kept if sender == name] == list(range(20))


@every_bounded_mailbox
async def test_a_slow_actor_sets_the_pace_of_its_senders(mailbox: AnyMailbox, autojump_clock: MockClock) -> None:
    async with ActorSystem("test") as system:
        ref = await system.spawn(Consumer, list[Any](), mailbox=mailbox)
        times: list[float] = []
        for _ in range(5):
            await ref.send(10.0)
            times.append(trio.current_time())
        assert times == [0.0, 0.0, 10.0, 20.0, 30.0]


@pytest.mark.parametrize("mailbox", [Unbounded(), Fair(), Bounded(1), Priority(lambda message: 0)], ids=repr)
async def test_a_send_that_finds_room_is_still_a_checkpoint(mailbox: AnyMailbox) -> None:
    async with ActorSystem("test") as system:
        kept: list[Any] = []
        ref = await system.spawn(Consumer, kept, mailbox=mailbox)
        with assert_checkpoints():
            await ref.send("x")
        await settle()
        assert kept == ["x"]


async def test_those_who_wait_get_the_room_in_their_order() -> None:
    async with ActorSystem("test") as system, trio.open_nursery() as nursery:
        kept: list[Any] = []
        ref, gate = await busy_consumer(system, Bounded(1), kept)
        for number in range(10):
            nursery.start_soon(ref.send, number)
            await settle()
        gate.set()
        await settle()
        assert kept == ["first", *range(10)]


async def test_a_newcomer_does_not_overtake_those_who_wait() -> None:
    async with ActorSystem("test") as system, trio.open_nursery() as nursery:
        kept: list[Any] = []
        second = trio.Event()
        ref = await system.spawn(Consumer, kept, mailbox=Bounded(1))
        ref.tell(gate := trio.Event())
        await settle()
        ref.tell(second)
        for number in range(3):
            nursery.start_soon(ref.send, number)
            await settle()
        gate.set()
        await settle()
        nursery.start_soon(ref.send, "newcomer")
        await settle()
        second.set()
        await settle()
        assert kept == [0, 1, 2, "newcomer"]


@every_bounded_mailbox
async def test_a_send_that_was_cancelled_was_not_sent(mailbox: AnyMailbox, autojump_clock: MockClock) -> None:
    async with ActorSystem("test") as system:
        kept: list[Any] = []
        ref, gate = await busy_consumer(system, mailbox, kept)
        with trio.move_on_after(1) as scope:
            await ref.send("never")
        assert scope.cancelled_caught
        gate.set()
        await settle()
        assert kept == ["first"]
        assert system.statistics().dead_letters == 0


@every_bounded_mailbox
async def test_a_send_in_a_cancelled_scope_sends_nothing(mailbox: AnyMailbox) -> None:
    async with ActorSystem("test") as system:
        kept: list[Any] = []
        ref = await system.spawn(Consumer, kept, mailbox=mailbox)
        with trio.CancelScope() as scope:
            scope.cancel()
            await ref.send("never")
        await settle()
        assert kept == []


async def test_the_room_of_a_sender_that_gave_up_goes_to_the_next() -> None:
    async with ActorSystem("test") as system, trio.open_nursery() as nursery:
        kept: list[Any] = []
        ref, gate = await busy_consumer(system, Bounded(1), kept)
        scopes = [trio.CancelScope() for _ in range(3)]

        async def send(number: int) -> None:
            with scopes[number]:
                await ref.send(number)

        for number in range(3):
            nursery.start_soon(send, number)
            await settle()
        gate.set()
        scopes[0].cancel()
        await settle()
        assert kept[0] == "first"
        assert kept[-2:] == [1, 2]


@every_bounded_mailbox
@pytest.mark.parametrize("end", ["stop", "kill", "poison"])
async def test_those_who_wait_hear_of_the_end_and_nothing_is_lost_in_silence(mailbox: AnyMailbox, end: str) -> None:
    async with ActorSystem("test") as system, trio.open_nursery() as nursery:
        kept: list[Any] = []
        done: list[object] = []
        ref, gate = await busy_consumer(system, mailbox, kept)
        for number in range(3):
            nursery.start_soon(send_and_note, ref, number, done)
        await settle()
        with collected(system, DeadLetter) as letters:
            if end == "poison":
                ref.tell(PoisonPill())
            else:
                getattr(ref, end)()
            gate.set()
            await ref.wait_stopped()
            await settle()
        assert len(done) == 3
        sent = [each for each in done if each is not ActorStoppedError]
        assert sorted(sent, key=str) == sorted(
            (letter.message for letter in letters if letter.message != "first"), key=str
        )
        assert "first" in (kept if end == "poison" else [letter.message for letter in letters])


async def test_sending_to_an_actor_that_has_ended_raises_and_is_no_dead_letter() -> None:
    async with ActorSystem("test") as system:
        ref = await system.spawn(Consumer, list[Any]())
        ref.stop()
        await ref.wait_stopped()
        with collected(system, DeadLetter) as letters, pytest.raises(ActorStoppedError):
            await ref.send("too late")
        assert letters == []


@every_bounded_mailbox
async def test_those_who_wait_go_on_waiting_through_a_restart(mailbox: AnyMailbox, autojump_clock: MockClock) -> None:
    strategy = OneForOne(backoff=Backoff(initial=5.0, jitter=0.0))
    async with ActorSystem("test", supervision=strategy) as system, trio.open_nursery() as nursery:
        kept: list[Any] = []
        done: list[object] = []
        ref = await system.spawn(Consumer, kept, mailbox=mailbox)
        ref.tell(Trouble())
        await settle()
        await ref.send("first")
        nursery.start_soon(send_and_note, ref, "second", done)
        await trio.sleep(4)
        assert (kept, done) == ([], [])
        await trio.sleep(2)
        assert (kept, done) == (["first", "second"], ["second"])


@every_bounded_mailbox
async def test_those_who_wait_go_on_waiting_while_the_actor_is_suspended(mailbox: AnyMailbox) -> None:
    strategy = OneForOne(default=Directive.SUSPEND)
    async with ActorSystem("test", supervision=strategy) as system, trio.open_nursery() as nursery:
        kept: list[Any] = []
        done: list[object] = []
        ref = await system.spawn(Consumer, kept, mailbox=mailbox)
        ref.tell(Trouble())
        await settle()
        await ref.send("first")
        nursery.start_soon(send_and_note, ref, "second", done)
        await settle()
        assert done == []
        ref.reinstate()
        await settle()
        assert (kept, done) == (["first", "second"], ["second"])


async def test_a_tell_may_not_take_the_room_of_those_who_wait_for_longer_than_it_lasts() -> None:
    """Telling and sending mixed: every message is kept, rejected or still waiting, none is lost."""
    async with ActorSystem("test") as system, trio.open_nursery() as nursery:
        kept: list[Any] = []
        done: list[object] = []
        ref, gate = await busy_consumer(system, Bounded(1), kept)
        nursery.start_soon(send_and_note, ref, "sent", done)
        await settle()
        with pytest.raises(MailboxFullError):
            ref.tell("told")
        gate.set()
        await settle()
        ref.tell("told again")
        await settle()
        assert kept == ["first", "sent", "told again"]


async def test_an_actor_that_sends_to_itself_with_a_full_mailbox_can_be_killed() -> None:
    async def flood_itself(ctx: Context, msg: int) -> None:
        for number in range(3):
            await ctx.self.send(number)

    async with ActorSystem("test") as system:
        ref = await system.spawn_func(flood_itself, mailbox=Bounded(1))
        ref.tell(0)
        await settle()
        ref.kill()
        await ref.wait_stopped()


async def test_leaving_the_system_ends_those_who_wait() -> None:
    done: list[object] = []
    async with trio.open_nursery() as nursery, ActorSystem("test") as system:
        ref, gate = await busy_consumer(system, Bounded(1), [])
        nursery.start_soon(send_and_note, ref, "second", done)
        await settle()
        nursery.start_soon(open_gate, gate)
    assert done == [ActorStoppedError]


async def open_gate(gate: trio.Event) -> None:
    await settle()
    gate.set()
