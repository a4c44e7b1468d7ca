"""Worker processes: functions run in processes of their own, which end with the life of the actor that needs them.

Functions, arguments and results are pickled between a program and its own children; no pickle ever comes from elsewhere.
"""

from __future__ import annotations

import io
import os
import pickle
import signal
import socket
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar, TypeVarTuple, Unpack, cast

import trio

from trioakt.patterns import worker
from trioakt.patterns.worker import HEADER, MAIN

if TYPE_CHECKING:
    from trioakt.lowlevel import ActorNursery, CoreContext, CoreSystem

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_COMMAND = ["-P", worker.__file__]
_CHUNK = 2**20
"""Bytes read at a time."""


class WorkerProcess:
    """One worker process; whoever has it gives it one function at a time."""

    def __init__(self, process: trio.Process, stream: trio.SocketStream) -> None:
        self._process = process
        self._stream = stream

    async def run(self, fn: Callable[[Unpack[Ts]], T], *args: *Ts) -> T:
        """Run a function in the process; when cancelled, the worker is of no use any more.

        Args:
            fn: A function that can be imported by its name, as pickle wants it.
            *args: Its arguments.

        Raises:
            trio.BrokenResourceError: The process has died.
            Exception: Whatever the function, or pickle, raises.
        """
        return cast("T", unpack(await self.exchange(pack(fn, *args))))

    async def exchange(self, errand: bytes) -> bytes:
        """Send a packed function, and return the packed answer; otherwise as ``run``."""
        with suppress(trio.BrokenResourceError):
            await self._send(errand)
            (size,) = HEADER.unpack(await self._receive(HEADER.size))
            return await self._receive(size)
        await self.end()
        raise trio.BrokenResourceError(f"the worker process died: {_how_it_ended(self._process.returncode)}")

    async def start(self) -> None:
        """Tell the process what it needs to import functions."""
        await self._send(pickle.dumps((sys.path, _main_module())))

    async def end(self) -> None:
        """Kill the process with all that it has started, and wait until it is gone."""
        if self._process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        with trio.CancelScope(shield=True):  # no deadline: nothing survives SIGKILL
            await self._process.wait()
        self._stream.socket.close()

    async def _send(self, frame: bytes) -> None:
        await self._stream.send_all(HEADER.pack(len(frame)) + frame)

    async def _receive(self, size: int) -> bytes:
        received = bytearray()
        while len(received) < size:
            chunk = await self._stream.receive_some(min(size - len(received), _CHUNK))
            if not chunk:
                raise trio.BrokenResourceError("the other end has been closed")
            received += chunk
        return bytes(received)


async def start_worker() -> WorkerProcess:
    """Start a worker process; whoever calls this must ``end`` it.

    It has a session of its own, so that Ctrl-C in a terminal reaches us alone. It ends by itself when we are gone.
    """
    ours, theirs = socket.socketpair()
    with theirs:
        try:
            process = await trio.lowlevel.open_process(
                [sys.executable, *_COMMAND], stdin=theirs, start_new_session=True
            )
        except BaseException:
            ours.close()
            raise
    started = WorkerProcess(process, trio.SocketStream(trio.socket.from_stdlib_socket(ours)))
    try:
        await started.start()
    except BaseException:
        await started.end()
        raise
    return started


@asynccontextmanager
async def open_worker() -> AsyncGenerator[WorkerProcess]:
    """Start a worker process, and kill it at the end of the block."""
    started = await start_worker()
    try:
        yield started
    finally:
        await started.end()


class WorkerPool:
    """The worker processes of one life of an actor: started when they are needed, and kept for the next function."""

    def __init__(self) -> None:
        self._limit = trio.CapacityLimiter(os.cpu_count() or 1)
        self._idle: list[WorkerProcess] = []
        self._closed = False

    async def run(self, errand: bytes) -> Any:
        """Run a packed function, as soon as there is a worker for it; when cancelled, the process is killed."""
        async with self._limit:
            used = self._idle.pop() if self._idle else await start_worker()
            try:
                answer = await used.exchange(errand)
            except BaseException:
                await used.end()
                raise
            if self._closed:
                await used.end()
            else:
                self._idle.append(used)
        return unpack(answer)

    async def close(self) -> None:
        """Kill the workers that are idle; one that is not ends with its function."""
        self._closed = True
        for idle in self._idle:
            await idle.end()
