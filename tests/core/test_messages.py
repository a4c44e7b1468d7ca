"""Messages between actors: their order, who sent them, and where they end when nobody handles them."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import trio
from trio.testing import MockClock, assert_checkpoints, assert_no_checkpoints, wait_all_tasks_blocked

from tests.core.actors import Boom, Do, Get, Note, Recorder, Sleep, collected, keep_busy
from trioakt import (
    Actor,
    ActorRef,
    ActorStoppedError,
    ActorSystem,
    Bounded,
    Context,
    DeadLetter,
    DeadLetterReason,
    MailboxFullError,
    MailboxHigh,
    Overflow,
)


class Postman(Actor):
    """Forwards everything."""

    def __init__(self, to: ActorRef) -> None:
        self.to = to

    def receive(self, ctx: Context, msg: object) -> None:
        ctx.forward(self.to)


class Witness(Actor):
    """Keeps each message with its sender."""

    def __init__(self, kept: list[tuple[Any, ActorRef | None]]) -> None:
        self.kept = kept

    def receive(self, ctx: Context, msg: Any) -> None:
        self.kept.append((msg, ctx.sender))


def reasons(letters: list[DeadLetter]) -> list[tuple[Any, DeadLetterReason]]:
    return [(letter.message, letter.reason) for letter in letters]


# Order


async def test_messages_arrive_in_the_order_they_were_told() -> None:
    kept: list[Any] = []
    async with ActorSystem("test") as system:
        ref = await system.spawn(partial(Recorder, kept))
        for number in range(1000):
            ref.tell(Note(number))
        await wait_all_tasks_blocked()
    assert kept == [Note(number) for number in range(1000)]


async def test_tell_and_send_and_ask_of_one_sender_keep_their_order() -> None:
    kept: list[Any] = []
    async with ActorSystem("test") as system:
        ref = await system.spawn(partial(Recorder, kept))
        ref.tell(Note(1))
        await ref.send(Note(2))
        ref.tell(Note(3))
        assert await ref.ask(Get()) == 3
        ref.tell(Note(4))
        await wait_all_tasks_blocked()
    assert kept == [Note(1), Note(2), Note(3), Note(4)]


async def test_senders_are_interleaved_but_each_keeps_its_order() -> None:
    kept: list[Any] = []
    async with ActorSystem("test") as system:
        target = await system.spawn(partial(Recorder, kept), mailbox=Bounded(2))

        async def talk(ctx: Context) -> None:
            for number in range(50):
                await target.send((ctx.self.name, number))

        names = ["a", "b", "c"]
        for name in names:
            (await system.spawn(Recorder, name=name)).tell(Do(talk))
        await wait_all_tasks_blocked()
    for name in names:
        assert [number for sender, number in kept if sender == name] == list(range(50))


async def test_those_who_wait_for_room_get_it_in_their_order(autojump_clock: MockClock) -> None:
    kept: list[Any] = []
    async with ActorSystem("test") as system:
        ref = await system.spawn(partial(Recorder, kept), mailbox=Bounded(1))
        ref.tell(Sleep(1))
        async with trio.open_nursery() as nursery:
            for number in range(5):
                nursery.start_soon(ref.send, Note(number))
                await wait_all_tasks_blocked()
        await wait_all_tasks_blocked()
    assert kept == [Note(number) for number in range(5)]


async def test_a_message_is_handled_once_even_across_a_restart() -> None:
    kept: list[Any] = []
    async with ActorSystem("test") as system:
        ref = await system.spawn(partial(Recorder, kept))
        ref.tell(Note(1))
        ref.tell(Boom(OSError()))
        ref.tell(Note(2))
        ref.tell(Note(3))
        await wait_all_tasks_blocked()
    assert kept == [Note(1), Note(2), Note(3)]


async def test_one_message_is_handled_at_a_time(autojump_clock: MockClock) -> None:
    running: list[int] = []
    most: list[int] = []

    async def receive(ctx: Context, msg: object) -> None:
        running.append(1)
        most.append(len(running))
        await trio.sleep(1)
        running.pop()

    async with ActorSystem("test") as system:
        ref = await system.spawn_func(receive)
        for number in range(5):
            ref.tell(number)
        await trio.sleep(6)
    assert most == [1] * 5


async def test_tell_never_waits_and_send_and_ask_are_checkpoints() -> None:
    async with ActorSystem("test") as system:
        ref = await system.spawn(Recorder)
        with assert_no_checkpoints():
            ref.tell(Note())
        with assert_checkpoints():
            await ref.send(Note())
        with assert_checkpoints():
            assert await ref.ask(Get()) == 2


async def test_a_send_that_is_cancelled_while_it_waits_was_not_sent(autojump_clock: MockClock) -> None:
    kept: list[Any] = []
    async with ActorSystem("test") as system:
        ref = await system.spawn(partial(Recorder, kept), mailbox=Bounded(1))
        await keep_busy(ref, 3)
        ref.tell(Note(1))
        with trio.move_on_after(1) as scope:
            await ref.send(Note(2))
        assert scope.cancelled_caught
        await trio.sleep(5)
    assert kept == [Note(1)]


async def test_a_send_in_a_cancelled_scope_was_not_sent() -> None:
    kept: list[Any] = []
    async with ActorSystem("test") as system:
        ref = await system.spawn(partial(Recorder, kept))
        with trio.CancelScope() as scope:
            scope.cancel()
            await ref.send(Note(1))
        assert scope.cancelled_caught
        await wait_all_tasks_blocked()
    assert not kept


# Sender, forward and reply


async def test_a_message_has_the_sender_it_was_given_or_none() -> None:
    kept: list[tuple[Any, ActorRef | None]] = []
    async with ActorSystem("test") as system:
        ref = await system.spawn(Witness, kept)
        other = await system.spawn(Recorder)
        ref.tell(Note(1))
        ref.tell(Note(2), other)
        await ref.send(Note(3), other)
        await wait_all_tasks_blocked()
        assert kept == [(Note(1), None), (Note(2), other), (Note(3), other)]


async def test_a_forwarded_message_keeps_its_sender_over_any_number_of_steps() -> None:
    kept: list[tuple[Any, ActorRef | None]] = []
    async with ActorSystem("test") as system:
        other = await system.spawn(Recorder)
        ref = await system.spawn(Witness, kept)
        for _ in range(3):
            ref = await system.spawn(Postman, ref)
        ref.tell(Note(1), other)
        await wait_all_tasks_blocked()
        assert kept == [(Note(1), other)]


async def test_the_reply_to_a_forwarded_request_goes_to_its_asker() -> None:
    async with ActorSystem("test") as system:
        ref = await system.spawn(Recorder)
        for _ in range(3):
            ref = await system.spawn(Postman, ref)
        assert await ref.ask(Get()) == 0


async def test_a_request_forwarded_to_one_that_has_gone_is_answered_so() -> None:
    async with ActorSystem("test") as system:
        gone = await system.spawn(Recorder)
        gone.stop()
        await gone.wait_stopped()
        postman = await system.spawn(Postman, gone)
        with pytest.raises(ActorStoppedError):
            await postman.ask(Get())
        assert postman.is_alive


async def test_forwarding_to_a_mailbox_that_rejects_is_told_to_the_asker_or_else_to_the_handler(
    autojump_clock: MockClock,
) -> None:
    caught: list[MailboxFullError] = []
    async with ActorSystem("test") as system:
        full = await system.spawn(Recorder, mailbox=Bounded(1))
        await keep_busy(full, 2)
        full.tell(Note(1))

        def receive(ctx: Context, msg: object) -> None:
            try:
                ctx.forward(full)
            except MailboxFullError as error:
                caught.append(error)

        postman = await system.spawn_func(receive)
        with pytest.raises(MailboxFullError):
            await postman.ask(Get())
        assert not caught
        postman.tell(Note(2))
        await trio.sleep(3)
        assert [error.path for error in caught] == [full.path]
        assert postman.statistics().failures == 0


async def test_the_reply_to_a_told_message_is_told_to_its_sender() -> None:
    kept: list[Any] = []
    async with ActorSystem("test") as system:
        sender = await system.spawn(partial(Recorder, kept))
        ref = await system.spawn_func(lambda ctx, msg: ctx.reply(("pong", ctx.self)))
        ref.tell("ping", sender)
        await wait_all_tasks_blocked()
        assert kept == [("pong", ref)]


async def test_a_reply_that_is_told_has_the_replier_as_its_sender() -> None:
    kept: list[tuple[Any, ActorRef | None]] = []
    async with ActorSystem("test") as system:
        witness = await system.spawn(Witness, kept)
        ref = await system.spawn_func(lambda ctx, msg: ctx.reply("pong"))
        ref.tell("ping", witness)
        await wait_all_tasks_blocked()
        assert kept == [("pong", ref)]


# Dead letters


async def test_the_reply_to_nobody_is_a_dead_letter() -> None:
    async with ActorSystem("test") as system:
        ref = await system.spawn_func(lambda ctx, msg: ctx.reply(Note(7)))
        with collected(system, DeadLetter) as letters:
            ref.tell("ping")
            await wait_all_tasks_blocked()
        assert reasons(letters) == [(Note(7), DeadLetterReason.NO_ASKER)]
        assert ref.statistics().failures == 0


async def test_a_message_to_one_that_has_gone_is_a_dead_letter_with_all_about_it(autojump_clock: MockClock) -> None:
    async with ActorSystem("test") as system:
        sender = await system.spawn(Recorder)
        ref = await system.spawn(Recorder)
        ref.stop()
        await ref.wait_stopped()
        await trio.sleep(3)
        with collected(system, DeadLetter) as letters:
            ref.tell(Note(1), sender)
        (letter,) = letters
        assert letter.message == Note(1)
        assert letter.sender == sender
        assert letter.recipient == ref
        assert letter.ref == ref
        assert letter.at == trio.current_time()
        assert letter.reason == DeadLetterReason.STOPPED


async def test_sending_to_one_that_has_gone_raises() -> None:
    async with ActorSystem("test") as system:
        ref = await system.spawn(Recorder)
        ref.stop()
        await ref.wait_stopped()
        with pytest.raises(ActorStoppedError):
            await ref.send(Note(1))


@pytest.mark.parametrize("make", [Actor, lambda: Refuser()], ids=["no receive", "ctx.unhandled"])
async def test_a_message_that_is_not_understood_is_a_dead_letter(make: Any) -> None:
    async with ActorSystem("test") as system:
        ref = await system.spawn(make)
        with collected(system, DeadLetter) as letters:
            ref.tell(Note(1))
            await wait_all_tasks_blocked()
        assert reasons(letters) == [(Note(1), DeadLetterReason.UNHANDLED)]
        assert ref.is_alive
        assert ref.statistics().failures == 0


class Refuser(Actor):
    """Understands nothing, and says so."""

    async def receive(self, ctx: Context, msg: object) -> None:
        await trio.lowlevel.checkpoint()
        ctx.unhandled()


@pytest.mark.parametrize(
    ("overflow", "lost"), [(Overflow.DROP_NEWEST, Note(2)), (Overflow.DROP_OLDEST, Note(1))], ids=str
)
async def test_what_a_full_mailbox_drops_is_a_dead_letter(
    overflow: Overflow, lost: Note, autojump_clock: MockClock
) -> None:
    async with ActorSystem("test") as system:
        ref = await system.spawn(Recorder, mailbox=Bounded(1, overflow=overflow))
        await keep_busy(ref, 1)
        with collected(system, DeadLetter) as letters:
            ref.tell(Note(1))
            ref.tell(Note(2))
        assert reasons(letters) == [(lost, DeadLetterReason.MAILBOX_FULL)]
        await trio.sleep(2)
        assert await ref.ask(Get()) == 1


async def test_a_mailbox_that_rejects_makes_no_dead_letter_because_the_caller_knows(
    autojump_clock: MockClock,
) -> None:
    async with ActorSystem("test") as system:
        ref = await system.spawn(Recorder, mailbox=Bounded(1, overflow=Overflow.REJECT))
        await keep_busy(ref, 1)
        ref.tell(Note(1))
        with collected(system, DeadLetter) as letters:
            with pytest.raises(MailboxFullError) as caught:
                ref.tell(Note(2))
            with pytest.raises(MailboxFullError):
                await ref.ask(Get())
        assert isinstance(caught.value, trio.WouldBlock)
        assert caught.value.path == ref.path
        assert not letters
        await trio.sleep(2)


async def test_a_request_whose_asker_has_gone_is_not_begun_but_a_dead_letter(autojump_clock: MockClock) -> None:
    ran: list[Any] = []
    async with ActorSystem("test") as system:
        ref = await system.spawn(Recorder)
        ref.tell(Sleep(2))
        request = Do(lambda ctx: ran.append(ctx))
        with collected(system, DeadLetter) as letters:
            with trio.move_on_after(1):
                await ref.ask(request)
            await trio.sleep(2)
        assert reasons(letters) == [(request, DeadLetterReason.ASKER_GONE)]
    assert not ran


async def test_the_message_that_failed_is_no_dead_letter() -> None:
    async with ActorSystem("test") as system:
        ref = await system.spawn(Recorder)
        with collected(system, DeadLetter) as letters:
            ref.tell(Boom(OSError()))
            await wait_all_tasks_blocked()
        assert not letters


async def test_messages_left_when_the_block_ends_and_those_told_later_are_dead_letters(
    autojump_clock: MockClock,
) -> None:
    system = ActorSystem("test")
    with collected(system, DeadLetter) as letters:
        async with system:
            ref = await system.spawn(Recorder)
            ref.tell(Sleep(1))
            ref.tell(Note(1))
            await wait_all_tasks_blocked()
    assert reasons(letters) == [(Note(1), DeadLetterReason.STOPPED)]
    ref.tell(Note(2))
    assert system.statistics().dead_letters == 2


# A fair share of time


@pytest.mark.parametrize("turn", [None, 3, 1])
async def test_an_actor_that_floods_itself_does_not_starve_the_rest(turn: int | None) -> None:
    handled: list[int] = []

    def receive(ctx: Context, msg: int) -> None:
        handled.append(msg)
        if msg < 1000:
            ctx.self.tell(msg + 1)

    async with ActorSystem("test", turn=turn) if turn else ActorSystem("test") as system:
        ref = await system.spawn_func(receive)
        ref.tell(0)
        while len(handled) <= 1000:
            before = len(handled)
            await trio.lowlevel.checkpoint()
            assert len(handled) - before <= 2 * (turn or 64)  # a turn before ours in this round, and one in the next


async def test_two_actors_that_never_wait_share_the_time() -> None:
    handled: list[str] = []

    def receive(ctx: Context, msg: int) -> None:
        handled.append(ctx.self.name)
        if msg < 1000:
            ctx.self.tell(msg + 1)

    async with ActorSystem("test") as system:
        for name in ("a", "b"):
            (await system.spawn_func(receive, name=name)).tell(0)
        await wait_all_tasks_blocked()
    assert len(handled) == 2002
    half = handled[:1001]
    assert 300 < half.count("a") < 700


async def test_a_mailbox_that_grows_out_of_hand_is_an_event_at_ten_thousand_and_at_each_doubling(
    autojump_clock: MockClock,
) -> None:
    async with ActorSystem("test") as system:
        ref = await system.spawn(Recorder)
        await keep_busy(ref, 1)
        with collected(system, MailboxHigh) as events:
            for number in range(9_999):
                ref.tell(number)
            assert not events
            for number in range(30_002):
                ref.tell(number)
            assert [event.ref for event in events] == [ref] * 3
            assert [round(event.depth, -3) for event in events] == [10_000, 20_000, 40_000]
            await trio.sleep(2)
            assert await ref.ask(Get()) == 40_001
