"""Mailboxes with a policy: what they keep, what they drop, and in which order they serve."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import attrs
import pytest
import trio
from trio.testing import wait_all_tasks_blocked as settle

from tests.core.actors import Recorder, collected
from trioakt import (
    Actor,
    ActorRef,
    ActorSystem,
    Bounded,
    Context,
    DeadLetter,
    DeadLetterReason,
    Fair,
    MailboxFullError,
    Overflow,
    PoisonPill,
    Priority,
    Terminated,
    Unbounded,
)
from trioakt.lowlevel import Mailbox

AnyMailbox: TypeAlias = Callable[[], Mailbox]

every_mailbox = pytest.mark.parametrize(
    "mailbox",
    [
        Unbounded(),
        Bounded(2),
        Bounded(2, Overflow.DROP_NEWEST),
        Bounded(2, Overflow.DROP_OLDEST),
        Priority(lambda message: message),
        Priority(lambda message: message, capacity=2),
        Fair(),
    ],
    ids=["unbounded", "reject", "drop-newest", "drop-oldest", "priority", "bounded-priority", "fair"],
)


class Gated(Actor):
    """Keeps every message but its first one, which it handles until the gate opens."""

    def __init__(self, kept: list[Any], gate: trio.Event, watched: ActorRef | None) -> None:
        self.kept = kept
        self.gate = gate
        self.watched = watched

    def pre_start(self, ctx: Context) -> None:
        ctx.become(self.wait)
        if self.watched:
            ctx.watch(self.watched)

    async def wait(self, ctx: Context, msg: object) -> None:
        ctx.unbecome()
        await self.gate.wait()

    def receive(self, ctx: Context, msg: Any) -> None:
        self.kept.append("terminated" if isinstance(msg, Terminated) else msg)


@attrs.frozen
class Held:
    """An actor that is busy until it is released, so that a test can fill its mailbox."""

    ref: ActorRef
    kept: list[Any]
    gate: trio.Event

    def tell(self, *messages: object, sender: ActorRef | None = None) -> None:
        for message in messages:
            self.ref.tell(message, sender=sender)

    async def release(self) -> list[Any]:
        """Let it go on, and return what it has handled in the end."""
        self.gate.set()
        await settle()
        return self.kept


async def hold(system: ActorSystem, mailbox: AnyMailbox, watched: ActorRef | None = None) -> Held:
    held = Held(
        await system.spawn(Gated, kept := list[Any](), gate := trio.Event(), watched, mailbox=mailbox), kept, gate
    )
    held.tell(0)
    await settle()
    return held


@pytest.mark.parametrize("mailbox", [Unbounded(), Bounded(5)])
async def test_the_first_in_is_the_first_out(mailbox: AnyMailbox) -> None:
    async with ActorSystem("test") as system:
        held = await hold(system, mailbox)
        held.tell(3, 1, 2, 5, 4)
        assert await held.release() == [3, 1, 2, 5, 4]


async def test_a_full_mailbox_that_rejects_tells_the_sender_and_nobody_else() -> None:
    async with ActorSystem("test") as system:
        held = await hold(system, Bounded(2))
        held.tell(1, 2)
        with collected(system, DeadLetter) as letters:
            with pytest.raises(MailboxFullError) as caught:
                held.tell(3)
            assert await held.release() == [1, 2]
        assert isinstance(caught.value, trio.WouldBlock)
        assert caught.value.path == held.ref.path
        assert letters == []


async def test_a_full_mailbox_can_drop_the_newest() -> None:
    async with ActorSystem("test") as system:
        held = await hold(system, Bounded(2, Overflow.DROP_NEWEST))
        with collected(system, DeadLetter) as letters:
            held.tell(1, 2, 3, 4)
            assert await held.release() == [1, 2]
        assert [(letter.message, letter.reason) for letter in letters] == [
            (3, DeadLetterReason.MAILBOX_FULL),
            (4, DeadLetterReason.MAILBOX_FULL),
        ]


async def test_a_full_mailbox_can_drop_the_oldest() -> None:
    async with ActorSystem("test") as system:
        held = await hold(system, Bounded(2, Overflow.DROP_OLDEST))
        with collected(system, DeadLetter) as letters:
            held.tell(1, 2, 3, 4)
            assert await held.release() == [3, 4]
        assert [(letter.message, letter.reason) for letter in letters] == [
            (1, DeadLetterReason.MAILBOX_FULL),
            (2, DeadLetterReason.MAILBOX_FULL),
        ]


async def test_the_dead_letter_of_a_full_mailbox_names_sender_and_recipient() -> None:
    async with ActorSystem("test") as system:
        sender = await system.spawn(Recorder)
        held = await hold(system, Bounded(1, Overflow.DROP_NEWEST))
        with collected(system, DeadLetter) as letters:
            held.tell(1, 2, sender=sender)
            await held.release()
        assert [(letter.sender, letter.recipient) for letter in letters] == [(sender, held.ref)]


async def test_there_is_room_again_when_a_message_was_taken_out() -> None:
    async with ActorSystem("test") as system:
        held = await hold(system, Bounded(2))
        held.tell(1, 2)
        await held.release()
        held.tell(3, 4)
        await settle()
        assert held.kept == [1, 2, 3, 4]


async def test_priority_serves_the_smallest_key_first() -> None:
    async with ActorSystem("test") as system:
        held = await hold(system, Priority(lambda message: message))
        held.tell(3, 1, 2, 5, 4)
        assert await held.release() == [1, 2, 3, 4, 5]


async def test_equal_keys_are_served_in_the_order_of_their_arrival() -> None:
    async with ActorSystem("test") as system:
        held = await hold(system, Priority(lambda message: message // 10))
        held.tell(29, 12, 28, 11, 27, 13)
        assert await held.release() == [12, 11, 13, 29, 28, 27]


async def test_messages_that_cannot_be_compared_themselves_have_keys_that_can() -> None:
    async with ActorSystem("test") as system:
        held = await hold(system, Priority(lambda message: str(message)))
        held.tell({"b": 1}, {"a": 1}, {"a": 1})
        assert await held.release() == [{"a": 1}, {"a": 1}, {"b": 1}]


async def test_a_bounded_priority_mailbox_rejects() -> None:
    async with ActorSystem("test") as system:
        held = await hold(system, Priority(lambda message: message, capacity=2))
        held.tell(3, 2)
        with pytest.raises(MailboxFullError):
            held.tell(1)
        assert await held.release() == [2, 3]


async def test_a_key_that_raises_is_the_error_of_the_teller_and_the_mailbox_stays_sound() -> None:
    async with ActorSystem("test") as system:
        held = await hold(system, Priority(lambda message: 10 // (message + 1)))
        held.tell(1, 4)
        with pytest.raises(ZeroDivisionError):
            held.tell(-1)
        held.tell(9)
        assert await held.release() == [9, 4, 1]
        assert held.ref.statistics().failures == 0


async def test_keys_that_cannot_be_compared_are_the_error_of_the_teller_and_the_mailbox_stays_sound() -> None:
    async with ActorSystem("test") as system:
        held = await hold(system, Priority(lambda message: message))
        held.tell(*range(20, 0, -1))
        for bad in ("text", None, object()):
            with pytest.raises(TypeError):
                held.tell(bad)
        held.tell(0)
        assert held.ref.statistics().depth == 21
        assert await held.release() == list(range(21))


async def test_fair_serves_the_senders_in_turn() -> None:
    async with ActorSystem("test") as system:
        a, b, c = [await system.spawn(Recorder) for _ in range(3)]
        held = await hold(system, Fair())
        held.tell("a1", "a2", "a3", "a4", sender=a)
        held.tell("b1", "b2", sender=b)
        held.tell("c1", sender=c)
        assert await held.release() == ["a1", "b1", "c1", "a2", "b2", "a3", "a4"]


async def test_messages_without_a_sender_share_one_turn() -> None:
    async with ActorSystem("test") as system:
        a = await system.spawn(Recorder)
        held = await hold(system, Fair())
        held.tell("x", "y", "z")
        held.tell("a1", "a2", sender=a)
        assert await held.release() == ["x", "a1", "y", "a2", "z"]


async def test_a_sender_that_comes_back_waits_behind_the_others() -> None:
    async with ActorSystem("test") as system:
        a, b = [await system.spawn(Recorder) for _ in range(2)]
        kept: list[str] = []

        def echo_once(ctx: Context, msg: str) -> None:
            kept.append(msg)
            if msg == "a1":
                ctx.self.tell("a3", sender=a)

        ref = await system.spawn_func(echo_once, mailbox=Fair())
        ref.tell("a1", sender=a)
        ref.tell("a2", sender=a)
        ref.tell("b1", sender=b)
        await settle()
        assert kept == ["a1", "b1", "a2", "a3"]


@every_mailbox
async def test_a_poison_pill_finds_its_way_into_any_full_mailbox_behind_what_waits(
    mailbox: AnyMailbox,
) -> None:
    async with ActorSystem("test") as system:
        held = await hold(system, mailbox)
        held.tell(2, 1, PoisonPill())
        with collected(system, DeadLetter) as letters:
            await held.release()
        assert sorted(held.kept) == [1, 2]
        assert not held.ref.is_alive
        assert letters == []


@every_mailbox
async def test_messages_behind_a_poison_pill_are_dead_letters(mailbox: AnyMailbox) -> None:
    async with ActorSystem("test") as system:
        held = await hold(system, mailbox)
        held.tell(2, PoisonPill(), 1)
        with collected(system, DeadLetter) as letters:
            await held.release()
            await held.ref.wait_stopped()
        handled = held.kept + [letter.message for letter in letters]
        assert sorted(handled) == [1, 2]
        assert 2 in held.kept


@every_mailbox
async def test_the_end_of_a_watched_actor_is_heard_through_any_full_mailbox_after_what_it_sent(
    mailbox: AnyMailbox,
) -> None:
    async with ActorSystem("test") as system:
        watched = await system.spawn(Recorder)
        held = await hold(system, mailbox, watched)
        held.tell(2, 1, sender=watched)
        watched.stop()
        await watched.wait_stopped()
        await held.release()
        assert sorted(held.kept[:2]) == [1, 2]
        assert held.kept[2:] == ["terminated"]


@every_mailbox
async def test_what_is_left_in_a_mailbox_at_the_end_is_dead_letters(mailbox: AnyMailbox) -> None:
    async with ActorSystem("test") as system:
        held = await hold(system, mailbox)
        held.tell(1, 2)
        with collected(system, DeadLetter) as letters:
            held.ref.kill()
            await held.ref.wait_stopped()
        assert sorted(letter.message for letter in letters) == [1, 2]
        assert {letter.reason for letter in letters} == {DeadLetterReason.STOPPED}


@pytest.mark.parametrize("capacity", [0, -1])
def test_a_capacity_without_room_is_refused(capacity: int) -> None:
    with pytest.raises(ValueError, match="capacity"):
        Bounded(capacity)
    with pytest.raises(ValueError, match="capacity"):
        Priority(str, capacity=capacity)


def test_an_overflow_or_a_key_of_another_kind_is_refused() -> None:
    overflow: Any = "reject"
    key: Any = "not callable"
    with pytest.raises(TypeError):
        Bounded(1, overflow)
    with pytest.raises(TypeError):
        Priority(key)


@every_mailbox
async def test_one_mailbox_option_serves_many_actors(mailbox: AnyMailbox) -> None:
    async with ActorSystem("test") as system:
        first, second = [await hold(system, mailbox) for _ in range(2)]
        first.tell(1, 2)
        second.tell(3, 4)
        assert await first.release() == [1, 2]
        assert await second.release() == [3, 4]
