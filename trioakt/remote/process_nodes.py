"""Process nodes: nodes in processes of their own, which are kept by an actor and end with it.

What such a process runs is in ``process_child``. It is a freshly started interpreter, never a forked one.
"""

from __future__ import annotations

import math
import os
import signal
import socket
import sys
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import reduce
from typing import TYPE_CHECKING, Any, Protocol

import attrs
import trio

from trioakt.errors import RemoteActorError
from trioakt.lowlevel import Actor, ActorRef, Address, Request, SpawnOptions
from trioakt.patterns.processes import how_it_ended, main_module
from trioakt.patterns.worker import HEADER
from trioakt.remote.process_child import Place, Report, Setup

if TYPE_CHECKING:
    from trioakt.lowlevel import CoreContext, CoreSystem
    from trioakt.remote.endpoint import Endpoint
    from trioakt.remote.settings import Remote

_AFTERMATH = 0.5
"""Seconds in which a process whose link was lost may turn out to be dead."""


class RemoteSystem(Protocol):
    """A system that has to do with other nodes."""

    @property
    def endpoint(self) -> Endpoint:
        """What it has to do with them."""
        ...


@attrs.frozen
class Where(Request[str]):
    """Where is the process? Answered when there is one."""


@attrs.define(eq=False)
class Plan:
    """What the processes of one node have in common, one after the other.

    Attributes:
        setup: What each is told.
        suspicion: Seconds without a sign of life after which one is given up.
        endpoint: That of the parent.
        child: The present or last one.
    """

    setup: Setup
    suspicion: float
    endpoint: Endpoint
    child: Child | None = None


@attrs.frozen(eq=False)
class Child:
    """A process that runs a node; ``node`` is its ``host:port``."""

    process: trio.Process
    node: str


