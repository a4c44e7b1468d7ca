"""Background: the one task that a pattern keeps for a whole system, from its first need to the last actor's end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import trio

from trioakt.lowlevel import Watch

if TYPE_CHECKING:
    from trioakt.lowlevel import ActorRef, CoreSystem, TerminationCause


def run_in_background(system: CoreSystem, fn: Callable[[], Awaitable[None]], *, name: str) -> None:
    """Run a function as a task of the system's nursery, and cancel it when the last actor has gone."""
    scope = trio.CancelScope()

    async def run() -> None:
        with scope:
            await fn()

    system.nursery.start_soon(run, name=name)
    end_with_the_last(system, scope)


def end_with_the_last(system: CoreSystem, scope: trio.CancelScope) -> None:
    """Cancel a scope when the last actor has gone."""
    system.user.ref.recipient.signal(Watch(_Canceller(scope)))


class _Canceller:
    """Watches the guardian, which goes last."""

    def __init__(self, scope: trio.CancelScope) -> None:
        self._scope = scope

    def terminated(self, ref: ActorRef, cause: TerminationCause) -> None:
        self._scope.cancel()
