from __future__ import annotations

from typing import Any

import pytest
import trio
from opentelemetry import baggage, context, trace
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased
from opentelemetry.trace import SpanKind, StatusCode
from trio.testing import MockClock
from trio.testing import wait_all_tasks_blocked as settle

from tests.core.actors import Boom, Do, Get, Note, Recorder, Sleep, hang, spawn_child
from tests.observability.watching import Spans
from trioakt import (
    Actor,
    ActorFailedError,
    ActorRef,
    ActorSystem,
    Bounded,
    Context,
    Grain,
    MailboxFullError,
    Reentrancy,
    RoundRobin,
    ScatterGatherFirst,
)
from trioakt.observability import Tracing


class Front(Recorder):
    """Passes on what it is sent."""


class Back(Recorder):
    """Is passed it."""


def traced(spans: Spans) -> ActorSystem:
    return ActorSystem("bank", extensions=[Tracing(spans.provider)])


async def test_an_ask_is_a_client_span_and_its_handling_the_server_span_below_it() -> None:
    spans = Spans()
    async with traced(spans) as system:
        ada = await system.spawn(Back, name="ada")
        await ada.ask(Get())
    client, server = spans.of(SpanKind.CLIENT), spans.of(SpanKind.SERVER)
    assert client.name == server.name == "Back/Get"
    assert (spans.parent(client), spans.parent(server)) == (None, client)
    assert client.attributes == {
        "rpc.system": "trioakt",
        "rpc.service": "Back",
        "rpc.method": "Get",
        "trioakt.actor.path": "/user/ada",
        "trioakt.ask.outcome": "replied",
    }
    assert server.status.status_code is client.status.status_code is StatusCode.UNSET


async def test_a_message_that_was_told_is_handled_in_a_consumer_span_below_the_span_of_its_sender() -> None:
    spans = Spans()
    async with traced(spans) as system:
        ada = await system.spawn(Back, name="ada")
        with spans.provider.get_tracer("app").start_as_current_span("order"):
            ada.tell(Note())
        ada.tell(Note())
        await settle()
    order, below, alone = spans.ended
    assert (below.kind, below.name) == (SpanKind.CONSUMER, "process Back")
    assert (spans.parent(below), spans.parent(alone)) == (order, None)
    assert below.attributes == {
        "messaging.system": "trioakt",
        "messaging.operation.type": "process",
        "messaging.operation.name": "process",
        "messaging.destination.template": "Back",
        "trioakt.message.type": "Note",
        "trioakt.actor.path": "/user/ada",
    }


async def test_a_trace_goes_on_through_tells_asks_and_forwards() -> None:
    spans = Spans()
    async with traced(spans) as system:
        back = await system.spawn(Back)
        front = await system.spawn(Front)
        forward = await system.spawn_func(lambda ctx, msg: ctx.forward(back), name="forward")
        with spans.provider.get_tracer("app").start_as_current_span("order"):
            front.tell(Do(lambda ctx: back.tell(Note())))
            front.tell(Do(lambda ctx: back.ask(Get())))
            await forward.ask(Do(lambda ctx: None))
        await settle()
    above = {
        (span.name, span.kind.name, (spans.parent(span) or span).name, (spans.parent(span) or span).kind.name)
        for span in spans.ended
    }
    first = next(span.name for span in spans.ended if span.name.endswith("/Do") and span.kind is SpanKind.CLIENT)
    assert above == {
        ("order", "INTERNAL", "order", "INTERNAL"),
        ("process Front", "CONSUMER", "order", "INTERNAL"),
        ("process Back", "CONSUMER", "process Front", "CONSUMER"),
        ("Back/Get", "CLIENT", "process Front", "CONSUMER"),
        ("Back/Get", "SERVER", "Back/Get", "CLIENT"),
        (first, "CLIENT", "order", "INTERNAL"),
        (first, "SERVER", first, "CLIENT"),
        ("Back/Do", "SERVER", first, "SERVER"),
    }


