"""Traces: a span for each ask and each handled message, for OpenTelemetry; it knows its API alone, and no exporter."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from functools import lru_cache, partial
from typing import TYPE_CHECKING

import trio
from opentelemetry import context, propagate, trace
from opentelemetry.context import Context
from opentelemetry.trace import SpanKind, Status, StatusCode

from trioakt.lowlevel import Ask, AskOutcome, Failure, Instrument
from trioakt.observability.correlation import span_in_hand

if TYPE_CHECKING:
    from contextvars import Token
    from types import TracebackType

    from opentelemetry.trace import Span, Tracer, TracerProvider

    from trioakt.lowlevel import ActorRef, Envelope, Listener

_NOTHING = Context()


class Tracing(Instrument):
    """Traces the messages of a system: ``ActorSystem(..., extensions=[Tracing(provider)])``.

    The trace context goes with each message, by the propagator that OpenTelemetry is set to (by default W3C trace
    context and baggage). An ask is a span of kind *client* and its handling one of kind *server*, its child. A message
    that was told is handled in a span of kind *consumer*, the child of the span in which it was sent. What a handler
    does is below its span: the messages it sends, its tasks, its pipes, its schedules.

    Which traces are kept is up to the sampler of the provider; a context that is not sampled travels all the same.

    Args:
        provider: A tracer provider of OpenTelemetry; without one, its global one.
    """

    def __init__(self, provider: TracerProvider | None = None) -> None:
        self._tracer = trace.get_tracer("trioakt", tracer_provider=provider)

    def sending(self, ref: ActorRef, envelope: Envelope, headers: dict[str, str]) -> None:
        """Send the trace context along."""
        if context.get_current():
            propagate.inject(headers)

    def handling(
        self, ref: ActorRef, kind: str, envelope: Envelope, headers: dict[str, str]
    ) -> AbstractContextManager[None]:
        """Handle a message in a span."""
        return _Handling(self._tracer, ref, kind, envelope, headers)

    def asked(self, ref: ActorRef, kind: str, ask: Ask) -> Listener | None:
        """Wait for a reply in a span."""
        span = _start(self._tracer, SpanKind.CLIENT, ref, kind, ask, None)
        propagate.inject(ask.headers, trace.set_span_in_context(span))
        return partial(_asked, span)


@lru_cache(maxsize=1024)
def _telling(kind: str, message: str) -> Mapping[str, str]:
    """Say in the words of OpenTelemetry's conventions for messaging what is handled."""
    return {
        "messaging.system": "trioakt",
        "messaging.operation.type": "process",
        "messaging.operation.name": "process",
        "messaging.destination.template": kind,
        "trioakt.message.type": message,
    }


@lru_cache(maxsize=1024)
def _asking(kind: str, message: str) -> Mapping[str, str]:
    """Say in the words of its conventions for calls what is asked."""
    return {"rpc.system": "trioakt", "rpc.service": kind, "rpc.method": message}


def _start(tracer: Tracer, role: SpanKind, ref: ActorRef, kind: str, envelope: Envelope, cause: Context | None) -> Span:
    message = type(envelope.message).__qualname__
    if role is SpanKind.CONSUMER:
        name, attributes = f"process {kind}", _telling(kind, message)
    else:
        name, attributes = f"{kind}/{message}", _asking(kind, message)
    span = tracer.start_span(name, cause, role, attributes)
    if span.is_recording():
        span.set_attribute("trioakt.actor.path", ref.path)
    return span


def _asked(span: Span, outcome: AskOutcome, error: BaseException | None) -> None:
    if span.is_recording():
        span.set_attribute("trioakt.ask.outcome", outcome.name.lower())
        if error is not None:
            _record(span, error)
        elif outcome is AskOutcome.GIVEN_UP:
            span.set_status(Status(StatusCode.ERROR, "the asker gave up"))
    span.end()


def _record(span: Span, error: BaseException) -> None:
    """Record an exception; what its own methods do harms nobody, unlike in ``span.record_exception``."""
    failure = Failure.of(error)
    span.set_attribute("error.type", failure.type_name)
    span.add_event(
        "exception",
        {
            "exception.type": failure.type_name,
            "exception.message": failure.text,
            "exception.stacktrace": failure.traceback_text,
        },
    )
    span.set_status(Status(StatusCode.ERROR, str(failure)))


class _Handling(AbstractContextManager[None]):
    """The span of one handling; while it is entered, it is the current one. After a failure the log still names it."""

    __slots__ = ("_before", "_envelope", "_headers", "_kind", "_ref", "_span", "_token", "_tracer")

    _span: Span
    _token: Token[Context]
    _before: Token[tuple[int, int]]

    def __init__(self, tracer: Tracer, ref: ActorRef, kind: str, envelope: Envelope, headers: dict[str, str]) -> None:
        self._tracer = tracer
        self._ref = ref
        self._kind = kind
        self._envelope = envelope
        self._headers = headers

    def __enter__(self) -> None:
        # Not the context of the task: that is the one in which the actor was spawned, maybe in another trace.
        cause, envelope = propagate.extract(self._headers, _NOTHING), self._envelope
        role = SpanKind.SERVER if isinstance(envelope, Ask) and envelope.asked else SpanKind.CONSUMER
        self._span = span = _start(self._tracer, role, self._ref, self._kind, envelope, cause)
        self._token = context.attach(trace.set_span_in_context(span, cause))
        ids = span.get_span_context()
        self._before = span_in_hand.set((ids.trace_id, ids.span_id))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        context.detach(self._token)
        if error is None:
            span_in_hand.reset(self._before)
        span = self._span
        if error is not None and span.is_recording():
            if isinstance(error, trio.Cancelled):
                span.set_attribute("trioakt.cancelled", True)
            else:
                _record(span, error)
        span.end()
