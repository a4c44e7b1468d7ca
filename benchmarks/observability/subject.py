"""trioakt with one instrument; the metrics and traces of OpenTelemetry go through its SDK, and then nowhere."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, Sampler

from benchmarks.contenders.subject import SubjectArena
from benchmarks.workloads import on_trio, tell
from trioakt import ActorSystem
from trioakt.lowlevel import Instrument
from trioakt.observability import Correlation, Metrics, Tracing

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.workloads import Measured


def _metrics(*, durations: bool) -> Metrics:
    return Metrics(MeterProvider([InMemoryMetricReader()]), durations=durations)


def _tracing(sampler: Sampler) -> Tracing:
    provider = TracerProvider(sampler)
    provider.add_span_processor(SpanProcessor())
    return Tracing(provider)


async def _tell(make: Callable[[], Instrument], bursts: int) -> Measured:
    async with ActorSystem("benchmarks", extensions=[make()]) as system:
        return await tell(SubjectArena(system), bursts)


WORKLOADS = on_trio(
    {
        "tell_hook": partial(_tell, Instrument),
        "tell_correlation": partial(_tell, Correlation),
        "tell_counts": partial(_tell, partial(_metrics, durations=False)),
        "tell_metrics": partial(_tell, partial(_metrics, durations=True)),
        "tell_unsampled": partial(_tell, partial(_tracing, ALWAYS_OFF)),
        "tell_tracing": partial(_tell, partial(_tracing, ALWAYS_ON)),
    }
)
