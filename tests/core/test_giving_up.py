"""The asker's cancellation and deadline travel with the request: nobody works for one who waits no more."""

from __future__ import annotations

import math
from typing import Any

import pytest
import trio
from trio.testing import MockClock
from trio.testing import wait_all_tasks_blocked as settle

from tests.core.actors import collected
from tests.core.crew import Errand, Question, Trouble, ask_soon, echo
from trioakt import (
    Actor,
    ActorFailedError,
    ActorRef,
    ActorSystem,
    Context,
    DeadLetter,
    DeadLetterReason,
    Directive,
    OneForOne,
    ReplyTo,
    ask_all,
)

GONE = DeadLetterReason.ASKER_GONE


class Busy(Actor):
    """Works on each message until its gate opens, and writes down what becomes of it."""

    def __init__(self, diary: list[Any], gate: trio.Event) -> None:
        self.diary = diary
        self.gate = gate

    async def receive(self, ctx: Context, msg: Question | Errand) -> None:
        self.diary.append(f"begins {msg.text}")
        try:
            await self.gate.wait()
        except trio.Cancelled:
            self.diary.append(f"is cancelled in {msg.text}")
            raise
        self.diary.append(f"ends {msg.text}, asker gone: {ctx.asker_gone}")
        ctx.reply(msg.text)


async def note_deadline(ctx: Context, msg: object) -> None:
    ctx.reply(ctx.deadline)


async def ask_further(ctx: Context, msg: Question, of: ActorRef) -> None:
    ctx.reply(await ctx.ask(of, msg))


async def test_a_request_given_up_before_it_was_begun_is_a_dead_letter() -> None:
    diary: list[str] = []
    gate = trio.Event()
    async with ActorSystem("test") as system, trio.open_nursery() as nursery:
        ref = await system.spawn(Busy, diary, gate)
        ask_soon(nursery, ref, Question("first"))
        await settle()
        second = ask_soon(nursery, ref, Question("second"))
        await settle()
        with collected(system, DeadLetter) as letters:
            second.scope.cancel()
            gate.set()
            await settle()
        assert diary == ["begins first", "ends first, asker gone: False"]
        assert [(letter.message, letter.reason) for letter in letters] == [(Question("second"), GONE)]


async def test_a_request_whose_deadline_passed_before_it_was_begun_is_a_dead_letter(autojump_clock: MockClock) -> None:
    diary: list[str] = []
    async with ActorSystem("test") as system, trio.open_nursery() as nursery:
        gate = trio.Event()
        ref = await system.spawn(Busy, diary, gate)
        ask_soon(nursery, ref, Question("first"))
        await settle()
        with collected(system, DeadLetter) as letters:
            with pytest.raises(trio.TooSlowError), trio.fail_after(1.0):
                await ref.ask(Question("second"))
            gate.set()
            await settle()
        assert diary == ["begins first", "ends first, asker gone: False"]
        assert [letter.reason for letter in letters] == [GONE]


async def test_an_ask_in_a_scope_that_is_already_cancelled_does_nothing() -> None:
    diary: list[str] = []
    async with ActorSystem("test") as system:
        ref = await system.spawn(Busy, diary, trio.Event())
        with trio.CancelScope() as scope:
            scope.cancel()
            await ref.ask(Question())
        assert scope.cancelled_caught
        await settle()
        assert diary == []


async def test_a_running_handler_goes_on_when_its_asker_gives_up_and_its_reply_is_counted_as_late() -> None:
    diary: list[str] = []
    gate = trio.Event()
    async with ActorSystem("test") as system, trio.open_nursery() as nursery:
        ref = await system.spawn(Busy, diary, gate)
        asking = ask_soon(nursery, ref, Question("it"))
        await settle()
        asking.scope.cancel()
        await settle()
        assert diary == ["begins it"]
        gate.set()
        await settle()
        assert diary == ["begins it", "ends it, asker gone: True"]
        statistics = system.statistics()
        assert (statistics.late_replies, statistics.dead_letters, statistics.failures) == (1, 0, 0)


