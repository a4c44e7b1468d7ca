"""What an instrument hears of messages, handlers and asks, and what it sends along with them."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import pytest
import trio
from trio.testing import MockClock
from trio.testing import wait_all_tasks_blocked as settle

from tests.core.crew import Question, echo
from trioakt import ActorFailedError, ActorRef, ActorSystem, Bounded, Context, Directive, MailboxFullError, OneForOne
from trioakt.lowlevel import Ask, AskOutcome, CoreSystem, Envelope, Instrument, Listener, ask_all

label: ContextVar[str] = ContextVar("label", default="none")


class Recorder(Instrument):
    """Writes down all it hears, and sends the label of the sender along with each message."""

    def __init__(self) -> None:
        self.heard: list[tuple[Any, ...]] = []

    def opened(self, system: CoreSystem) -> None:
        self.heard.append(("opened", system.name))

    def closed(self, system: CoreSystem) -> None:
        self.heard.append(("closed", system.name))

    def sending(self, ref: ActorRef, envelope: Envelope, headers: dict[str, str]) -> None:
        headers["label"] = label.get()

    @contextmanager
    def _around(self, kind: str, message: object, headers: dict[str, str]) -> Generator[None]:
        token = label.set(headers.get("label", "none"))
        try:
            yield
        except ValueError as error:
            self.heard.append((kind, message, str(error)))
            raise
        else:
            self.heard.append((kind, message, label.get()))
        finally:
            label.reset(token)

    def handling(self, ref: ActorRef, kind: str, envelope: Envelope, headers: dict[str, str]) -> Any:
        return self._around(kind, envelope.message, headers)

    def asked(self, ref: ActorRef, kind: str, ask: Ask) -> Listener:
        def listen(outcome: AskOutcome, error: BaseException | None) -> None:
            self.heard.append((kind, outcome, type(error)))

        return listen

    @property
    def outcomes(self) -> list[tuple[Any, ...]]:
        return [entry for entry in self.heard if isinstance(entry[1], AskOutcome)]


async def test_an_instrument_hears_of_the_system_and_of_each_handler() -> None:
    recorder = Recorder()
    async with ActorSystem("test", extensions=[recorder]) as system:
        ref = await system.spawn_func(echo)
        assert await ref.ask(Question("yes")) == "yes"
    heard = [entry for entry in recorder.heard if not isinstance(entry[1], AskOutcome)]
    assert heard == [("opened", "test"), ("echo", Question("yes"), "none"), ("closed", "test")]


async def test_what_a_sender_sets_goes_with_its_message_and_with_those_that_the_message_causes() -> None:
    recorder = Recorder()

    async def pass_on(ctx: Context, msg: object, to: ActorRef) -> None:
        to.tell(msg)

    async def keep(ctx: Context, msg: object) -> None:
        kept.append(label.get())

    kept: list[str] = []
    async with ActorSystem("test", extensions=[recorder]) as system:
        last = await system.spawn_func(keep)
        first = await system.spawn_func(pass_on, last)
        token = label.set("mine")
        first.tell("told")
        label.reset(token)
        first.tell("told")
        await settle()
    assert kept == ["mine", "none"]


async def test_a_handler_that_fails_is_seen_failing_and_is_treated_as_ever() -> None:
    recorder = Recorder()

    def fail(ctx: Context, msg: object) -> None:
        raise ValueError("bad")

    async with ActorSystem("test", extensions=[recorder], supervision=OneForOne(default=Directive.RESUME)) as system:
        ref = await system.spawn_func(fail)
        with pytest.raises(ActorFailedError):
            await ref.ask("anything")
        assert ref.is_alive
    assert ("fail", "anything", "bad") in recorder.heard


async def test_the_outcome_of_each_ask_is_heard_once(autojump_clock: MockClock) -> None:
    recorder = Recorder()

    async def answer_some(ctx: Context, msg: object) -> None:
        if msg == "wait":
            await trio.sleep(5)
        elif msg == "answer":
            ctx.reply(1)

    async with ActorSystem("test", extensions=[recorder]) as system:
        ref = await system.spawn_func(answer_some)
        await ref.ask("answer")
        with pytest.raises(Exception, match="without a reply"):
            await ref.ask("nothing")
        with trio.move_on_after(1):
            await ref.ask("wait")
    assert [outcome for _, outcome, _ in recorder.outcomes] == [
        AskOutcome.REPLIED,
        AskOutcome.FAILED,
        AskOutcome.GIVEN_UP,
    ]


async def test_a_forwarded_request_is_one_ask() -> None:
    recorder = Recorder()

    async def pass_on(ctx: Context, msg: object, to: ActorRef) -> None:
        ctx.forward(to)

    async with ActorSystem("test", extensions=[recorder]) as system:
        last = await system.spawn_func(echo)
        first = await system.spawn_func(pass_on, last)
        assert await first.ask(Question("yes")) == "yes"
    assert recorder.outcomes == [("pass_on", AskOutcome.REPLIED, type(None))]


async def test_a_request_that_a_full_mailbox_rejects_is_a_failed_ask() -> None:
    recorder = Recorder()
    gate = trio.Event()

    async def hold(ctx: Context, msg: object) -> None:
        await gate.wait()

    async with ActorSystem("test", extensions=[recorder]) as system:
        ref = await system.spawn_func(hold, mailbox=Bounded(1))
        ref.tell("held")
        await settle()
        ref.tell("fills")
        with pytest.raises(MailboxFullError):
            await ref.ask("too much")
        gate.set()
    assert recorder.outcomes == [("hold", AskOutcome.FAILED, MailboxFullError)]


async def test_handlers_that_an_actor_becomes_are_observed_and_unbecome_returns_to_an_observed_one() -> None:
    recorder = Recorder()

    def other(ctx: Context, msg: object) -> None:
        ctx.unbecome()

    def first(ctx: Context, msg: object) -> None:
        ctx.become(other, discard_old=False)

    async with ActorSystem("test", extensions=[recorder]) as system:
        ref = await system.spawn_func(first)
        for number in range(3):
            ref.tell(number)
        await settle()
    assert [entry[1] for entry in recorder.heard if entry[0] == "first"] == [0, 1, 2]


async def test_several_instruments_are_entered_in_order_and_left_in_reverse() -> None:
    order: list[str] = []

    class Noting(Instrument):
        @contextmanager
        def _around(self) -> Generator[None]:
            order.append(f"enter {type(self).__name__}")
            yield
            order.append(f"leave {type(self).__name__}")

        def handling(self, ref: ActorRef, kind: str, envelope: Envelope, headers: dict[str, str]) -> Any:
            return self._around()

    class Outer(Noting):
        pass

    class Inner(Noting):
        pass

    async with ActorSystem("test", extensions=[Outer(), Inner()]) as system:
        ref = await system.spawn_func(echo)
        await ref.ask(Question())
    assert order == ["enter Outer", "enter Inner", "leave Inner", "leave Outer"]


async def test_what_an_observed_handler_returns_is_ignored_as_that_of_any_other() -> None:
    def handle(ctx: Context, msg: Question) -> Any:
        ctx.reply(msg.text)
        return 42

    async with ActorSystem("test", extensions=[Recorder()]) as system:
        ref = await system.spawn_func(handle)
        assert await ref.ask(Question("yes")) == "yes"
        assert ref.statistics().failures == 0


class Failing(Recorder):
    """Writes down how an ask ends, and fails then."""

    def asked(self, ref: ActorRef, kind: str, ask: Ask) -> Listener:
        listen = super().asked(ref, kind, ask)

        def fail(outcome: AskOutcome, error: BaseException | None) -> None:
            listen(outcome, error)
            raise ValueError("no more ink")

        return fail


async def test_an_instrument_that_fails_at_the_end_of_an_ask_harms_nobody(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async def answer(ctx: Context, msg: Question) -> None:
        await trio.sleep(1)
        ctx.reply("yes")

    failing, other = Failing(), Recorder()
    async with ActorSystem("test", extensions=[failing, other]) as system:
        ref = await system.spawn_func(answer)
        assert await ref.ask(Question()) == "yes"
        with trio.move_on_after(0.5) as scope:
            await ref.ask(Question())
        assert scope.cancelled_caught
    assert [outcome for _, outcome, _ in failing.outcomes] == [AskOutcome.REPLIED, AskOutcome.GIVEN_UP]
    assert other.outcomes == failing.outcomes
    assert (
        caplog.messages == ["an instrument failed at the end of an ask to /user/$answer-1: ValueError: no more ink"] * 2
    )


async def test_of_several_asks_each_one_ends_once_when_one_is_refused(autojump_clock: MockClock) -> None:
    async def sleep(ctx: Context, msg: object) -> None:
        await trio.sleep(1)

    recorder = Recorder()
    async with ActorSystem("test", extensions=[recorder]) as system:
        full = await system.spawn_func(sleep, mailbox=Bounded(1))
        for number in range(2):
            full.tell(number)
            await settle()
        with pytest.raises(MailboxFullError):
            await ask_all([full], Question())
    assert recorder.outcomes == [("sleep", AskOutcome.FAILED, MailboxFullError)]


async def test_an_instrument_that_refuses_an_ask_ends_it_for_those_before_it() -> None:
    class Refusing(Instrument):
        def asked(self, ref: ActorRef, kind: str, ask: Ask) -> Listener | None:
            raise ValueError("not now")

    recorder = Recorder()
    async with ActorSystem("test", extensions=[recorder, Refusing()]) as system:
        ref = await system.spawn_func(echo)
        with pytest.raises(ValueError, match="not now"):
            await ref.ask(Question())
    assert recorder.outcomes == [("echo", AskOutcome.FAILED, ValueError)]
