"""The Prometheus endpoint: an HTTP server on Trio that shows what a registry of prometheus_client collects."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import attrs
import trio
from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.exposition import choose_encoder

from trioakt.observability.http import Page, Query, open_server

_COLLECTING = 30.0
"""Seconds that collecting may take."""


@attrs.frozen
class PrometheusEndpoint:
    """An endpoint that is served.

    Attributes:
        host: The address it listens on.
        port: The port, the real one where 0 was asked for.
    """

    host: str
    port: int

    @property
    def url(self) -> str:
        """What a Prometheus is told to scrape."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}/metrics"


@asynccontextmanager
async def serve_prometheus(
    host: str = "127.0.0.1", port: int = 9464, *, registry: CollectorRegistry = REGISTRY
) -> AsyncGenerator[PrometheusEndpoint]:
    """Serve ``/metrics`` for a Prometheus, while the block lasts.

    It shows whatever is registered with prometheus_client: with OpenTelemetry, add a ``PrometheusMetricReader`` to the
    meter provider. The figures are collected in a thread, one scrape after the other. Clients that are slow, hostile
    or many cannot hold it up: each request and response is bounded in size and time, and so are the connections.

    Args:
        host: Where to listen. There is no TLS and no password: keep it on a network you trust.
        port: 0 takes a free one.
        registry: Whose figures.

    Raises:
        OSError: The address is not to be had.
    """
    limiter = trio.CapacityLimiter(1)

    async def answer(query: Query) -> Page:
        if query.path != "/metrics":
            return Page(404, b"the figures are at /metrics\n")
        encode, content_type = choose_encoder(query.headers.get("accept", ""))
        with trio.move_on_after(_COLLECTING):
            body = await trio.to_thread.run_sync(encode, registry, limiter=limiter, abandon_on_cancel=True)
            return Page(200, body, content_type)
        return Page(503, b"collecting takes too long\n")

    async with open_server(answer, host, port) as listener:
        address = listener.socket.getsockname()
        yield PrometheusEndpoint(address[0], address[1])
