from __future__ import annotations

import logging
import threading
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import attrs
import pytest
import trio
import trio.lowlevel
from loguru import logger
from opentelemetry.trace import format_span_id, format_trace_id
from trio.testing import MockClock
from trio.testing import wait_all_tasks_blocked as settle

from tests.core.actors import Boom, Do, Hook, Recorder, collected
from tests.observability.watching import Spans, records, sink
from trioakt import ActorRef, ActorSystem, Context, DeadLetter, OneForOne
from trioakt.lowlevel import Event, Instrument
from trioakt.observability import Correlation, Tracing, correlated, open_logging
from trioakt.supervision import Directive

TRIOAKT = logging.getLogger("trioakt")


@asynccontextmanager
async def logged(
    level: int | str = "INFO", *, instruments: Sequence[Instrument] = (), **options: Any
) -> AsyncGenerator[tuple[ActorSystem, ActorRef]]:
    """Open a system with one actor, called ada, that logs."""
    system = ActorSystem("bank", extensions=[Correlation(), *instruments], **options)
    async with open_logging(system, level=level), system:
        yield system, await system.spawn(Recorder, name="ada")


def saying(*texts: str) -> Hook:
    """Make a hook that logs these texts."""

    def hook(ctx: Context) -> None:
        for text in texts:
            ctx.log.info(text)

    return hook


async def test_what_an_actor_logs_has_its_path_the_correlation_id_and_its_own_particulars() -> None:
    with sink() as lines:
        async with logged() as (_, ada):
            with correlated("order-7"):
                ada.tell(Do(lambda ctx: ctx.log.info("paid %s", 10, extra={"amount": 10})))
            await settle()
    (line,) = records(lines)
    assert (line["level"], line["message"], line["actor"]) == ("INFO", "paid 10", "/user/ada")
    assert (line["correlation_id"], line["extra"], line["logger"]) == ("order-7", {"amount": 10}, "trioakt.actor")


@pytest.mark.parametrize("message", [Do(lambda ctx: ctx.log.info("paid")), Boom(ValueError("no money"))])
async def test_what_an_actor_logs_and_its_failure_name_the_span_in_which_it_handles_its_message(message: Any) -> None:
    spans = Spans()
    with sink() as lines:
        async with logged(instruments=[Tracing(spans.provider)]) as (_, ada):
            ada.tell(message)
            await settle()
    span = spans.ended[0].context
    assert span is not None
    ids = format_trace_id(span.trace_id), format_span_id(span.span_id)
    assert {(line["trace_id"], line["span_id"]) for line in records(lines)} == {ids}


async def test_the_time_in_the_log_is_when_it_was_logged_and_not_when_it_was_written() -> None:
    gate = threading.Event()
    written: list[str] = []

    def slow(line: str) -> None:
        gate.wait(30)
        written.append(line)

    with sink(write=slow):
        async with logged() as (_, ada):
            await ada.ask(Do(lambda ctx: ctx.log.info("one")))
            before = datetime.now(UTC)
            gate.set()
    assert datetime.fromisoformat(records(written)[0]["time"]) < before


async def test_a_failure_is_logged_once_with_its_traceback_and_the_id_of_the_message_that_failed() -> None:
    with sink() as lines:
        async with logged() as (_, ada):
            with correlated("order-7"):
                ada.tell(Boom(ValueError("no money")))
            await settle()
    failed, restarted = records(lines)
    assert (failed["level"], failed["message"]) == ("ERROR", "/user/ada failed: ValueError: no money")
    assert (failed["actor"], failed["correlation_id"]) == ("/user/ada", "order-7")
    assert failed["failure"]["traceback"].endswith("ValueError: no money\n")
    assert (restarted["level"], restarted["event"], restarted["system"]) == ("WARNING", "ActorRestarted", "bank")


async def test_an_exception_that_an_actor_logs_itself_is_told_with_its_traceback() -> None:
    def handle(ctx: Context) -> None:
        try:
            raise KeyError("gone")
        except KeyError:
            ctx.log.exception("cannot pay")

    with sink() as lines:
        async with logged() as (_, ada):
            ada.tell(Do(handle))
            await settle()
    (line,) = records(lines)
    assert (line["message"], line["failure"]["type"], line["failure"]["text"]) == ("cannot pay", "KeyError", "'gone'")


async def test_lives_are_told_at_debug_and_not_at_info() -> None:
    for level, told in ("DEBUG", ["/user/ada has started", "/user/ada has ended (STOPPED)"]), ("INFO", []):
        with sink() as lines:
            async with logged(level):
                pass
        assert [line["message"] for line in records(lines)] == told