class ProcessActor(Actor):
    """Keeps a process node: each life of it is one process, and fails when that dies or hangs."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan

    async def pre_start(self, ctx: CoreContext) -> None:
        """Start a process."""
        child = self.plan.child = await ctx.enter(_open_child(self.plan))
        ctx.nursery.start_soon(self._watch, ctx, child)

    async def receive(self, ctx: CoreContext, msg: object) -> None:
        """Say where it is."""
        child = self.plan.child
        if not isinstance(msg, Where) or child is None:
            ctx.unhandled()
        elif child.process.returncode is None and self.plan.endpoint.is_linked(child.node):
            ctx.reply(child.node)
        else:  # this life is about to fail, and the next one will know
            ctx.stash()

    async def _watch(self, ctx: CoreContext, child: Child) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch_link, child, nursery.cancel_scope)
            await child.process.wait()
            nursery.cancel_scope.cancel()
        code = child.process.returncode
        end = "does not answer any more" if code is None else f"has ended: {how_it_ended(code)}"
        raise trio.BrokenResourceError(f"the process {child.process.pid} of {ctx.self.path} {end}")

    async def _watch_link(self, child: Child, watching: trio.CancelScope) -> None:
        await self.plan.endpoint.wait_lost(child.node)
        with trio.move_on_after(_AFTERMATH):
            await child.process.wait()
        watching.cancel()


class ProcessNode:
    """A node in a process of its own; get it from ``ActorSystem.open_process_node``.

    Attributes:
        ref: The actor that keeps the process: it can be watched and stopped.
    """

    def __init__(self, ref: ActorRef[Any], plan: Plan) -> None:
        self.ref = ref
        self._plan = plan

    @property
    def address(self) -> str:
        """The address of the node, which is another one after a restart."""
        return str(Address(self._plan.setup.name, self._child.node))

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._child.process.pid

    async def spawn(self, kind: type[Actor], *args: object, name: str | None = None) -> ActorRef[Any]:
        """Spawn an actor at the top of the node; during a restart, wait for the new process.

        When the process ends, its actors end with the cause ``NODE_LOST``, and a new one begins without any.

        Args:
            kind: One of the ``kinds``.
            *args: Its arguments; they travel like the fields of a message.
            name: As ``ActorSystem.spawn``.

        Raises:
            ActorStoppedError: The process has ended for good.
            StartError, NameTakenError, NodeUnreachableError, CodecError, ValueError: As ``ActorSystem.spawn_on``.
        """
        return await self._plan.endpoint.spawn(await self.ref.ask(Where()), kind, args, name)

    @property
    def _child(self) -> Child:
        assert self._plan.child is not None
        return self._plan.child


@asynccontextmanager
async def open_process_node(
    system: CoreSystem,
    endpoint: Endpoint,
    name: str,
    *,
    kinds: Iterable[type[Actor]],
    suspicion: float,
    options: SpawnOptions,
) -> AsyncGenerator[ProcessNode]:
    """Start a process node, until the block ends; see ``ActorSystem.open_process_node``."""
    places = [place_of(kind) for kind in kinds]
    plan = make_plan(system, endpoint, name, places, suspicion=suspicion, grace=options.get("stop_grace", 5.0))
    ref = await system.spawn(ProcessActor, plan, name=name, **options)
    try:
        yield ProcessNode(ref, plan)
    finally:
        ref.stop()
        with trio.CancelScope(shield=True):  # bounded by its grace
            await ref.wait_stopped()


def make_plan(
    system: CoreSystem, endpoint: Endpoint, node: str, kinds: Sequence[Place], *, suspicion: float, grace: float
) -> Plan:
    """Check everything, and return the plan of a node.

    Raises:
        ValueError: It cannot be.
    """
    remote = endpoint.remote
    if remote.transport is not None:
        raise ValueError("a process node needs sockets, and this system has a transport of its own")
    if not 2 * remote.heartbeat <= suspicion < math.inf:
        raise ValueError(f"suspicion must be at least two heartbeats, got {suspicion!r}")
    if not 0 <= grace < math.inf:
        raise ValueError(f"stop_grace must be a number of seconds from 0 on, got {grace!r}")
    told = {
        "listen": _beside(remote),
        "node": node if remote.tls is None else remote.node or system.name,  # what the certificate says
        "cookie": None if remote.cookie is None else remote.cookie.hex(),
        "tls": None if remote.tls is None else [str(path.absolute()) for path in attrs.astuple(remote.tls)],
        "heartbeat": remote.heartbeat,
        "suspicion": suspicion,
        "max_frame": remote.max_frame,
        "compression": remote.compression,
    }
    cls = type(system)
    own = (cls.__module__, cls.__qualname__)
    return Plan(Setup(own, system.name, told, list(kinds), main_module(), grace), suspicion, endpoint)


def place_of(kind: object) -> Place:
    """Return where a kind can be imported from.

    Raises:
        TypeError: It is no actor class.
        ValueError: It cannot be imported by its name.
    """
    if not isinstance(kind, type) or not issubclass(kind, Actor):
        raise TypeError(f"a kind is an actor class, got {kind!r}")
    module, name = kind.__module__, kind.__qualname__
    found: Any = sys.modules.get(module)
    with suppress(AttributeError):
        found = reduce(getattr, name.split("."), found)
    if found is not kind:
        raise ValueError(f"another process cannot import {module}.{name}: define it at the top of a module")
    return module, name


def _beside(remote: Remote) -> str:
    """Return where a process can listen, so that it is reached by those who reach its parent."""
    scheme, _, place = remote.listen.partition("://")
    host = (remote.advertise or place).rpartition(":")[0]
    return f"{scheme}://{host}:0"


@asynccontextmanager
async def _open_child(plan: Plan) -> AsyncGenerator[Child]:
    """Start a process and hold it until the end of the block; then it shuts down, or is killed."""
    ours, theirs = socket.socketpair()
    stream = trio.SocketStream(trio.socket.from_stdlib_socket(ours))
    with theirs:
        try:
            # In a session of its own, so that Ctrl-C in a terminal reaches the parent alone.
            process = await trio.lowlevel.open_process(_command(), stdin=theirs, start_new_session=True)
        except BaseException:
            ours.close()
            raise
    try:
        report = await _set_up(process, stream, plan.setup)
        with plan.endpoint.patience(report.node, plan.suspicion):
            await plan.endpoint.greet(report.node)
            yield Child(process, report.node)
    finally:
        with trio.CancelScope(shield=True):  # bounded by its grace; nothing survives SIGKILL after that
            await _end(process, stream, plan.setup.grace)


def _command() -> list[str]:
    start = f"import sys; sys.path[:] = {sys.path!r}; from trioakt.remote.process_child import serve; serve()"
    return [sys.executable, "-P", "-c", start]


async def _set_up(process: trio.Process, stream: trio.SocketStream, setup: Setup) -> Report:
    """Tell the process what it is, and wait until it is that.

    Raises:
        trio.BrokenResourceError: It has ended before.
        RemoteActorError: What it raised.
    """
    data = setup.to_bytes()
    answer = b""
    with suppress(trio.BrokenResourceError):
        await stream.send_all(HEADER.pack(len(data)) + data)
        answer = await _receive(stream, *HEADER.unpack(await _receive(stream, HEADER.size)))
    if not answer:
        end = how_it_ended(await process.wait())
        raise trio.BrokenResourceError(f"the process has ended before it had started: {end}")
    report = Report.from_bytes(answer)
    if report.failure is not None:
        error = RemoteActorError(*report.failure)
        error.add_note(f"In the process:\n{error.traceback_text}")
        raise error
    return report


async def _receive(stream: trio.SocketStream, size: int) -> bytes:
    received = b""
    while len(received) < size:
        chunk = await stream.receive_some(size - len(received))
        if not chunk:
            raise trio.BrokenResourceError("the process has ended")
        received += chunk
    return received


async def _end(process: trio.Process, stream: trio.SocketStream, grace: float) -> None:
    """Let go of the process, which ends it; kill it when that takes longer than its grace."""
    stream.socket.close()
    with trio.move_on_after(grace):
        await process.wait()
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
