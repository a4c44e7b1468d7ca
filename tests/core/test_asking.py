"""Every ending of an ask: the reply, a refusal, a failure, or an error that says why there is no reply."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
import trio
from trio.testing import MockClock
from trio.testing import wait_all_tasks_blocked as settle

from tests.core.actors import collected
from tests.core.crew import Asking, Diarist, Question, Trouble, ask_soon, echo
from trioakt import (
    Actor,
    ActorFailedError,
    ActorRef,
    ActorRestarted,
    ActorStoppedError,
    ActorSystem,
    Bounded,
    Context,
    DeadLetter,
    DeadLetterReason,
    Directive,
    MailboxFullError,
    NoReplyError,
    OneForOne,
    Overflow,
    PoisonPill,
    StartError,
    UnhandledMessageError,
    ask_all,
)

RESUMING = OneForOne(default=Directive.RESUME)


async def wait_for(ctx: Context, msg: Question, gate: trio.Event) -> None:
    await gate.wait()
    ctx.reply(msg.text)


async def test_an_ask_returns_the_reply() -> None:
    async with ActorSystem("test") as system:
        ref = await system.spawn_func(echo)
        assert await ref.ask(Question("yes")) == "yes"


async def test_none_is_a_reply_too() -> None:
    async with ActorSystem("test") as system:
        ref = await system.spawn_func(lambda ctx, _: ctx.reply(None))
        assert await ref.ask(Question()) is None


async def test_replies_find_their_askers_among_many() -> None:
    async with ActorSystem("test") as system:
        ref = await system.spawn_func(echo)
        async with trio.open_nursery() as nursery:
            askings = [ask_soon(nursery, ref, Question(str(number))) for number in range(100)]
        assert [asking.outcome for asking in askings] == [str(number) for number in range(100)]


async def test_a_failing_handler_ends_the_ask_with_its_exception_as_the_cause() -> None:
    boom = Trouble("no")

    async def fail(ctx: Context, msg: object) -> None:
        raise boom

    async with ActorSystem("test", supervision=RESUMING) as system:
        ref = await system.spawn_func(fail, name="bad")
        with pytest.raises(ActorFailedError) as caught:
            await ref.ask(Question())
        assert caught.value.__cause__ is boom
        assert caught.value.path == "/user/bad"


async def test_a_request_that_was_refused_is_no_failure_of_the_actor() -> None:
    async def refuse(ctx: Context, msg: Question) -> None:
        ctx.reply_to.fail(Trouble(msg.text))

    async with ActorSystem("test") as system:
        ref = await system.spawn_func(refuse)
        with pytest.raises(ActorFailedError) as caught:
            await ref.ask(Question("too much"))
        assert isinstance(caught.value.__cause__, Trouble)
        assert system.statistics().failures == 0


async def test_an_answered_ask_stands_even_if_the_handler_fails_afterwards() -> None:
    async def answer_and_fail(ctx: Context, msg: object) -> None:
        ctx.reply("done")
        raise Trouble

    async with ActorSystem("test", supervision=RESUMING) as system:
        ref = await system.spawn_func(answer_and_fail)
        assert await ref.ask(Question()) == "done"
        await settle()
        assert system.statistics().failures == 1


async def test_the_asker_has_its_reply_while_the_handler_still_runs() -> None:
    gate = trio.Event()

    async def answer_early(ctx: Context, msg: object) -> None:
        ctx.reply("early")
        await gate.wait()

    async with ActorSystem("test") as system:
        ref = await system.spawn_func(answer_early)
        assert await ref.ask(Question()) == "early"
        gate.set()


async def test_a_handler_that_forgets_to_reply_ends_the_ask_with_no_reply_error() -> None:
    async with ActorSystem("test") as system:
        ref = await system.spawn_func(lambda ctx, msg: None, name="silent")
        with pytest.raises(NoReplyError) as caught:
            await ref.ask(Question())
        assert caught.value.path == "/user/silent"


async def test_an_unhandled_request_tells_the_asker_and_is_a_dead_letter() -> None:
    async with ActorSystem("test") as system:
        ref = await system.spawn(Actor)
        with collected(system, DeadLetter) as letters, pytest.raises(UnhandledMessageError):
            await ref.ask(Question("what?"))
        assert [(letter.message, letter.reason) for letter in letters] == [
            (Question("what?"), DeadLetterReason.UNHANDLED)
        ]


async def test_asking_a_stopped_actor_raises_at_once_and_is_a_dead_letter() -> None:
    async with ActorSystem("test") as system:
        ref = await system.spawn_func(echo)
        ref.stop()
        await ref.wait_stopped()
        with collected(system, DeadLetter) as letters, pytest.raises(ActorStoppedError):
            await ref.ask(Question())
        assert [letter.reason for letter in letters] == [DeadLetterReason.STOPPED]


async def test_a_stopping_actor_answers_the_request_in_hand_and_no_other() -> None:
    gate = trio.Event()
    async with ActorSystem("test") as system, trio.open_nursery() as nursery:
        ref = await system.spawn_func(wait_for, gate)
        in_hand = ask_soon(nursery, ref, Question("in hand"))
        await settle()
        queued = ask_soon(nursery, ref, Question("queued"))
        await settle()
        with collected(system, DeadLetter) as letters:
            ref.stop()
            gate.set()
            await ref.wait_stopped()
            await settle()
        assert in_hand.outcome == "in hand"
        assert isinstance(queued.outcome, ActorStoppedError)
        assert [(letter.message, letter.reason) for letter in letters] == [
            (Question("queued"), DeadLetterReason.STOPPED)
        ]


async def test_a_killed_actor_ends_every_ask_it_has() -> None:
    async with ActorSystem("test") as system, trio.open_nursery() as nursery:
        ref = await system.spawn_func(wait_for, trio.Event())
        askings = [ask_soon(nursery, ref, Question()) for _ in range(3)]
        await settle()
        ref.kill()
        await settle()
        assert [type(asking.outcome) for asking in askings] == [ActorStoppedError] * 3


async def test_a_shutdown_that_cannot_wait_any_longer_ends_the_ask_in_hand(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        async with ActorSystem("test", stop_grace=2.0) as system:
            ref = await system.spawn_func(wait_for, trio.Event())
            asking = ask_soon(nursery, ref, Question())
            await settle()
        assert trio.current_time() == pytest.approx(2.0)
    assert isinstance(asking.outcome, ActorStoppedError)


async def test_a_poison_pill_lets_the_requests_before_it_be_answered() -> None:
    async with ActorSystem("test") as system, trio.open_nursery() as nursery:
        ref = await system.spawn_func(wait_for, gate := trio.Event())
        before = [ask_soon(nursery, ref, Question(text)) for text in "ab"]
        await settle()
        ref.tell(PoisonPill())
        after = ask_soon(nursery, ref, Question("c"))
        await settle()
        gate.set()
        await ref.wait_stopped()
        await settle()
        assert sorted(asking.outcome for asking in before) == ["a", "b"]
        assert isinstance(after.outcome, ActorStoppedError)


async def release(gate: trio.Event) -> None:
    await settle()
    gate.set()


async def test_the_end_of_the_system_ends_the_asks_of_tasks_outside() -> None:
    async with trio.open_nursery() as nursery, ActorSystem("test") as system:
        ref = await system.spawn_func(wait_for, gate := trio.Event())
        in_hand = ask_soon(nursery, ref, Question("in hand"))
        await settle()
        queued = ask_soon(nursery, ref, Question())
        await settle()
        nursery.start_soon(release, gate)
    assert in_hand.outcome == "in hand"
    assert isinstance(queued.outcome, ActorStoppedError)


async def ask_thrice(nursery: trio.Nursery, system: ActorSystem, mailbox: Bounded, gate: trio.Event) -> list[Asking]:
    """Ask an actor with room for one: the first question is in hand, the second waits, the third is too many."""
    ref = await system.spawn_func(wait_for, gate, mailbox=mailbox)
    askings: list[Asking] = []
    for number in range(3):
        askings.append(ask_soon(nursery, ref, Question(str(number))))
        await settle()
    return askings


async def test_a_full_mailbox_that_rejects_ends_the_ask_without_a_dead_letter() -> None:
    async with ActorSystem("test") as system, trio.open_nursery() as nursery:
        gate = trio.Event()
        with collected(system, DeadLetter) as letters:
            askings = await ask_thrice(nursery, system, Bounded(1), gate)
            assert isinstance(askings[2].outcome, MailboxFullError)
            gate.set()
            await settle()
        assert [asking.outcome for asking in askings[:2]] == ["0", "1"]
        assert letters == []


@pytest.mark.parametrize(("overflow", "dropped"), [(Overflow.DROP_NEWEST, 2), (Overflow.DROP_OLDEST, 1)])
async def test_a_request_that_a_full_mailbox_drops_ends_its_ask_and_is_a_dead_letter(
    overflow: Overflow, dropped: int
) -> None:
    async with ActorSystem("test") as system, trio.open_nursery() as nursery:
        gate = trio.Event()
        with collected(system, DeadLetter) as letters:
            askings = await ask_thrice(nursery, system, Bounded(1, overflow), gate)
            gate.set()
            await settle()
        assert isinstance(askings.pop(dropped).outcome, MailboxFullError)
        assert all(isinstance(asking.outcome, str) for asking in askings)
        assert [(letter.message, letter.reason) for letter in letters] == [
            (Question(str(dropped)), DeadLetterReason.MAILBOX_FULL)
        ]


async def test_a_full_stash_ends_the_ask_and_is_a_dead_letter() -> None:
    def stash(ctx: Context, msg: object) -> None:
        ctx.stash()

    async with ActorSystem("test", supervision=RESUMING) as system, trio.open_nursery() as nursery:
        ref = await system.spawn_func(stash, stash_capacity=1)
        stashed = ask_soon(nursery, ref, Question("first"))
        await settle()
        with collected(system, DeadLetter) as letters, pytest.raises(MailboxFullError):
            await ref.ask(Question("second"))
        assert [(letter.message, letter.reason) for letter in letters] == [
            (Question("second"), DeadLetterReason.STASH_FULL)
        ]
        ref.stop()
        await settle()
        assert isinstance(stashed.outcome, ActorStoppedError)


async def test_a_stashed_request_can_be_answered_later() -> None:
    async def open_on_signal(ctx: Context, msg: object) -> None:
        match msg:
            case Question():
                ctx.stash()
            case _:
                ctx.become(echo)
                ctx.unstash_all()

    async with ActorSystem("test") as system, trio.open_nursery() as nursery:
        ref = await system.spawn_func(open_on_signal)
        asking = ask_soon(nursery, ref, Question("patience"))
        await settle()
        assert asking.outcome is None
        ref.tell("open")
        await settle()
        assert asking.outcome == "patience"


async def test_a_request_that_waited_through_a_restart_is_answered_by_the_next_instance() -> None:
    diary: list[str] = []
    async with ActorSystem("test") as system, trio.open_nursery() as nursery:
        ref = await system.spawn(Diarist, diary, name="a")
        ref.tell(Trouble())
        asking = ask_soon(nursery, ref, Question("still there?"))
        await settle()
        assert asking.outcome == "still there?"
        assert diary == ["a starts", "a stops", "a starts"]


@pytest.mark.parametrize("starts_well", [True, False])
async def test_a_request_to_an_actor_that_is_starting_waits_for_the_start(starts_well: bool) -> None:
    gate = trio.Event()
    refs: list[ActorRef] = []

    class Slow(Diarist):
        async def pre_start(self, ctx: Context) -> None:
            refs.append(ctx.self)
            await gate.wait()
            if not starts_well:
                raise Trouble

    async def start(system: ActorSystem) -> None:
        with nullcontext() if starts_well else pytest.raises(StartError):
            await system.spawn(Slow)

    async with ActorSystem("test") as system, trio.open_nursery() as nursery:
        nursery.start_soon(start, system)
        await settle()
        asking = ask_soon(nursery, refs[0], Question("ready?"))
        await settle()
        assert asking.outcome is None
        gate.set()
        await settle()
        assert asking.outcome == "ready?" if starts_well else isinstance(asking.outcome, ActorFailedError)


async def test_a_request_to_a_suspended_actor_waits_until_it_goes_on() -> None:
    async with ActorSystem("test", supervision=OneForOne(default=Directive.SUSPEND)) as system:
        ref = await system.spawn(Diarist)
        ref.tell(Trouble())
        async with trio.open_nursery() as nursery:
            asking = ask_soon(nursery, ref, Question("well?"))
            await settle()
            assert asking.outcome is None
            ref.reinstate()
        assert asking.outcome == "well?"


async def test_a_suspended_actor_that_is_stopped_ends_the_asks_that_wait() -> None:
    async with ActorSystem("test", supervision=OneForOne(default=Directive.SUSPEND)) as system:
        ref = await system.spawn(Diarist)
        ref.tell(Trouble())
        async with trio.open_nursery() as nursery:
            asking = ask_soon(nursery, ref, Question())
            await settle()
            ref.stop()
        assert isinstance(asking.outcome, ActorStoppedError)


async def test_the_asker_hears_of_a_failure_before_the_restart_is_due(autojump_clock: MockClock) -> None:
    gate = trio.Event()

    class Slow(Actor):
        """Takes its time to stop, and so to restart."""

        async def receive(self, ctx: Context, msg: object) -> None:
            raise Trouble

        async def post_stop(self, ctx: Context) -> None:
            await gate.wait()

    async with ActorSystem("test") as system:
        ref = await system.spawn(Slow)
        with collected(system, ActorRestarted) as restarts:
            with pytest.raises(ActorFailedError):
                await ref.ask(Question())
            assert not restarts
            gate.set()
            await settle()
            assert len(restarts) == 1


async def test_forwarding_keeps_the_asker() -> None:
    async with ActorSystem("test") as system:
        last = await system.spawn_func(echo)
        middle = await system.spawn_func(lambda ctx, _, to: ctx.forward(to), last)
        first = await system.spawn_func(lambda ctx, _, to: ctx.forward(to), middle)
        assert await first.ask(Question("through")) == "through"


async def test_an_ask_that_was_forwarded_ends_as_the_last_actor_ends_it() -> None:
    async with ActorSystem("test", supervision=RESUMING) as system:
        gone = await system.spawn_func(echo)
        gone.stop()
        await gone.wait_stopped()
        deaf = await system.spawn(Actor)
        silent = await system.spawn_func(lambda ctx, msg: None)
        bad = await system.spawn(Diarist)
        endings: list[type[BaseException]] = []
        for ref, request in [(gone, Question()), (deaf, Question()), (silent, Question()), (bad, Trouble())]:
            first = await system.spawn_func(lambda ctx, _, to: ctx.forward(to), ref)
            with pytest.raises(Exception) as caught:  # noqa: PT011  (which one, is told below)
                await first.ask(request)
            endings.append(caught.type)
        assert endings == [ActorStoppedError, UnhandledMessageError, NoReplyError, ActorFailedError]


async def test_asking_all_returns_the_replies_in_the_order_of_the_refs(autojump_clock: MockClock) -> None:
    async def after(ctx: Context, msg: object, seconds: float) -> None:
        await trio.sleep(seconds)
        ctx.reply(seconds)

    async with ActorSystem("test") as system:
        refs = [await system.spawn_func(after, seconds) for seconds in (3.0, 1.0, 2.0)]
        assert await ask_all(refs, Question()) == [3.0, 1.0, 2.0]
        assert trio.current_time() == pytest.approx(3.0)
        assert await ask_all([], Question()) == []


async def test_asking_all_raises_the_first_error_and_drops_the_other_replies() -> None:
    gate = trio.Event()
    async with ActorSystem("test") as system:
        slow = await system.spawn_func(wait_for, gate)
        silent = await system.spawn_func(lambda ctx, msg: None)
        await settle()
        with pytest.raises(NoReplyError):
            await ask_all([slow, silent], Question())
        gate.set()
        await settle()
        assert system.statistics().late_replies == 1