async def test_each_kind_of_event_is_told_in_words_of_its_own() -> None:
    suspending = OneForOne(default=Directive.SUSPEND)
    with sink() as lines:
        async with logged() as (system, _):
            bob = await system.spawn(Recorder, name="bob", supervision=suspending)
            bob.tell(Boom(ValueError("no")))
            await settle()
            bob.reinstate()
            for number in range(10_001):
                bob.tell(number)
            bob.stop()
            await bob.wait_stopped()
    told = [line["message"] for line in records(lines) if "dead letter" not in line["message"]]
    assert told == [
        "/user/bob failed: ValueError: no",
        "/user/bob is suspended: ValueError: no",
        "/user/bob goes on",
        "/user/bob is behind: 10001 messages wait",
    ]


async def test_an_event_of_another_package_is_told_with_its_particulars() -> None:
    @attrs.frozen
    class LinkLost(Event):
        node: str
        pending: int

    with sink() as lines:
        async with logged() as (system, ada):
            system.events.publish(LinkLost(ada, 1.0, "node-2", 3))
    (line,) = records(lines)
    assert (line["level"], line["message"], line["event"]) == ("INFO", "/user/ada: LinkLost", "LinkLost")
    assert line["extra"] == {"node": "node-2", "pending": 3}


async def test_dead_letters_are_logged_at_a_limited_rate_and_none_is_forgotten(autojump_clock: MockClock) -> None:
    with sink() as lines:
        async with logged() as (system, ada):
            ada.stop()
            await ada.wait_stopped()
            with collected(system, DeadLetter) as letters:
                for _ in range(1_000):
                    ada.tell("late")
    told = [line["message"] for line in records(lines)]
    assert len(letters) == 1_000
    assert told[:10] == ["dead letter: str from nobody to /user/ada (stopped)"] * 10
    assert told[10:] == ["990 more dead letters, not logged one by one"]
    assert records(lines)[0]["actor"] == "/user/ada"


async def test_hostile_values_harm_neither_the_actor_nor_the_log() -> None:
    class Hostile:
        def __repr__(self) -> str:
            raise RuntimeError("no")

        __str__ = __repr__

    def handle(ctx: Context) -> None:
        ctx.log.info("one %s", Hostile())
        ctx.log.info(*["two %s %s", "too few"])
        ctx.log.info(Hostile())
        ctx.log.info("x" * 10_000_000, extra={"what": Hostile(), "huge": "y" * 10_000_000})
        ctx.log.info("five\nforged \x1b[2J")

    with sink() as lines:
        async with logged() as (_, ada):
            await ada.ask(Do(handle))
    told = [line["message"] for line in records(lines)]
    assert told[:3] == [
        "one %s <its arguments cannot be shown: RuntimeError>",
        "two %s %s <its arguments cannot be shown: TypeError>",
        "<unprintable Hostile: RuntimeError> <its arguments cannot be shown: RuntimeError>",
    ]
    assert told[4] == "five\nforged \x1b[2J"
    assert all(len(line.splitlines()) == 1 and len(line) < 20_000 for line in lines)


# The block


async def test_leaving_the_block_leaves_everything_as_it_was() -> None:
    before = (TRIOAKT.level, TRIOAKT.propagate, list(TRIOAKT.handlers), threading.active_count())
    with sink() as lines:
        async with logged(), logged("DEBUG"):
            assert TRIOAKT.level == logging.INFO
        assert (TRIOAKT.level, TRIOAKT.propagate, list(TRIOAKT.handlers), threading.active_count()) == before
        TRIOAKT.error("unheard")
    assert "unheard" not in "".join(lines)


async def test_without_the_block_nothing_reaches_loguru() -> None:
    with sink() as lines:
        async with ActorSystem("bank") as system:
            ada = await system.spawn(Recorder)
            ada.tell(Boom(ValueError()))
            await settle()
    assert lines == []


async def test_it_may_be_opened_in_a_system_that_runs() -> None:
    with sink() as lines:
        async with ActorSystem("bank") as system:
            async with open_logging(system, level="DEBUG"):
                await system.spawn(Recorder, name="ada")
            await system.spawn(Recorder, name="bob")
    assert [line["message"] for line in records(lines)] == ["/user/ada has started"]


async def test_of_two_blocks_at_once_each_line_is_written_once() -> None:
    first, second = ActorSystem("one"), ActorSystem("two")
    with sink() as lines:
        async with open_logging(second):
            async with open_logging(first, level="DEBUG"), first, second:
                for system in first, second:
                    ada = await system.spawn(Recorder, name="ada")
                    await ada.ask(Do(lambda ctx: ctx.log.info("hello from %s", ctx.system.name)))
            TRIOAKT.warning("still heard")
    assert sorted(line["message"] for line in records(lines)) == [
        "/user/ada has ended (STOPPED)",
        "/user/ada has started",
        "hello from one",
        "hello from two",
        "still heard",
    ]


