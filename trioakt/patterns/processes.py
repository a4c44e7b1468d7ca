"""Worker processes: functions run in processes of their own, which end with the life of the actor that needs them.

Functions, arguments and results are pickled between a program and its own children; no pickle comes from elsewhere.
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
from trioakt.patterns.worker import HEADER, MAIN, dumps

if TYPE_CHECKING:
    from trioakt.lowlevel import CoreContext, CoreSystem

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
        self._ended = False

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
        raise trio.BrokenResourceError(f"the worker process died: {how_it_ended(self._process.returncode)}")

    async def start(self) -> None:
        """Tell the process what it needs to import functions."""
        await self._send(pickle.dumps((sys.path, main_module())))

    async def end(self) -> None:
        """Kill the process with all that it has started, and wait until it is gone; once more changes nothing."""
        if self._ended:
            return
        self._ended = True
        with suppress(ProcessLookupError):  # even if it is dead: until it is waited for, its number is no one else's
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


class WorkerPools:
    """The pools of all actors of a system, each with the life that it belongs to."""

    def __init__(self, system: CoreSystem) -> None:
        self._pools: dict[object, WorkerPool] = {}

    async def run(self, ctx: CoreContext, errand: bytes) -> Any:
        """Run a packed function in a worker of this life of an actor, as ``WorkerPool.run``."""
        life = ctx.nursery
        pool = self._pools.get(life)
        if pool is None:
            pool = self._pools[life] = WorkerPool()
            await ctx.enter(self._kept(life, pool))
        return await pool.run(errand)

    @asynccontextmanager
    async def _kept(self, life: object, pool: WorkerPool) -> AsyncGenerator[None]:
        try:
            yield
        finally:
            del self._pools[life]
            await pool.close()


class _Answer(pickle.Unpickler):
    """Reads an answer; what a worker calls the main module is ours."""

    def find_class(self, module: str, name: str) -> Any:
        return super().find_class("__main__" if module == MAIN else module, name)


def pack(fn: Callable[..., object], *args: object) -> bytes:
    """Pickle a function with its arguments.

    Raises:
        TypeError: One of them cannot be pickled.
    """
    return dumps((fn, args), "the function or one of its arguments cannot be pickled")


def unpack(answer: bytes) -> Any:
    """Return the result, or raise what the function has raised, with the traceback of the worker as a note."""
    succeeded, outcome = _load(answer)
    if succeeded:
        return outcome
    pickled, text, traceback = outcome
    text = text.removeprefix(f"{MAIN}.")
    try:
        error = pickled and _load(pickled)
    except Exception as trouble:
        text = f"{text} (and it cannot be unpickled: {type(trouble).__name__})"
        error = None
    if not isinstance(error, Exception):
        error = RuntimeError(text)
    error.add_note(f"In the worker process:\n{traceback}")
    raise error


def _load(frame: bytes) -> Any:
    return _Answer(io.BytesIO(frame)).load()


def main_module() -> tuple[str, str]:
    """Return the name of the main module, where it was run by its name, and else the path of its file."""
    main = sys.modules["__main__"]
    if sys.modules.get(MAIN, main) is not main:  # else there would be no end to it; this ends the worker
        raise SystemExit(
            "the main module starts a worker process while a worker process imports it: "
            "let it begin its work below `if __name__ == '__main__':`"
        )
    spec = getattr(main, "__spec__", None)
    return getattr(spec, "name", ""), getattr(main, "__file__", None) or ""


def how_it_ended(code: int | None) -> str:
    """Return the end of a process in words."""
    if code is not None and code < 0:
        return f"killed by {signal.Signals(-code).name}"
    return f"exit code {code}"
