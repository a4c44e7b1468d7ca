"""Actors that handle other messages while a handler waits, and still run one handler at a time between the waits."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from tests.core.crew import Question, ask_soon, echo
from tests.core.interleaving import Interleaver, Occupy, Pause, ask_in_order, interleaver
from trioakt import (
    Actor,
    ActorFailedError,
    ActorRef,
    ActorSystem,
    Context,
    Reentrancy,
)


async def ask_through(ctx: Context, msg: Question, other: ActorRef, diary: list[str]) -> None:
    """Ask the other one by ``ctx.ask``, except for questions in capitals, which are answered at once."""
    diary.append(f"{msg.text} begins")
    if msg.text.islower():
        ctx.reply(await ctx.ask(other, msg))
    else:
        ctx.reply(msg.text)
    diary.append(f"{msg.text} ends")


async def after_a_second(ctx: Context, msg: Question) -> None:
    await trio.sleep(1)
    ctx.reply(msg.text)


async def test_other_messages_are_handled_while_ctx_ask_waits(autojump_clock: MockClock) -> None:
    diary: list[str] = []
    async with ActorSystem("test") as system, trio.open_nursery() as nursery:
        slow = await system.spawn_func(after_a_second)
        ref = await system.spawn_func(ask_through, slow, diary, reentrancy=Reentrancy())
        askings = await ask_in_order(nursery, ref, Question("x"), Question("Y"))
        assert [asking.outcome for asking in askings] == [None, "Y"]
    assert diary == ["x begins", "Y begins", "Y ends", "x ends"]


async def test_without_reentrancy_ctx_ask_holds_the_mailbox(autojump_clock: MockClock) -> None:
    diary: list[str] = []
    async with ActorSystem("test") as system, trio.open_nursery() as nursery:
        slow = await system.spawn_func(after_a_second)
        ref = await system.spawn_func(ask_through, slow, diary)
        await ask_in_order(nursery, ref, Question("x"), Question("Y"))
    assert diary == ["x begins", "x ends", "Y begins", "Y ends"]


async def test_without_reentrancy_interleave_changes_nothing(autojump_clock: MockClock) -> None:
    diary: list[str] = []
    async with ActorSystem("test") as system, trio.open_nursery() as nursery:
        ref = await system.spawn(Interleaver, diary)
        await ask_in_order(nursery, ref, Pause("x"), Question("y"))
    assert diary == ["x begins", "x ends", "y", "stops"]


async def test_a_bare_ask_holds_the_mailbox_of_a_reentrant_actor_too(autojump_clock: MockClock) -> None:
    async def ask_bare(ctx: Context, msg: Question, other: ActorRef, diary: list[str]) -> None:
        diary.append(msg.text)
        ctx.reply(await other.ask(msg))
        diary.append(msg.text)

    diary: list[str] = []
    async with ActorSystem("test") as system, trio.open_nursery() as nursery:
        slow = await system.spawn_func(after_a_second)
        ref = await system.spawn_func(ask_bare, slow, diary, reentrancy=Reentrancy())
        await ask_in_order(nursery, ref, Question("x"), Question("y"))
    assert diary == ["x", "x", "y", "y"]


async def test_other_messages_are_handled_inside_interleave(autojump_clock: MockClock) -> None:
    diary: list[str] = []
    async with interleaver(diary) as (_, ref, nursery):
        await ask_in_order(nursery, ref, Pause("x"), Question("y"), Question("z"))
        await trio.sleep(2)
        assert diary == ["x begins", "y", "z", "x ends"]


async def test_replies_come_in_the_order_in_which_the_handlers_end(autojump_clock: MockClock) -> None:
    async with interleaver() as (_, ref, nursery):
        long, short = await ask_in_order(nursery, ref, Pause("long", seconds=3), Pause("short", seconds=1))
        await trio.sleep(2)
        assert (long.outcome, short.outcome) == (None, "short")
        await trio.sleep(2)
        assert long.outcome == "long"


async def test_a_handler_waits_for_its_turn_before_it_goes_on(autojump_clock: MockClock) -> None:
    diary: list[str] = []
    async with interleaver(diary) as (_, ref, nursery):
        await ask_in_order(nursery, ref, Pause("x", seconds=1), Occupy("y", seconds=3))
        await trio.sleep(2)
        assert diary == ["x begins", "y begins"]
        await trio.sleep(2)
        assert diary == ["x begins", "y begins", "y ends", "x ends"]


async def test_one_handler_runs_at_a_time_however_many_wait(autojump_clock: MockClock) -> None:
    diary: list[str] = []
    async with interleaver(diary) as (system, ref, nursery):
        requests = [(Pause if number % 3 else Occupy)(str(number), seconds=number % 5 / 10) for number in range(60)]
        askings = [ask_soon(nursery, ref, request) for request in requests]
        await trio.sleep(60)
        assert [asking.outcome for asking in askings] == [request.text for request in requests]
        assert system.statistics().failures == 0


async def test_handlers_that_wake_together_go_on_one_by_one(autojump_clock: MockClock) -> None:
    gate = trio.Event()
    inside: list[int] = []
    most: list[int] = []

    async def wait_and_work(ctx: Context, msg: Question) -> None:
        async with ctx.interleave():
            await gate.wait()
        inside.append(1)
        await trio.sleep(1)
        most.append(len(inside))
        inside.pop()
        ctx.reply(msg.text)

    async with ActorSystem("test") as system, trio.open_nursery() as nursery:
        ref = await system.spawn_func(wait_and_work, reentrancy=Reentrancy())
        await ask_in_order(nursery, ref, *(Question(text) for text in "abcd"))
        gate.set()
        await trio.sleep(5)
        assert most == [1, 1, 1, 1]


async def test_no_more_handlers_wait_than_the_limit_allows(autojump_clock: MockClock) -> None:
    diary: list[str] = []
    async with interleaver(diary, max_in_flight=2) as (_, ref, nursery):
        await ask_in_order(
            nursery, ref, Pause("a", seconds=5), Pause("b", seconds=5), Pause("c", seconds=1), Question("d")
        )
        assert "d" not in diary
        await trio.sleep(10)
        assert sorted(diary) == ["a begins", "a ends", "b begins", "b ends", "c begins", "c ends", "d"]
        assert diary.index("d") > diary.index("c begins")


async def test_the_limit_is_one_waiting_handler_at_least() -> None:
    with pytest.raises(ValueError, match="max_in_flight"):
        Reentrancy(max_in_flight=0)


async def test_a_limit_of_one_lets_another_handler_run_but_not_wait(autojump_clock: MockClock) -> None:
    diary: list[str] = []
    async with interleaver(diary, max_in_flight=1) as (_, ref, nursery):
        await ask_in_order(nursery, ref, Pause("a", seconds=3), Question("b"))
        assert diary == ["a begins", "b"]
        await ask_in_order(nursery, ref, Pause("c", seconds=1), Question("d"))
        assert diary == ["a begins", "b", "c begins"]
        await trio.sleep(10)
        assert sorted(diary[3:]) == ["a ends", "c ends", "d"]


async def ask_or_answer(ctx: Context, msg: Question, other: list[ActorRef]) -> None:
    """Ask the other one to answer in its turn; a question with a text is answered at once."""
    if msg.text:
        ctx.reply(msg.text)
    else:
        ctx.reply(await ctx.ask(other[0], Question()))


async def ask_back(ctx: Context, msg: Question, other: ActorRef) -> None:
    ctx.reply(await other.ask(Question("back")))


async def test_an_interleaved_ask_may_come_back_to_its_asker() -> None:
    async with ActorSystem("test") as system:
        others: list[ActorRef] = []
        ref = await system.spawn_func(ask_or_answer, others, reentrancy=Reentrancy())
        others.append(await system.spawn_func(ask_back, ref))
        assert await ref.ask(Question()) == "back"


async def test_an_interleaving_actor_may_ask_itself() -> None:
    async def recurse(ctx: Context, msg: Question) -> None:
        ctx.reply(msg.text + await ctx.ask(ctx.self, Question(msg.text[1:])) if msg.text else "")

    async with ActorSystem("test") as system:
        ref = await system.spawn_func(recurse, reentrancy=Reentrancy())
        assert await ref.ask(Question("abc")) == "abcbcc"


async def test_a_cycle_is_still_refused_where_the_limit_holds_the_mailbox() -> None:
    async def recurse(ctx: Context, msg: Question) -> None:
        ctx.reply(msg.text + await ctx.ask(ctx.self, Question(msg.text[1:])) if msg.text else "")

    async with ActorSystem("test") as system:
        ref = await system.spawn_func(recurse, reentrancy=Reentrancy(max_in_flight=2))
        assert await ref.ask(Question("ab")) == "abb"
        with pytest.raises(ActorFailedError):
            await ref.ask(Question("abcdef"))


async def test_each_waiting_handler_keeps_its_own_message_sender_and_asker(autojump_clock: MockClock) -> None:
    async def wait_and_tell(ctx: Context, msg: Question) -> None:
        async with ctx.interleave():
            await trio.sleep(len(msg.text))
        ctx.reply((msg.text, ctx.deadline))

    async with ActorSystem("test") as system, trio.open_nursery() as nursery:
        ref = await system.spawn_func(wait_and_tell, reentrancy=Reentrancy())
        results: list[object] = []

        async def ask_within(seconds: float, text: str) -> None:
            with trio.fail_after(seconds):
                results.append(await ref.ask(Question(text)))

        nursery.start_soon(ask_within, 10, "aaa")
        nursery.start_soon(ask_within, 20, "b")
        await trio.sleep(5)
        assert results == [("b", 20.0), ("aaa", 10.0)]


async def test_interleave_can_be_nested(autojump_clock: MockClock) -> None:
    async def nest(ctx: Context, msg: Question, other: ActorRef, diary: list[str]) -> None:
        diary.append(f"{msg.text} begins")
        async with ctx.interleave():
            await trio.sleep(1)
            async with ctx.interleave():
                await ctx.ask(other, msg)
            await trio.sleep(1)
        diary.append(f"{msg.text} goes on")
        await trio.sleep(1)
        diary.append(f"{msg.text} ends")
        ctx.reply(msg.text)

    diary: list[str] = []
    async with ActorSystem("test") as system, trio.open_nursery() as nursery:
        other = await system.spawn_func(echo)
        ref = await system.spawn_func(nest, other, diary, reentrancy=Reentrancy())
        ask_soon(nursery, ref, Question("x"))
        await trio.sleep(0.5)
        ask_soon(nursery, ref, Question("y"))
        await trio.sleep(10)
        assert diary == ["x begins", "y begins", "x goes on", "x ends", "y goes on", "y ends"]


async def test_ctx_ask_in_a_task_inside_a_handler_holds_the_mailbox(autojump_clock: MockClock) -> None:
    diary: list[str] = []

    async def gather(ctx: Context, msg: Question, slow: ActorRef) -> None:
        diary.append(f"{msg.text} begins")
        async with trio.open_nursery() as nursery:
            for text in "ab":
                nursery.start_soon(ctx.ask, slow, Question(text))
        diary.append(f"{msg.text} ends")
        ctx.reply(msg.text)

    async with ActorSystem("test") as system, trio.open_nursery() as nursery:
        slow = await system.spawn_func(after_a_second)
        ref = await system.spawn_func(gather, slow, reentrancy=Reentrancy())
        askings = await ask_in_order(nursery, ref, Question("x"), Question("y"))
        await trio.sleep(10)
        assert [asking.outcome for asking in askings] == ["x", "y"]
        assert diary == ["x begins", "x ends", "y begins", "y ends"]


async def test_ctx_ask_in_a_task_of_the_actor_holds_nothing(autojump_clock: MockClock) -> None:
    replies: list[object] = []

    async def ask_in_background(ctx: Context, slow: ActorRef) -> None:
        replies.append(await ctx.ask(slow, Question("in the background")))

    async def begin_or_answer(ctx: Context, msg: Question, slow: ActorRef) -> None:
        if msg.text == "begin":
            ctx.nursery.start_soon(ask_in_background, ctx, slow)
        ctx.reply(msg.text)

    async with ActorSystem("test") as system:
        slow = await system.spawn_func(after_a_second)
        ref = await system.spawn_func(begin_or_answer, slow, reentrancy=Reentrancy())
        assert await ref.ask(Question("begin")) == "begin"
        assert await ref.ask(Question("free")) == "free"
        assert (trio.current_time(), replies) == (0.0, [])
        await trio.sleep(2)
        assert replies == ["in the background"]


async def test_the_state_that_other_handlers_leave_is_there_after_the_wait(autojump_clock: MockClock) -> None:
    class Counter(Actor):
        count = 0

        async def receive(self, ctx: Context, msg: Question) -> None:
            self.count += 1
            async with ctx.interleave():
                await trio.sleep(1)
            ctx.reply(self.count)

    async with ActorSystem("test") as system, trio.open_nursery() as nursery:
        ref = await system.spawn(Counter, reentrancy=Reentrancy())
        askings = await ask_in_order(nursery, ref, Question(), Question(), Question())
        await trio.sleep(2)
        assert [asking.outcome for asking in askings] == [3, 3, 3]