@pytest.mark.parametrize(("options", "error"), [({"level": "LOUD"}, "Unknown level"), ({"buffer": 0}, "at least 1")])
async def test_a_bad_argument_is_refused_and_leaves_nothing(options: dict[str, Any], error: str) -> None:
    with pytest.raises(ValueError, match=error):
        async with open_logging(ActorSystem("bank"), **options):
            pytest.fail("it was taken")


async def test_what_waits_is_written_when_the_block_is_cancelled() -> None:
    with sink() as lines, trio.CancelScope() as scope:
        async with logged() as (_, ada):
            await ada.ask(Do(lambda ctx: ctx.log.info("the last words")))
            scope.cancel()
            await trio.lowlevel.checkpoint()
    assert [line["message"] for line in records(lines)] == ["the last words"]


async def test_what_waits_is_written_when_the_block_fails() -> None:
    with sink() as lines, pytest.raises(OSError, match="from the body"):
        async with logged() as (_, ada):
            await ada.ask(Do(lambda ctx: ctx.log.info("the last words")))
            raise OSError("from the body")
    assert [line["message"] for line in records(lines)] == ["the last words"]


async def test_an_actor_that_fails_past_the_root_is_logged() -> None:
    with sink() as lines, pytest.RaisesGroup(pytest.RaisesExc(ValueError)):
        async with logged(supervision=OneForOne(default=Directive.ESCALATE)) as (_, ada):
            ada.tell(Boom(ValueError("too much")))
            await trio.sleep_forever()
    assert "/user/ada failed: ValueError: too much" in [line["message"] for line in records(lines)]


# Sinks


async def test_a_sink_that_is_slow_does_not_hold_up_the_loop_and_what_it_loses_is_told() -> None:
    gate = threading.Event()
    written: list[str] = []

    def slow(line: str) -> None:
        gate.wait(30)
        written.append(line)

    system = ActorSystem("bank")
    with sink(write=slow):
        async with open_logging(system, buffer=100) as writer, system:
            ada = await system.spawn(Recorder)
            await ada.ask(Do(saying(*(f"line {number}" for number in range(1_000)))))
            assert written == []
            assert 899 <= writer.lost <= 900
            lost = writer.lost
            gate.set()
    told = [line["message"] for line in records(written)]
    assert f"log lines lost: {lost}" in told
    assert len(told) == 1_000 - lost + 1
    lines = [line for line in told if line.startswith("line")]
    assert lines[:100] == [f"line {number}" for number in range(100)]


async def test_a_sink_that_raises_costs_its_line_and_nothing_else() -> None:
    written: list[str] = []

    def failing(line: str) -> None:
        if "one" in line:
            raise OSError("disk full")
        written.append(line)

    system = ActorSystem("bank")
    with sink(write=failing):
        async with open_logging(system) as writer, system:
            ada = await system.spawn(Recorder)
            await ada.ask(Do(saying("one", "two")))
    assert writer.lost == 1
    assert [line["message"] for line in records(written)] == ["log lines lost: 1", "two"]


async def test_a_sink_that_hangs_holds_up_the_end_for_its_grace_alone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("trioakt.observability.logs._GRACE", 0.05)
    gate, system = threading.Event(), ActorSystem("bank")

    def hanging(line: str) -> None:
        gate.wait(30)

    with sink(write=hanging):
        async with open_logging(system), system:
            ada = await system.spawn(Recorder)
            await ada.ask(Do(saying("one", "two")))
        gate.set()
        for thread in threading.enumerate():
            if thread.name == "trioakt logs":
                await trio.to_thread.run_sync(thread.join)
    assert "a sink of loguru hangs" in caplog.text


async def test_levels_of_ones_own_keep_their_number() -> None:
    with sink() as lines:
        async with logged("DEBUG") as (_, ada):
            await ada.ask(Do(lambda ctx: ctx.log.log(35, "between")))
    assert [line["level"] for line in records(lines) if line["message"] == "between"] == ["Level 35"]


async def test_an_application_can_silence_it_as_any_module_with_loguru() -> None:
    with sink() as lines:
        logger.disable("trioakt")
        try:
            async with logged() as (_, ada):
                await ada.ask(Do(lambda ctx: ctx.log.error("unheard")))
        finally:
            logger.enable("trioakt")
    assert lines == []
