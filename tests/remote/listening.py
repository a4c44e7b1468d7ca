"""What the tests of topics and events of other nodes share."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import attrs
import trio

from tests.remote.nodes import Net, nodes
from trioakt import (
    ActorSystem,
    Event,
    TopicStream,
)
from trioakt.codec import Codec

B = "trioakt://bank@b:1"
encode = Codec().encode


class Unregistered:
    """No message."""


@attrs.frozen
class Sold(Event):
    """An event of an application."""

    what: str


@asynccontextmanager
async def two(**settings: Any) -> AsyncGenerator[tuple[Net, ActorSystem, ActorSystem]]:
    """Start the nodes a and b."""
    async with nodes("a", "b", **settings) as net:
        yield net, net.systems["a"], net.systems["b"]


async def read(stream: TopicStream, count: int) -> list[Any]:
    """Read so many values."""
    with trio.fail_after(5):
        return [await anext(stream) for _ in range(count)]


def interests(system: ActorSystem) -> int:
    """Return how many patterns other nodes are interested in."""
    return system.endpoint.topics.interests.count()
