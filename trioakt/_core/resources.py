"""Resources tied to one life of an actor: each is entered and left in a task of its own, last in first out.

A task of its own lets a resource hold cancel scopes and nurseries open (a connection with a reader task, say), which
may not straddle the scopes of a handler.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeVar, cast

import trio

from trioakt._core.escapes import passes_through

T = TypeVar("T")


class _Held:
    """One entered resource."""

    def __init__(self) -> None:
        self.scope = trio.CancelScope()
        self.release = trio.Event()
        self.left = trio.Event()
        self.error: BaseException | None = None


class Resources:
    """What one life of an actor has entered with ``ctx.enter``."""

    def __init__(self, nursery: trio.Nursery, failed: Callable[[BaseException], None]) -> None:
        self._nursery = nursery
        self._failed = failed
        self._held: list[_Held] = []

    async def enter(self, resource: AbstractAsyncContextManager[T]) -> T:
        """Enter a resource and return its value; what entering raises is raised here."""
        held = _Held()
        value = cast("T", await self._nursery.start(self._hold, held, resource, name=resource))
        self._held.append(held)
        return value

    async def close(self) -> None:
        """Leave all, the last one first; the first error is raised when all have been left. Cancelling cancels them."""
        errors: list[BaseException] = []
        held = None
        try:
            while self._held:
                held = self._held.pop()
                held.release.set()
                await held.left.wait()
                if held.error is not None:
                    errors.append(held.error)
        finally:  # only where the wait was cut short is there anything left to cancel
            for each in (held, *self._held):
                if each is not None:
                    each.release.set()
                    each.scope.cancel()
        if errors:
            raise errors[0]

    async def _hold(
        self, held: _Held, resource: AbstractAsyncContextManager[Any], *, task_status: trio.TaskStatus[Any]
    ) -> None:
        entered = False
        try:
            with held.scope:
                async with resource as value:
                    entered = True
                    task_status.started(value)
                    # From here on it is wanted until post_stop has run, even when the whole system is cancelled; the
                    # actor releases it within its grace, or cancels the scope.
                    held.scope.shield = True
                    await held.release.wait()
        except BaseException as error:
            if passes_through(error) or not entered:
                raise
            if held.release.is_set():
                held.error = error
            else:
                self._failed(error)
        finally:
            held.left.set()
