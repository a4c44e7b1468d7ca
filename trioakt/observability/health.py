"""The health endpoint: an HTTP server on Trio that says whether a system lives, and whether it takes work."""

from __future__ import annotations

import json
import math
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import attrs

from trioakt.observability.http import Page, Query, open_server

if TYPE_CHECKING:
    from trioakt.cluster.health import Health
    from trioakt.system import ActorSystem


@attrs.frozen
class HealthEndpoint:
    """An endpoint that is served.

    Attributes:
        host: The address it listens on.
        port: The port, the real one where 0 was asked for.
    """

    host: str
    port: int

    @property
    def url(self) -> str:
        """What the paths ``/live`` and ``/ready`` are appended to."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}/health"


@asynccontextmanager
async def open_health_server(
    system: ActorSystem, host: str = "127.0.0.1", port: int = 9465
) -> AsyncGenerator[HealthEndpoint]:
    """Serve ``/health/live`` and ``/health/ready`` for whoever restarts this program or sends it work.

    Each answers with status 200 or 503 and a JSON object. *Live* is a program whose event loop turns, so that it
    answers at all. *Ready* is a system that runs, and is a member of its cluster, if it has one: its lease holds, and
    it does not drain. Open it outside the block of the system to be told of its whole shutdown.

    Args:
        system: Whose health.
        host: Where to listen. There is no TLS and no password: keep it on a network you trust.
        port: 0 takes a free one.

    Raises:
        OSError: The address is not to be had.
    """

    async def answer(query: Query) -> Page:
        match query.path:
            case "/health/live":
                return _page(200, {"status": "live"})
            case "/health/ready":
                return _ready(system)
            case _:
                return Page(404, b"the health is at /health/live and /health/ready\n")

    async with open_server(answer, host, port) as listener:
        address = listener.socket.getsockname()
        yield HealthEndpoint(address[0], address[1])


def _ready(system: ActorSystem) -> Page:
    health = _health(system)
    if not system.is_open:
        return _page(503, {"status": "not running"})
    if health is None:
        return _page(200, {"status": "ready"})
    return _page(200 if health.is_ready else 503, {"status": health.text, **_figures(health)})


def _health(system: ActorSystem) -> Health | None:
    try:
        return system.cluster.health()
    except RuntimeError:  # it is in no cluster
        return None


def _figures(health: Health) -> dict[str, Any]:
    """Return what JSON can say of it."""
    figures = attrs.asdict(health)
    return {name: None if figure == math.inf else figure for name, figure in figures.items()}


def _page(status: int, told: dict[str, Any]) -> Page:
    return Page(status, json.dumps(told).encode() + b"\n", "application/json")