async def test_an_asker_whose_deadline_passed_is_gone_too(autojump_clock: MockClock) -> None:
    seen: list[tuple[float, bool]] = []

    async def watch_the_asker(ctx: Context, msg: object) -> None:
        for _ in range(2):
            seen.append((trio.current_time(), ctx.asker_gone))
            await trio.sleep(2)

    async with ActorSystem("test") as system:
        ref = await system.spawn_func(watch_the_asker)
        with trio.move_on_after(1):
            await ref.ask(Question())
        await trio.sleep(2)
        assert seen == [(0.0, False), (2.0, True)]


async def test_a_cancellable_handler_is_cancelled_with_its_asker_and_the_actor_goes_on() -> None:
    diary: list[str] = []
    gate = trio.Event()
    async with ActorSystem("test") as system, trio.open_nursery() as nursery:
        ref = await system.spawn(Busy, diary, gate)
        first = ask_soon(nursery, ref, Errand("first"))
        await settle()
        second = ask_soon(nursery, ref, Errand("second"))
        await settle()
        first.scope.cancel()
        await settle()
        gate.set()
        await settle()
        assert second.outcome == "second"
        assert diary == [
            "begins first",
            "is cancelled in first",
            "begins second",
            "ends second, asker gone: False",
        ]
        statistics = system.statistics()
        assert (statistics.failures, statistics.restarts, statistics.dead_letters) == (0, 0, 0)


async def test_a_cancellable_handler_runs_inside_the_deadline_of_its_asker(autojump_clock: MockClock) -> None:
    diary: list[str] = []
    async with ActorSystem("test") as system:
        ref = await system.spawn(Busy, diary, trio.Event())
        with trio.move_on_after(3.0):
            await ref.ask(Errand("it"))
        await settle()
        assert diary == ["begins it", "is cancelled in it"]
        assert trio.current_time() == pytest.approx(3.0)
        assert ref.is_alive


async def test_a_cancellable_handler_sees_the_deadline_in_its_own_scope(autojump_clock: MockClock) -> None:
    async def note_scope(ctx: Context, msg: object) -> None:
        ctx.reply(trio.current_effective_deadline())

    async with ActorSystem("test") as system:
        ref = await system.spawn_func(note_scope)
        with trio.fail_after(3.0):
            assert await ref.ask(Errand()) == pytest.approx(3.0)
            assert await ref.ask(Question()) == math.inf
        assert await ref.ask(Errand()) == math.inf


async def test_a_cancellable_handler_that_ends_in_time_is_like_any_other() -> None:
    async with ActorSystem("test") as system:
        ref = await system.spawn_func(echo)
        with trio.fail_after(5):
            assert await ref.ask(Errand("done")) == "done"


async def test_a_cancellable_handler_that_fails_while_it_is_cancelled_has_failed() -> None:
    async def fail_on_the_way_out(ctx: Context, msg: object) -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise Trouble

    async with ActorSystem("test") as system, trio.open_nursery() as nursery:
        ref = await system.spawn_func(fail_on_the_way_out)
        asking = ask_soon(nursery, ref, Errand())
        await settle()
        asking.scope.cancel()
        await settle()
        assert (system.statistics().failures, system.statistics().restarts) == (1, 1)


async def test_a_cancellable_handler_that_was_begun_by_a_tell_is_nobodys_to_cancel() -> None:
    diary: list[str] = []
    gate = trio.Event()
    async with ActorSystem("test") as system:
        ref = await system.spawn(Busy, diary, gate)
        with trio.CancelScope() as scope:
            ref.tell(Errand("told"))
            await settle()
            scope.cancel()
        await settle()
        gate.set()
        await settle()
        assert diary == ["begins told", "ends told, asker gone: False"]


async def test_a_kill_stops_a_cancellable_handler_and_no_next_message_is_begun() -> None:
    diary: list[str] = []
    async with ActorSystem("test") as system, trio.open_nursery() as nursery:
        ref = await system.spawn(Busy, diary, trio.Event())
        for text in ("first", "second"):
            ask_soon(nursery, ref, Errand(text))
            await settle()
        ref.kill()
        await ref.wait_stopped()
        assert diary == ["begins first", "is cancelled in first"]


