"""What the tests of pipes share."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from tests.core.actors import Recorder
from trioakt import ActorRef, ActorSystem, message
from trioakt.testing import Probe, open_test_system


@message
class Got:
    """The result of a pipe, wrapped."""

    value: int


@asynccontextmanager
async def worker_and_probe(*expect: type[Any]) -> AsyncGenerator[tuple[ActorSystem, ActorRef, Probe]]:
    """Open a test system with an actor that obeys ``Do``, and a probe."""
    async with open_test_system(expect=expect) as system:
        worker = await system.spawn(Recorder, name="worker")
        yield system, worker, await Probe.spawn(system)
