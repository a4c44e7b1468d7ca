"""Gates: how the tasks of one node are kept from running, as a process is by ``SIGSTOP``, while Trio and others go on.

Whatever a task has been waiting for comes: its deadline passes, its event is set, it is cancelled. But the task does
not run before the gate is open again, and only then gets what was meant for it. Only what others run for it is not held
up: the abort function of its wait, say that of an ask whose deadline passes, and what is called from their tasks.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager
from typing import Any, TypeVar, TypeVarTuple, Unpack, cast

import trio
from trio.lowlevel import Abort, Task, current_task, reschedule, wait_task_rescheduled

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class Gate:
    """Lets tasks run while it is open."""

    def __init__(self) -> None:
        self.is_open = True
        self._waiting: list[Task] = []
        self._parts: dict[Gate, None] = {}

    def close(self) -> None:
        """Let them run no further."""
        self.is_open = False
        for part in self._parts:
            part.close()

    def open(self) -> None:
        """Let them run again, each in its turn."""
        self.is_open = True
        waiting, self._waiting = self._waiting, []
        for task in waiting:
            reschedule(task)
        for part in self._parts:
            part.open()

    @contextmanager
    def part(self) -> Generator[Gate]:
        """Make a gate that opens and closes with this one, and is open after the block."""
        part = Gate()
        part.is_open = self.is_open
        self._parts[part] = None
        try:
            yield part
        finally:
            del self._parts[part]
            part.open()

    async def wait_open(self) -> None:
        """Wait until it is open; this cannot be cancelled."""
        while not self.is_open:
            self._waiting.append(current_task())
            await wait_task_rescheduled(lambda _: Abort.FAILED)

    @types.coroutine
    def guard(self, inner: Coroutine[Any, Any, T]) -> Generator[Any, Any, T]:
        """Await a coroutine, and keep what its steps are to begin with until the gate is open."""
        step: Callable[[Any], Any] = inner.send
        given: Any = None
        while True:
            if not self.is_open:
                yield from self.wait_open().__await__()
            try:
                trap = step(given)
            except StopIteration as end:
                return cast("T", end.value)
            step, given = inner.send, None  # what was given shall not live longer than without this
            try:
                given = yield trap
            except BaseException as error:
                step, given = inner.throw, error
            trap = None


class Gates(trio.abc.Instrument):
    """Knows behind which gate each task is: that of the nearest task above it that has one of its own."""

    def __init__(self) -> None:
        self._gates: dict[Task, Gate] = {}

    def task_spawned(self, task: Task) -> None:
        """Put a new task behind the gate of those above it; who they will be is known when it runs."""
        task.coro = cast("Any", self._run(task, task.coro))

    async def _run(self, task: Task, inner: Coroutine[Any, Any, object]) -> object:
        gate = self._gate_of(task)
        return await inner if gate is None else await gate.guard(inner)

    def _gate_of(self, task: Task | None) -> Gate | None:
        while task is not None:
            if task in self._gates:
                return self._gates[task]
            nursery = task.eventual_parent_nursery or task.parent_nursery
            task = None if nursery is None else nursery.parent_task
        return None

    async def run(self, gate: Gate, fn: Callable[[Unpack[Ts]], Coroutine[Any, Any, T]], *args: *Ts) -> T:
        """Run ``await fn(*args)`` in a task of its own behind a gate, and return or raise what comes of it.

        When this is cancelled, that task is too, and ends though the gate may be closed.
        """
        outcome: list[T | Exception] = []
        done = trio.Event()

        async def run() -> None:
            task = current_task()
            self._gates[task] = part
            try:
                outcome.append(await part.guard(fn(*args)))
            except Exception as error:
                outcome.append(error)  # it leaves as it is, not inside the nursery's group
            finally:
                del self._gates[task]
                done.set()

        async with trio.open_nursery() as nursery:
            with gate.part() as part:
                nursery.start_soon(run, name=fn)
                await done.wait()
        (result,) = outcome
        if isinstance(result, Exception):
            raise result
        return result