async def test_tasks_pipes_and_schedules_of_a_handler_stay_in_its_trace(autojump_clock: MockClock) -> None:
    async def work() -> Note:
        await trio.sleep(1)
        return Note()

    def start(ctx: Context, back: ActorRef) -> None:
        async def task() -> None:
            await trio.sleep(2)
            back.tell(Note())

        ctx.nursery.start_soon(task)
        ctx.pipe_to(back, work)
        ctx.system.scheduler.once(3.0, back, Note())

    spans = Spans()
    async with traced(spans) as system:
        back = await system.spawn(Back)
        front = await system.spawn(Front)
        front.tell(Do(lambda ctx: start(ctx, back)))
        await trio.sleep(9)
    first = spans.named("process Front")
    others = [span for span in spans.ended if span.name == "process Back"]
    assert [spans.parent(span) for span in others] == [first] * 3


async def test_a_routed_ask_stays_in_its_trace() -> None:
    for strategy in RoundRobin(), ScatterGatherFirst(1.0):
        spans = Spans()
        async with traced(spans) as system:
            router = await system.spawn_router(Back, size=2, strategy=strategy)
            await router.ask(Get())
        assert len({span.context.trace_id for span in spans.ended if span.context}) == 1
        handled = [span for span in spans.ended if span.name == "Back/Get" and span.kind is SpanKind.SERVER]
        assert len(handled) == (1 if isinstance(strategy, RoundRobin) else 2)


async def test_handlers_that_interleave_keep_their_own_spans(autojump_clock: MockClock) -> None:
    spans = Spans()
    seen: list[bool] = []

    async def interleaving(ctx: Context, seconds: float) -> None:
        before = trace.get_current_span()
        async with ctx.interleave():
            await trio.sleep(seconds)
        seen.append(trace.get_current_span() is before)

    async with traced(spans) as system:
        ref = await system.spawn_func(interleaving, reentrancy=Reentrancy(max_in_flight=4))
        for seconds in 3.0, 1.0, 2.0:
            ref.tell(seconds)
        await trio.sleep(10)
    assert seen == [True] * 3
    assert [span.parent for span in spans.ended] == [None] * 3


async def test_a_failure_is_recorded_where_it_happened_and_at_the_asker() -> None:
    spans = Spans()
    async with traced(spans) as system:
        ada = await system.spawn(Back)
        with pytest.raises(ActorFailedError):
            await ada.ask(Boom(ValueError("no money")))
    client, server = spans.of(SpanKind.CLIENT), spans.of(SpanKind.SERVER)
    assert server.status.status_code is client.status.status_code is StatusCode.ERROR
    assert server.status.description == "ValueError: no money"
    (event,) = server.events
    assert event.name == "exception"
    assert event.attributes
    assert event.attributes["exception.type"] == "ValueError"
    assert "Traceback" in str(event.attributes["exception.stacktrace"])
    assert server.attributes
    assert server.attributes["error.type"] == "ValueError"
    assert client.attributes
    assert client.attributes["trioakt.ask.outcome"] == "failed"


