"""How stopping, failing and giving up reach the handlers of a reentrant actor that wait."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock
from trio.testing import wait_all_tasks_blocked as settle

from tests.core.actors import collected
from tests.core.crew import Errand, Question, Trouble, ask_soon
from tests.core.interleaving import Interleaver, Occupy, Pause, ask_in_order, interleaver
from trioakt import (
    Actor,
    ActorFailedError,
    ActorRef,
    ActorStoppedError,
    ActorSystem,
    Context,
    DeadLetter,
    DeadLetterReason,
    Directive,
    NoReplyError,
    OneForOne,
    PoisonPill,
    Reentrancy,
)


async def test_a_stop_lets_the_waiting_handlers_end_and_takes_nothing_new(autojump_clock: MockClock) -> None:
    diary: list[str] = []
    async with interleaver(diary) as (system, ref, nursery):
        waiting = await ask_in_order(nursery, ref, Pause("x", seconds=2), Pause("y", seconds=1), Occupy("z"))
        queued = ask_soon(nursery, ref, Question("too late"))
        await settle()
        with collected(system, DeadLetter) as letters:
            ref.stop()
            await ref.wait_stopped()
            await settle()
        assert [asking.outcome for asking in waiting] == ["x", "y", "z"]
        assert isinstance(queued.outcome, ActorStoppedError)
        assert [letter.reason for letter in letters] == [DeadLetterReason.STOPPED]
        assert diary[-1] == "stops"


async def test_a_poison_pill_waits_for_the_handlers_that_were_begun_before_it(autojump_clock: MockClock) -> None:
    diary: list[str] = []
    async with interleaver(diary) as (_, ref, nursery):
        waiting = await ask_in_order(nursery, ref, Pause("x"))
        ref.tell(PoisonPill())
        await ref.wait_stopped()
        await settle()
        assert waiting[0].outcome == "x"
        assert diary == ["x begins", "x ends", "stops"]


async def test_a_kill_cancels_the_waiting_handlers() -> None:
    diary: list[str] = []
    async with interleaver(diary) as (_, ref, nursery):
        waiting = await ask_in_order(nursery, ref, Pause("x"), Pause("y"), Question("z"))
        ref.kill()
        await ref.wait_stopped()
        await settle()
        assert [type(asking.outcome) for asking in waiting] == [ActorStoppedError, ActorStoppedError, str]
        assert diary == ["x begins", "y begins", "z", "stops"]


async def test_a_failure_that_restarts_ends_the_handlers_that_wait(autojump_clock: MockClock) -> None:
    diary: list[str] = []
    async with interleaver(diary) as (_, ref, nursery):
        waiting = await ask_in_order(nursery, ref, Pause("x"), Pause("y"))
        ref.tell(Trouble())
        await settle()
        assert all(isinstance(asking.outcome, ActorFailedError | ActorStoppedError) for asking in waiting)
        assert await ref.ask(Question("new life")) == "new life"
        await trio.sleep(5)
        assert diary == ["x begins", "y begins", "stops", "new life"]


async def test_a_failure_that_is_resumed_leaves_the_handlers_that_wait(autojump_clock: MockClock) -> None:
    async with interleaver(supervision=OneForOne(default=Directive.RESUME)) as (_, ref, nursery):
        waiting = await ask_in_order(nursery, ref, Pause("x"), Pause("y"))
        ref.tell(Trouble())
        await trio.sleep(2)
        assert [asking.outcome for asking in waiting] == ["x", "y"]


async def test_a_suspended_actor_goes_on_with_no_handler_until_it_is_reinstated(autojump_clock: MockClock) -> None:
    diary: list[str] = []
    async with interleaver(diary, supervision=OneForOne(default=Directive.SUSPEND)) as (_, ref, nursery):
        waiting = await ask_in_order(nursery, ref, Pause("x"))
        ref.tell(Trouble())
        await trio.sleep(5)
        assert diary == ["x begins"]
        ref.reinstate()
        await settle()
        assert waiting[0].outcome == "x"


async def test_a_handler_that_fails_after_waiting_fails_the_actor_for_its_own_message(
    autojump_clock: MockClock,
) -> None:
    seen: list[object] = []

    class Fragile(Actor):
        async def receive(self, ctx: Context, msg: Question) -> None:
            async with ctx.interleave():
                await trio.sleep(len(msg.text))
            raise Trouble(msg.text)

        def pre_restart(self, ctx: Context, error: BaseException, msg: object) -> None:
            seen.append((str(error), msg))

    async with ActorSystem("test") as system, trio.open_nursery() as nursery:
        ref = await system.spawn(Fragile, reentrancy=Reentrancy())
        long, short = await ask_in_order(nursery, ref, Question("long"), Question("x"))
        await trio.sleep(2)
        assert isinstance(short.outcome, ActorFailedError)
        assert isinstance(short.outcome.__cause__, Trouble)
        assert isinstance(long.outcome, ActorFailedError | ActorStoppedError)
        assert seen == [("x", Question("x"))]


async def test_an_exception_inside_interleave_comes_out_of_it() -> None:
    async def fail_inside(ctx: Context, msg: Question) -> None:
        with pytest.raises(Trouble):
            async with ctx.interleave():
                raise Trouble
        ctx.reply(msg.text)

    async with ActorSystem("test") as system:
        ref = await system.spawn_func(fail_inside, reentrancy=Reentrancy())
        assert await ref.ask(Question("caught")) == "caught"
        assert await ref.ask(Question("again")) == "again"


async def test_a_failing_reply_comes_out_of_ctx_ask_with_the_turn_taken_back() -> None:
    async def ask_silent(ctx: Context, msg: Question, silent: ActorRef) -> None:
        with pytest.raises(NoReplyError):
            await ctx.ask(silent, Question())
        ctx.reply(msg.text)

    async with ActorSystem("test") as system:
        silent = await system.spawn_func(lambda ctx, msg: None)
        ref = await system.spawn_func(ask_silent, silent, reentrancy=Reentrancy())
        assert await ref.ask(Question("fine")) == "fine"


async def test_a_scope_of_the_handler_bounds_interleave(autojump_clock: MockClock) -> None:
    diary: list[str] = []

    async def give_up_soon(ctx: Context, msg: Question) -> None:
        if msg.text == "quick":
            return ctx.reply("quick")
        with trio.move_on_after(2) as scope:
            async with ctx.interleave():
                await trio.sleep_forever()
        diary.append(f"cancelled {scope.cancelled_caught} at {trio.current_time()}")
        return ctx.reply(msg.text)

    async with ActorSystem("test") as system, trio.open_nursery() as nursery:
        ref = await system.spawn_func(give_up_soon, reentrancy=Reentrancy())
        askings = await ask_in_order(nursery, ref, Question("patient"), Question("quick"))
        assert askings[1].outcome == "quick"
        await trio.sleep(3)
        assert askings[0].outcome == "patient"
        assert diary == ["cancelled True at 2.0"]


async def test_a_cancellable_handler_is_cancelled_while_it_waits_and_the_actor_goes_on() -> None:
    ends: list[str] = []

    async def wait_long(ctx: Context, msg: Any) -> None:
        if isinstance(msg, Question):
            return ctx.reply(msg.text)
        try:
            async with ctx.interleave():
                await trio.sleep_forever()
        finally:
            ends.append(msg.text)

    async with ActorSystem("test") as system, trio.open_nursery() as nursery:
        ref = await system.spawn_func(wait_long, reentrancy=Reentrancy())
        errand = ask_soon(nursery, ref, Errand("errand"))
        await settle()
        errand.scope.cancel()
        await settle()
        assert ends == ["errand"]
        assert await ref.ask(Question("well?")) == "well?"
        assert system.statistics().failures == 0


async def test_the_deadline_of_the_request_in_hand_bounds_ctx_ask(autojump_clock: MockClock) -> None:
    seen: list[object] = []

    async def ask_slow(ctx: Context, msg: Question, slow: ActorRef) -> None:
        if not msg.text:
            return ctx.reply(ctx.deadline)
        try:
            await ctx.ask(slow, Question())
        except trio.TooSlowError:
            seen.append(trio.current_time())
        return None

    async def never(ctx: Context, msg: object) -> None:
        await trio.sleep(100)

    async with ActorSystem("test") as system, trio.open_nursery() as nursery:
        slow = await system.spawn_func(never)
        ref = await system.spawn_func(ask_slow, slow, reentrancy=Reentrancy())
        with trio.move_on_after(2):
            await ref.ask(Question("two seconds"))
        await settle()
        assert seen == [2.0]
        assert await ref.ask(Question()) == trio.current_effective_deadline()
        slow.kill()
        nursery.cancel_scope.cancel()


async def test_leaving_the_system_ends_handlers_that_wait(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        async with ActorSystem("test", stop_grace=2.0) as system:
            ref = await system.spawn(Interleaver, reentrancy=Reentrancy())
            askings = await ask_in_order(nursery, ref, Pause("x", seconds=1), Pause("y", seconds=1000))
        assert trio.current_time() == pytest.approx(2.0)
    assert askings[0].outcome == "x"
    assert isinstance(askings[1].outcome, ActorStoppedError)