async def test_the_deadline_of_the_asker_is_known_to_the_handler(autojump_clock: MockClock) -> None:
    async with ActorSystem("test") as system:
        ref = await system.spawn_func(note_deadline)
        with trio.fail_after(7.0), trio.fail_after(9.0):
            assert await ref.ask(Question()) == pytest.approx(7.0)
        assert await ref.ask(Question()) == math.inf


async def test_a_told_message_has_no_deadline_and_no_asker_to_go() -> None:
    seen: list[object] = []

    def note(ctx: Context, msg: object) -> None:
        seen.append((ctx.deadline, ctx.asker_gone))

    async with ActorSystem("test") as system:
        ref = await system.spawn_func(note)
        with trio.move_on_after(1):
            ref.tell("hello")
            await settle()
        assert seen == [(math.inf, False)]


async def test_the_deadline_travels_on_with_ctx_ask(autojump_clock: MockClock) -> None:
    async with ActorSystem("test") as system:
        last = await system.spawn_func(note_deadline)
        middle = await system.spawn_func(ask_further, last)
        first = await system.spawn_func(ask_further, middle)
        with trio.fail_after(4.0):
            assert await first.ask(Question()) == pytest.approx(4.0)


async def test_a_bare_ask_in_a_handler_is_bound_by_the_scopes_around_it_alone(autojump_clock: MockClock) -> None:
    async def ask_bare(ctx: Context, msg: object, of: ActorRef) -> None:
        unbounded = await of.ask(Question())
        with trio.fail_after(2.0):
            ctx.reply((unbounded, await of.ask(Question())))

    async with ActorSystem("test") as system:
        last = await system.spawn_func(note_deadline)
        first = await system.spawn_func(ask_bare, last)
        with trio.fail_after(9.0):
            assert await first.ask(Question()) == (math.inf, pytest.approx(2.0))


async def test_ctx_ask_ends_when_the_request_in_hand_is_too_late(autojump_clock: MockClock) -> None:
    seen: list[object] = []

    async def ask_and_see(ctx: Context, msg: object, of: ActorRef) -> None:
        try:
            await ctx.ask(of, Question())
        except trio.TooSlowError:
            seen.append(trio.current_time())

    async with ActorSystem("test") as system:
        gate = trio.Event()
        slow = await system.spawn(Busy, list[str](), gate)
        ref = await system.spawn_func(ask_and_see, slow)
        with trio.move_on_after(2.0):
            await ref.ask(Question())
        await settle()
        assert seen == [2.0]
        gate.set()


async def test_giving_up_reaches_down_a_chain_of_cancellable_asks() -> None:
    diary: list[str] = []
    async with ActorSystem("test") as system, trio.open_nursery() as nursery:
        last = await system.spawn(Busy, diary, trio.Event())
        middle = await system.spawn_func(ask_further, last)
        first = await system.spawn_func(ask_further, middle)
        asking = ask_soon(nursery, first, Errand("it"))
        await settle()
        asking.scope.cancel()
        await settle()
        assert diary == ["begins it", "is cancelled in it"]
        assert system.statistics().failures == 0


async def test_a_forwarded_request_is_given_up_with_its_asker() -> None:
    diary: list[str] = []
    gate = trio.Event()
    async with ActorSystem("test") as system, trio.open_nursery() as nursery:
        last = await system.spawn(Busy, diary, gate)
        via = await system.spawn_func(lambda ctx, msg, to: ctx.forward(to), last)
        running = ask_soon(nursery, via, Errand("running"))
        await settle()
        queued = ask_soon(nursery, via, Question("queued"))
        await settle()
        with collected(system, DeadLetter) as letters:
            queued.scope.cancel()
            running.scope.cancel()
            await settle()
        assert diary == ["begins running", "is cancelled in running"]
        assert [(letter.recipient, letter.reason) for letter in letters] == [(last, GONE)]


