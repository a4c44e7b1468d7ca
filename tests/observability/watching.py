"""What these tests share: sinks that keep what is logged, and readers that keep figures and spans."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import Any

from loguru import logger
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    ExponentialHistogramDataPoint,
    HistogramDataPoint,
    InMemoryMetricReader,
    NumberDataPoint,
)
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, Sampler
from opentelemetry.trace import SpanKind

from trioakt.observability import json_line


@contextmanager
def sink(
    line_format: Callable[[Mapping[str, Any]], str] = json_line, write: Callable[[str], None] | None = None
) -> Generator[list[str]]:
    """Give what a sink of loguru is given while the block lasts; no other sink is there."""
    lines: list[str] = []
    logger.remove()
    number = logger.add(write or lines.append, format=line_format, level="TRACE", catch=write is None)
    try:
        yield lines
    finally:
        logger.remove(number)


def records(lines: list[str]) -> list[dict[str, Any]]:
    """Return lines of JSON as what they say."""
    return [json.loads(line) for line in lines]


Point = NumberDataPoint | HistogramDataPoint | ExponentialHistogramDataPoint


class Figures:
    """A meter provider whose figures are read when they are asked for."""

    def __init__(self) -> None:
        self._reader = InMemoryMetricReader()
        self.provider = MeterProvider(metric_readers=[self._reader])

    def points(self, name: str) -> dict[tuple[str, ...], Point]:
        """Return the points of a metric by the values of their attributes, in the order of the names of those."""
        data = self._reader.get_metrics_data()
        return {
            tuple(str(value) for _, value in sorted((point.attributes or {}).items())): point
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
            for point in metric.data.data_points
        }

    def values(self, name: str) -> dict[tuple[str, ...], float]:
        """Return the values of a metric, of a histogram its counts."""
        return {
            key: point.value if isinstance(point, NumberDataPoint) else point.count
            for key, point in self.points(name).items()
        }


class Spans:
    """A tracer provider that keeps the spans that have ended."""

    def __init__(self, sampler: Sampler = ALWAYS_ON) -> None:
        self._kept = InMemorySpanExporter()
        self.provider = TracerProvider(sampler=sampler)
        self.provider.add_span_processor(SimpleSpanProcessor(self._kept))

    @property
    def ended(self) -> tuple[ReadableSpan, ...]:
        """The spans that have ended, in that order."""
        return self._kept.get_finished_spans()

    def named(self, name: str) -> ReadableSpan:
        """Return the one span of this name."""
        (found,) = (span for span in self.ended if span.name == name)
        return found

    def of(self, kind: SpanKind) -> ReadableSpan:
        """Return the one span of this kind."""
        (found,) = (span for span in self.ended if span.kind is kind)
        return found

    def parent(self, span: ReadableSpan) -> ReadableSpan | None:
        """Return the span above one."""
        if span.parent is None:
            return None
        (found,) = (each for each in self.ended if each.context and each.context.span_id == span.parent.span_id)
        return found
