"""A cluster of processes: they are started, told what to do, killed, frozen and asked to leave, each by its pid."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import attrs
import trio

from tests.cluster.etcd_server import free_ports
from tests.multiprocess.processes import PATIENCE, ROOT

TTL = 3.0
"""Seconds to live of the leases of these nodes: enough that none lapses because the machine has no time for a while."""
TAKEN_OVER = TTL + 2
"""Seconds within which what a lost node has owned is served again, on a machine with time."""
SLACK = 10.0
"""Seconds that a machine without time may take for longer."""


class Refused(Exception):
    """A node has answered with an error; ``kind`` is the name of its class."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(f"{kind}: {text}")
        self.kind = kind


class Node:
    """One process."""

    def __init__(self, name: str, process: trio.Process) -> None:
        self.name = name
        self._process = process
        self._events: deque[tuple[str, str]] = deque()
        self._answers: dict[int, tuple[str | None, Any]] = {}
        self._waiting: dict[int, trio.Event] = {}
        self._heard = trio.Event()
        self._number = 0
        self._lock = trio.Lock()
        self.has_ended = False

    async def do(self, command: str, *arguments: Any) -> Any:
        """Let it carry out a command, and return the result.

        Raises:
            Refused: It was answered by an error; ``Gone`` if the process has ended.
        """
        self._number += 1
        number = self._number
        self._waiting[number] = trio.Event()
        assert self._process.stdin is not None
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            async with self._lock:
                await self._process.stdin.send_all(json.dumps([number, command, arguments]).encode() + b"\n")
        try:
            with trio.fail_after(PATIENCE):
                if not self.has_ended:
                    await self._waiting[number].wait()
        finally:
            del self._waiting[number]
        error, result = self._answers.pop(number, ("Gone", f"{self.name} has ended"))
        if error is not None:
            raise Refused(error, result)
        return result

    async def hear(self, event: str, text: str = "") -> str:
        """Wait until it tells of an event, and return what it says; those before are forgotten."""
        with trio.fail_after(PATIENCE):
            while True:
                while self._events:
                    kind, said = self._events.popleft()
                    if kind == event and text in said:
                        return said
                if self.has_ended:
                    raise EOFError(f"{self.name} has ended")
                await self._heard.wait()

    def freeze(self) -> None:
        """Let it stand still."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._process.send_signal(signal.SIGCONT)

    async def kill(self) -> None:
        """Kill it, and wait until it is gone."""
        self._process.kill()
        await self._process.wait()

    async def leave(self) -> None:
        """Ask it to leave in order, and wait until it has."""
        self._process.terminate()
        with trio.fail_after(PATIENCE):
            assert await self._process.wait() == 0

    async def listen(self, *, task_status: trio.TaskStatus[None]) -> None:
        """Be the task that reads what it says."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        rest = b""
        async with self._process.stdin, self._process.stdout:
            task_status.started()
            async for chunk in self._process.stdout:
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    self._take(*json.loads(line))
            self.has_ended = True
            self._wake()
            for event in self._waiting.values():
                event.set()

    def _take(self, number: int | None, text: str | None, result: Any) -> None:
        if number is not None:
            if number in self._waiting:  # or nobody waits any more
                self._answers[number] = (text, result)
                self._waiting[number].set()
        elif text is not None:
            self._events.append((text, result))
            self._wake()

    def _wake(self) -> None:
        self._heard.set()
        self._heard = trio.Event()


@attrs.frozen
class Place:
    """Where and how the nodes of a cluster run.

    Attributes:
        program: Which.
        prefix: What stands before the command.
        host: Where the nodes are reached.
        more: Arguments behind those that all clusters have.
    """

    program: Path = Path(__file__).parent / "cluster_node.py"
    prefix: Sequence[str] = ()
    host: str = "127.0.0.1"
    more: Sequence[str] = ()


class Nodes:
    """The nodes of a cluster, by their names."""

    def __init__(self, store: str, lease_ttl: float, nursery: trio.Nursery, place: Place) -> None:
        self.store = store
        self.lease_ttl = lease_ttl
        self._place = place
        self._nursery = nursery
        self._all: list[Node] = []
        self._nodes: dict[str, Node] = {}
        self._urls: dict[str, str] = {}

    def __getitem__(self, name: str) -> Node:
        return self._nodes[name]

    async def start(self, *names: str) -> None:
        """Start nodes, and wait until they are members; one that has run before gets its old address."""
        for name in names:
            place = self._place
            url = self._urls.setdefault(name, f"tcp://{place.host}:{free_ports(1)[0]}")
            arguments = [self.store, name, url, str(self.lease_ttl), *place.more]
            process = await trio.lowlevel.open_process(
                [*place.prefix, sys.executable, str(place.program), *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )
            self._nodes[name] = Node(name, process)
            self._all.append(self._nodes[name])
            await self._nursery.start(self._nodes[name].listen)
        for name in names:
            await self._nodes[name].hear("Ready")

    async def meet(self) -> None:
        """Wait until each knows all others."""
        for node in self._nodes.values():
            await node.do("wait_members", len(self._nodes))

    async def owner(self, name: str, asked: str) -> str:
        """Return which node has a name, as one that is asked finds out."""
        where: str = await self[asked].do("where", name)
        return where.rpartition("@")[2]

    async def kill_all(self) -> None:
        """Let none go on."""
        for node in self._all:
            await node.kill()


@asynccontextmanager
async def open_nodes(
    store: str, *names: str, lease_ttl: float = TTL, place: Place | None = None
) -> AsyncGenerator[Nodes]:
    """Have a cluster of processes; what is left of them at the end is killed."""
    async with trio.open_nursery() as nursery:
        nodes = Nodes(store, lease_ttl, nursery, place or Place())
        try:
            await nodes.start(*names)
            await nodes.meet()
            yield nodes
        finally:
            with trio.CancelScope(shield=True):  # they end at once
                await nodes.kill_all()
            nursery.cancel_scope.cancel()


async def served(node: Node, command: str, *arguments: str) -> Any:
    """Ask again and again until there is an answer, and return it."""
    with trio.fail_after(PATIENCE):
        while True:
            with suppress(Refused):
                return await node.do(command, *arguments)
            await trio.sleep(0.05)
