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
    """One resource, and the task that holds it."""

    def __init__(self) -> None:
        self.scope = trio.CancelScope()
        self.opened = False
        self.value: Any = None
        self.error: BaseException | None = None
        self.decided = trio.Event()
        """It has been entered, or will not be."""
        self.release = trio.Event()
        self.left = trio.Event()

    def let_go(self) -> None:
        """Leave it under cancellation."""
        self.release.set()
        self.scope.cancel()


class Resources:
    """What one life of an actor has entered with ``ctx.enter``."""

    def __init__(self, nursery: trio.Nursery, failed: Callable[[BaseException], None]) -> None:
        self._nursery = nursery
        self._failed = failed
        self._held: list[_Held] = []

    async def enter(self, resource: AbstractAsyncContextManager[T]) -> T:
        """Enter a resource and return its value; what entering raises is raised here. When cancelled, it is left."""
        held = _Held()
        self._held.append(held)
        self._nursery.start_soon(self._hold, held, resource, name=type(resource).__qualname__)
        try:
            await held.decided.wait()
        except BaseException:
            held.let_go()
            raise
        if held.opened:
            return cast("T", held.value)
        self._held.remove(held)
        if held.error is None:  # the whole system has been cancelled, and so will be this task
            await trio.lowlevel.checkpoint()
            raise RuntimeError(f"a {type(resource).__qualname__} was not entered: the system has been cancelled")
        raise held.error

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
        finally:  # only where the wait was cut short is there anything left to let go
            for each in (held, *self._held):
                if each is not None:
                    each.let_go()
        if errors:
            raise errors[0]

    async def _hold(self, held: _Held, resource: AbstractAsyncContextManager[Any]) -> None:
        try:
            with held.scope:
                async with resource as held.value:
                    held.opened = True
                    held.decided.set()
                    # From here on it is wanted until post_stop has run, even when the whole system is cancelled; the
                    # actor releases it within its grace, or cancels the scope.
                    held.scope.shield = True
                    await held.release.wait()
        except BaseException as error:
            if passes_through(error):
                raise
            if held.opened and not held.release.is_set():
                self._failed(error)
            else:
                held.error = error
        finally:
            held.decided.set()
            held.left.set()
