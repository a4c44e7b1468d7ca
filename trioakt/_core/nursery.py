"""The tasks of one actor: started in the system's flat nursery, each under a cancel scope that its actor owns."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeVarTuple, Unpack, cast

import trio

from trioakt._core.escapes import passes_through
from trioakt._core.standing import kind_of

Ts = TypeVarTuple("Ts")


class ActorNursery:
    """Offers ``start_soon`` and ``start``; a task that raises fails its actor, whose supervisor decides.

    It lasts as long as one life of the actor: when the actor stops or restarts, its tasks are cancelled first.
    """

    __slots__ = ("_closed", "_failed", "_idle", "_nursery", "_path", "_scopes")

    def __init__(self, nursery: trio.Nursery, path: str, failed: Callable[[BaseException], None]) -> None:
        self._nursery = nursery
        self._path = path
        self._failed = failed
        self._closed = False
        self._scopes: set[trio.CancelScope] = set()
        self._idle: trio.Event | None = None

    def start_soon(self, fn: Callable[[Unpack[Ts]], Awaitable[object]], *args: *Ts, name: object = None) -> None:
        """Start a task that runs ``await fn(*args)``.

        Raises:
            RuntimeError: This life of the actor is over.
        """
        self._nursery.start_soon(self._run, self._new_scope(), fn, args, name=_name_for(name or fn))

    async def start(self, fn: Callable[..., Awaitable[object]], *args: object, name: object = None) -> Any:
        """Start a task and wait until it calls ``task_status.started(value)``; returns the value.

        What it raises before that is raised here, and does not fail the actor.

        Raises:
            RuntimeError: This life of the actor is over, or the task ended without calling ``started``.
        """
        run = partial(self._run_until_started, self._new_scope(), fn, args)
        return await self._nursery.start(run, name=_name_for(name or fn))

    @property
    def busy(self) -> bool:
        """Whether any task runs."""
        return bool(self._scopes)

    async def close(self) -> None:
        """Cancel all tasks, wait for their end, and take no more."""
        self._closed = True
        for scope in self._scopes:
            scope.cancel()
        if self._scopes:
            self._idle = trio.Event()
            await self._idle.wait()

    def _new_scope(self) -> trio.CancelScope:
        if self._closed:
            raise RuntimeError(f"{self._path}: this life of the actor is over, it takes no more tasks")
        scope = trio.CancelScope()
        self._scopes.add(scope)
        return scope

    async def _run(
        self, scope: trio.CancelScope, fn: Callable[..., Awaitable[object]], args: tuple[object, ...]
    ) -> None:
        try:
            with scope:
                await fn(*args)
        except BaseException as error:
            if passes_through(error):
                raise
            self._failed(error)
        finally:
            self._leave(scope)

    async def _run_until_started(
        self,
        scope: trio.CancelScope,
        fn: Callable[..., Awaitable[object]],
        args: tuple[object, ...],
        *,
        task_status: trio.TaskStatus[Any],
    ) -> None:
        status = _Status(task_status)
        try:
            with scope:
                await fn(*args, task_status=status)
        except BaseException as error:
            if passes_through(error) or not status.given:
                raise
            self._failed(error)
        finally:
            self._leave(scope)

    def _leave(self, scope: trio.CancelScope) -> None:
        self._scopes.discard(scope)
        if self._idle is not None and not self._scopes:
            self._idle.set()


def _name_for(what: object) -> object:
    """Return what Trio can name a task by; of other objects it would take the repr, which may raise."""
    nameable = isinstance(what, str) or hasattr(what, "__qualname__")
    return what if nameable else kind_of(cast("Callable[..., object]", what))


class _Status:
    """Notes that ``started`` was called: from then on a failure is the actor's, not the starter's."""

    __slots__ = ("_inner", "given")

    def __init__(self, inner: trio.TaskStatus[Any]) -> None:
        self._inner = inner
        self.given = False

    def started(self, value: object = None) -> None:
        self._inner.started(value)
        self.given = True