async def test_an_exception_that_cannot_be_shown_harms_nobody() -> None:
    class HostileError(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no")

    spans = Spans()
    async with traced(spans) as system:
        ada = await system.spawn(Back)
        ada.tell(Boom(HostileError()))
        assert await ada.ask(Get()) == 0
    assert "unprintable" in str(spans.named("process Back").status.description)


async def test_an_ask_that_is_given_up_says_so(autojump_clock: MockClock) -> None:
    spans = Spans()
    async with traced(spans) as system:
        ada = await system.spawn(Back)
        with trio.move_on_after(1):
            await ada.ask(Sleep(2))
    client = spans.of(SpanKind.CLIENT)
    assert client.status.status_code is StatusCode.ERROR
    assert client.attributes
    assert client.attributes["trioakt.ask.outcome"] == "given_up"


async def test_an_ask_that_finds_no_room_ends_its_span() -> None:
    spans = Spans()
    async with traced(spans) as system:
        ada = await system.spawn(Back, mailbox=Bounded(1))
        ada.tell(Do(hang))
        await settle()
        ada.tell(Note())
        with pytest.raises(MailboxFullError):
            await ada.ask(Get())
        ada.kill()
    client = spans.named("Back/Get")
    assert client.attributes
    assert client.attributes["error.type"] == "trioakt.errors.MailboxFullError"


async def test_a_handler_that_is_cancelled_has_not_failed() -> None:
    spans = Spans()
    async with traced(spans) as system:
        ada = await system.spawn(Back)
        ada.tell(Do(hang))
        await settle()
        ada.kill()
        await ada.wait_stopped()
    span = spans.named("process Back")
    assert span.status.status_code is StatusCode.UNSET
    assert span.attributes
    assert span.attributes["trioakt.cancelled"] is True


async def test_a_plain_handler_and_one_that_interleaves_have_their_own_spans() -> None:
    seen: list[Any] = []

    class Plain(Actor):
        def receive(self, ctx: Context, msg: Any) -> None:
            seen.append(trace.get_current_span().get_span_context())

    spans = Spans()
    async with traced(spans) as system:
        (await system.spawn(Plain)).tell("hello")
        await settle()
        assert not trace.get_current_span().get_span_context().is_valid
    assert seen == [spans.named("process Plain").context]


async def test_what_the_sampler_drops_is_not_recorded_and_stays_dropped_further_on() -> None:
    contexts: list[trace.SpanContext] = []

    def note(ctx: Context) -> None:
        contexts.append(trace.get_current_span().get_span_context())

    spans = Spans(ParentBased(ALWAYS_OFF))
    async with traced(spans) as system:
        back = await system.spawn(Back)
        front = await system.spawn(Front)

        async def handle(ctx: Context) -> None:
            note(ctx)
            await back.ask(Do(note))

        await front.ask(Do(handle))
    assert spans.ended == ()
    assert len({each.trace_id for each in contexts}) == 1
    assert not any(each.trace_flags.sampled for each in contexts)


async def test_baggage_goes_along() -> None:
    seen: list[object] = []
    spans = Spans()
    async with traced(spans) as system:
        back = await system.spawn(Back)
        front = await system.spawn(Front)
        token = context.attach(baggage.set_baggage("tenant", "acme"))
        try:
            front.tell(Do(lambda ctx: back.tell(Do(lambda inner: seen.append(baggage.get_baggage("tenant"))))))
        finally:
            context.detach(token)
        await settle()
    assert seen == ["acme"]


async def test_a_handling_span_leaves_nothing_behind_for_the_next_message() -> None:
    spans = Spans()
    async with traced(spans) as system:
        ada = await system.spawn(Back)
        ada.tell(Note())
        ada.tell(Boom(ValueError()))
        ada.tell(Note())
        await settle()
    assert [span.parent for span in spans.ended] == [None] * 3


async def test_what_waits_for_a_grain_to_be_active_again_stays_in_the_trace_of_its_sender() -> None:
    class Slow(Recorder, Grain):
        async def post_stop(self, ctx: Context) -> None:
            await trio.sleep(0.01)

    spans = Spans()
    async with traced(spans) as system:
        ada = system.grain(Slow, "ada")
        await ada.ask(Get())
        ada.stop()
        with spans.provider.get_tracer("app").start_as_current_span("order"):
            ada.tell(Note())
        await ada.ask(Get())
    order = spans.named("order")
    assert order in [spans.parent(span) for span in spans.ended if span.kind is SpanKind.CONSUMER]


async def test_an_actor_does_not_go_on_with_the_trace_in_which_it_was_spawned() -> None:
    spans = Spans()
    async with traced(spans) as system:
        front = await system.spawn(Front)
        back = await spawn_child(front, Back)
        back.tell(Note())
        await settle()
    assert spans.parent(spans.named("process Back")) is None


async def test_without_an_sdk_it_costs_little_and_does_nothing() -> None:
    async with ActorSystem("bank", extensions=[Tracing()]) as system:
        ada = await system.spawn(Back)
        assert await ada.ask(Get()) == 0
