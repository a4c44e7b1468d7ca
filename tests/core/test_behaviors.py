"""Behaviors and the stash: handlers that replace each other, and messages that wait for a better moment."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock
from trio.testing import wait_all_tasks_blocked as settle

from tests.core.actors import collected
from tests.core.crew import Diarist, Question, Trouble
from trioakt import (
    Actor,
    ActorRef,
    ActorSystem,
    Context,
    DeadLetter,
    DeadLetterReason,
    Directive,
    MailboxFullError,
    OneForOne,
    PoisonPill,
)
from trioakt.lowlevel import Handler


class Moody(Actor):
    """Notes each message with its mood; ``+mood`` pushes a mood, ``=mood`` replaces it, ``-`` goes back."""

    def __init__(self, notes: list[str]) -> None:
        self.notes = notes

    async def receive(self, ctx: Context, msg: Any) -> None:
        self.handle(ctx, msg, "first")

    def in_mood(self, mood: str) -> Handler:
        def handler(ctx: Context, msg: Any) -> None:
            self.handle(ctx, msg, mood)

        return handler

    def handle(self, ctx: Context, msg: Any, mood: str) -> None:
        match msg:
            case Exception():
                raise msg
            case "-":
                ctx.unbecome()
            case str() if msg[0] == "+":
                ctx.become(self.in_mood(msg[1:]), discard_old=False)
            case str() if msg[0] == "=":
                ctx.become(self.in_mood(msg[1:]))
            case _:
                self.notes.append(f"{mood}: {msg}")


class Shelf(Actor):
    """Stashes what begins with a letter; a number brings back so many, ``all`` everything."""

    def __init__(self, notes: list[str]) -> None:
        self.notes = notes

    async def receive(self, ctx: Context, msg: Any) -> None:
        match msg:
            case Exception():
                raise msg
            case int():
                for _ in range(msg):
                    ctx.unstash()
                ctx.become(self.note)
            case "all":
                ctx.unstash_all()
                ctx.become(self.note)
            case _:
                ctx.stash()

    def note(self, ctx: Context, msg: Any) -> None:
        match msg:
            case "close":
                ctx.unbecome()
            case _:
                self.notes.append(msg)


def tell_all(ref: ActorRef, *messages: object) -> None:
    for message in messages:
        ref.tell(message)


@pytest.mark.parametrize(
    ("messages", "notes"),
    [
        (["a"], ["first: a"]),
        (["=second", "a"], ["second: a"]),
        (["=second", "=third", "a", "-", "b"], ["third: a", "first: b"]),
        (["+second", "a", "-", "b"], ["second: a", "first: b"]),
        (["+second", "+third", "a", "-", "b", "-", "c"], ["third: a", "second: b", "first: c"]),
        (["+second", "=third", "a", "-", "b"], ["third: a", "first: b"]),
        (["=second", "+third", "-", "a", "-", "b"], ["second: a", "first: b"]),
        (["-", "-", "a"], ["first: a"]),
    ],
)
async def test_become_replaces_or_pushes_and_unbecome_goes_back(messages: list[str], notes: list[str]) -> None:
    async with ActorSystem("test") as system:
        seen: list[str] = []
        tell_all(await system.spawn(Moody, seen), *messages)
        await settle()
        assert seen == notes


async def test_a_new_behavior_begins_with_the_next_message(autojump_clock: MockClock) -> None:
    notes: list[str] = []

    async def first(ctx: Context, msg: str) -> None:
        ctx.become(second)
        await trio.sleep(1)
        notes.append(f"first {msg}")

    async def second(ctx: Context, msg: str) -> None:
        await trio.sleep(1)
        notes.append(f"second {msg}")

    async with ActorSystem("test") as system:
        tell_all(await system.spawn_func(first), "a", "b")
        await trio.sleep(3)
        assert notes == ["first a", "second b"]


async def test_a_behavior_chosen_in_pre_start_has_the_first_message() -> None:
    notes: list[object] = []

    class Prepared(Actor):
        def pre_start(self, ctx: Context) -> None:
            ctx.become(lambda ctx, msg: notes.append(msg))

    async with ActorSystem("test") as system:
        tell_all(await system.spawn(Prepared), "a")
        await settle()
        assert notes == ["a"]


async def test_a_restart_begins_with_the_first_behavior_again() -> None:
    async with ActorSystem("test") as system:
        notes: list[str] = []
        tell_all(await system.spawn(Moody, notes), "+second", "+third", "a", Trouble(), "b", "-", "c")
        await settle()
        assert notes == ["third: a", "first: b", "first: c"]


async def test_a_resumed_actor_keeps_its_behavior() -> None:
    async with ActorSystem("test", supervision=OneForOne(default=Directive.RESUME)) as system:
        notes: list[str] = []
        tell_all(await system.spawn(Moody, notes), "+second", Trouble(), "a", "-", "b")
        await settle()
        assert notes == ["second: a", "first: b"]


async def test_a_handler_that_is_no_function_is_refused() -> None:
    async def become_nothing(ctx: Context, msg: Any) -> None:
        with pytest.raises(TypeError):
            ctx.become(msg)

    async with ActorSystem("test") as system:
        tell_all(await system.spawn_func(become_nothing), "not callable")
        await settle()
        assert system.statistics().failures == 0


async def test_a_door_is_a_state_machine_of_behaviors() -> None:
    class Door(Actor):
        """Open, closed, or locked; answers with its state."""

        def receive(self, ctx: Context, msg: Question) -> None:
            ctx.become(self.closed)
            self.closed(ctx, msg)

        def closed(self, ctx: Context, msg: Question) -> None:
            match msg.text:
                case "open":
                    ctx.become(self.opened)
                case "lock":
                    ctx.become(self.locked, discard_old=False)
                case _:
                    return ctx.unhandled()
            return ctx.reply(msg.text)

        def opened(self, ctx: Context, msg: Question) -> None:
            if msg.text != "close":
                return ctx.unhandled()
            ctx.become(self.closed)
            return ctx.reply(msg.text)

        def locked(self, ctx: Context, msg: Question) -> None:
            if msg.text != "unlock":
                return ctx.unhandled()
            ctx.unbecome()
            return ctx.reply(msg.text)

    async with ActorSystem("test") as system:
        door = await system.spawn(Door)
        for step in ("open", "close", "lock", "unlock", "open"):
            assert await door.ask(Question(step)) == step
        with collected(system, DeadLetter) as letters:
            door.tell(Question("lock"))
            await settle()
        assert [letter.reason for letter in letters] == [DeadLetterReason.UNHANDLED]


async def test_unstash_all_brings_all_back_in_their_order_before_what_waits() -> None:
    async with ActorSystem("test") as system:
        notes: list[str] = []
        ref = await system.spawn(Shelf, notes)
        tell_all(ref, "a", "b", "c", "all", "d", "e")
        await settle()
        assert notes == ["a", "b", "c", "d", "e"]


async def test_unstash_brings_the_oldest_back() -> None:
    async with ActorSystem("test") as system:
        notes: list[str] = []
        ref = await system.spawn(Shelf, notes)
        tell_all(ref, "a", "b", "c", 1, "d", "close", "all")
        await settle()
        assert notes == ["a", "d", "b", "c"]


async def test_several_unstashed_one_by_one_come_back_in_their_order() -> None:
    async with ActorSystem("test") as system:
        notes: list[str] = []
        ref = await system.spawn(Shelf, notes)
        tell_all(ref, "a", "b", 2, "c")
        await settle()
        assert notes == ["a", "b", "c"]


async def test_unstashing_an_empty_stash_changes_nothing() -> None:
    async with ActorSystem("test") as system:
        notes: list[str] = []
        ref = await system.spawn(Shelf, notes)
        tell_all(ref, 3, "a", "close", "all", "b")
        await settle()
        assert notes == ["a", "b"]
        assert system.statistics().failures == 0


async def test_a_message_can_be_stashed_again_and_keeps_its_place() -> None:
    notes: list[str] = []
    rounds: list[int] = []

    def stash_twice(ctx: Context, msg: str) -> None:
        match msg:
            case "again":
                rounds.append(1)
                ctx.unstash_all()
                if len(rounds) == 2:
                    ctx.become(lambda ctx, msg: notes.append(msg))
            case _:
                ctx.stash()

    async with ActorSystem("test") as system:
        tell_all(await system.spawn_func(stash_twice), "a", "b", "again", "c", "again", "d")
        await settle()
        assert notes == ["a", "b", "c", "d"]


async def test_a_stashed_message_keeps_its_sender() -> None:
    senders: list[ActorRef | None] = []

    def note_the_second_time(ctx: Context, msg: str) -> None:
        if msg == "open":
            ctx.unstash_all()
            ctx.become(lambda ctx, _: senders.append(ctx.sender))
        else:
            ctx.stash()

    async with ActorSystem("test") as system:
        ref = await system.spawn_func(note_the_second_time)
        sender = await system.spawn(Diarist)
        ref.tell("x", sender=sender)
        ref.tell("open")
        await settle()
        assert senders == [sender]


async def test_a_message_is_stashed_once_at_most() -> None:
    async def stash_twice(ctx: Context, msg: object) -> None:
        ctx.stash()
        with pytest.raises(RuntimeError):
            ctx.stash()

    async with ActorSystem("test") as system:
        ref = await system.spawn_func(stash_twice)
        ref.tell("x")
        await settle()
        assert (ref.statistics().stashed, ref.statistics().failures) == (1, 0)


async def test_stashing_without_a_message_in_hand_raises() -> None:
    class Hasty(Actor):
        def pre_start(self, ctx: Context) -> None:
            with pytest.raises(RuntimeError):
                ctx.stash()

    async with ActorSystem("test") as system:
        ref = await system.spawn(Hasty)
        assert ref.statistics().stashed == 0


async def test_a_full_stash_raises_and_the_message_is_a_dead_letter() -> None:
    refused: list[object] = []

    async def stash(ctx: Context, msg: object) -> None:
        try:
            ctx.stash()
        except MailboxFullError:
            refused.append(msg)

    async with ActorSystem("test") as system:
        ref = await system.spawn_func(stash, stash_capacity=2)
        with collected(system, DeadLetter) as letters:
            tell_all(ref, "a", "b", "c")
            await settle()
        assert refused == ["c"]
        assert [(letter.message, letter.reason) for letter in letters] == [("c", DeadLetterReason.STASH_FULL)]
        assert ref.statistics().stashed == 2


async def test_a_handler_that_lets_the_error_of_a_full_stash_go_has_failed() -> None:
    async with ActorSystem("test") as system:
        ref = await system.spawn(Shelf, list[str](), stash_capacity=1)
        with collected(system, DeadLetter) as letters:
            tell_all(ref, "a", "b")
            await settle()
        assert [letter.message for letter in letters] == ["b"]
        assert ref.statistics().restarts == 1


def poison(ref: ActorRef) -> None:
    ref.tell(PoisonPill())


@pytest.mark.parametrize("end", [ActorRef.stop, ActorRef.kill, poison])
async def test_what_is_left_in_the_stash_at_the_end_is_dead_letters(end: Any) -> None:
    async with ActorSystem("test") as system:
        ref = await system.spawn(Shelf, list[str]())
        tell_all(ref, "a", "b")
        await settle()
        with collected(system, DeadLetter) as letters:
            end(ref)
            await ref.wait_stopped()
            await settle()
        assert [(letter.message, letter.reason) for letter in letters] == [
            ("a", DeadLetterReason.STOPPED),
            ("b", DeadLetterReason.STOPPED),
        ]


async def test_a_restart_brings_the_stash_back_in_its_order() -> None:
    async with ActorSystem("test") as system:
        notes: list[str] = []
        ref = await system.spawn(Shelf, notes)
        tell_all(ref, "a", "b", Trouble(), "c", "all", "d")
        await settle()
        assert notes == ["a", "b", "c", "d"]


async def test_a_resumed_actor_keeps_its_stash() -> None:
    async with ActorSystem("test", supervision=OneForOne(default=Directive.RESUME)) as system:
        notes: list[str] = []
        ref = await system.spawn(Shelf, notes)
        tell_all(ref, "a", "b", Trouble(), "c")
        await settle()
        assert ref.statistics().stashed == 3
        tell_all(ref, "all")
        await settle()
        assert notes == ["a", "b", "c"]