async def test_a_stashed_request_that_was_given_up_is_not_handled() -> None:
    diary: list[str] = []

    async def stash_first(ctx: Context, msg: Any) -> None:
        if isinstance(msg, Question):
            return ctx.stash()
        ctx.become(lambda ctx, msg: diary.append(msg))
        return ctx.unstash_all()

    async with ActorSystem("test") as system, trio.open_nursery() as nursery:
        ref = await system.spawn_func(stash_first)
        asking = ask_soon(nursery, ref, Question())
        await settle()
        asking.scope.cancel()
        with collected(system, DeadLetter) as letters:
            ref.tell("open")
            await settle()
        assert diary == []
        assert [letter.reason for letter in letters] == [GONE]


async def test_a_kept_handle_knows_that_its_asker_is_gone() -> None:
    kept: list[ReplyTo] = []
    async with ActorSystem("test") as system, trio.open_nursery() as nursery:
        ref = await system.spawn_func(lambda ctx, _: kept.append(ctx.reply_to))
        asking = ask_soon(nursery, ref, Question())
        await settle()
        seen = [kept[0].asker_gone]
        asking.scope.cancel()
        await settle()
        assert [*seen, kept[0].asker_gone] == [False, True]
        kept[0].reply("too late")
        assert system.statistics().late_replies == 1


async def test_an_actor_that_is_killed_gives_up_what_it_asked() -> None:
    diary: list[str] = []
    async with ActorSystem("test") as system:
        busy = await system.spawn(Busy, diary, trio.Event())
        asker = await system.spawn_func(ask_further, busy)
        asker.tell(Errand("its errand"))
        await settle()
        asker.kill()
        await settle()
        assert diary == ["begins its errand", "is cancelled in its errand"]


async def test_asking_all_gives_all_up_when_it_is_cancelled() -> None:
    diary: list[str] = []
    async with ActorSystem("test") as system, trio.open_nursery() as nursery:
        refs = [await system.spawn(Busy, diary, trio.Event()) for _ in range(3)]
        nursery.start_soon(ask_all, refs, Errand("it"))
        await settle()
        nursery.cancel_scope.cancel()
        with trio.CancelScope(shield=True):
            await settle()
        assert sorted(diary) == ["begins it"] * 3 + ["is cancelled in it"] * 3


async def test_a_failure_after_the_asker_is_gone_is_still_a_failure() -> None:
    gate = trio.Event()

    async def fail_late(ctx: Context, msg: object) -> None:
        await gate.wait()
        raise Trouble

    async with (
        ActorSystem("test", supervision=OneForOne(default=Directive.STOP)) as system,
        trio.open_nursery() as nursery,
    ):
        ref = await system.spawn_func(fail_late)
        asking = ask_soon(nursery, ref, Question())
        await settle()
        asking.scope.cancel()
        gate.set()
        await ref.wait_stopped()
        assert system.statistics().failures == 1
        assert not isinstance(asking.outcome, ActorFailedError)


async def test_a_deadline_that_passes_while_the_actor_never_awaits_ends_the_wait_as_any_deadline(
    mock_clock: MockClock,
) -> None:
    async with ActorSystem("test") as system:
        ref = await system.spawn_func(lambda _, msg: mock_clock.jump(2) if msg == "work" else None)
        ref.tell("work")
        with trio.move_on_after(1) as scope:
            await ref.ask(Question())
        assert scope.cancelled_caught


async def test_a_deadline_that_is_put_off_too_late_ends_the_wait_with_an_error(mock_clock: MockClock) -> None:
    scope = trio.CancelScope(deadline=1)

    def be_late(ctx: Context, msg: object) -> None:
        if msg == "work":
            mock_clock.jump(2)
            scope.deadline = math.inf

    async with ActorSystem("test") as system:
        ref = await system.spawn_func(be_late)
        ref.tell("work")
        with scope, pytest.raises(trio.TooSlowError, match=r"before /user/.* could begin"):
            await ref.ask(Question())
