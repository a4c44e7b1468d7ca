"""The coordinated shutdown: the user's hooks in their order, then the tree; and the watch over a slow end."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import attrs
import trio

from trioakt._core.escapes import passes_through
from trioakt._core.events import ShutdownHookFailed
from trioakt._core.orders import Order
from trioakt.supervision import Failure

if TYPE_CHECKING:
    from trioakt._core.system import CoreSystem

_log = logging.getLogger("trioakt")

_SHOWN = 10
"""How many of the actors that delay the end a log line names."""


@attrs.frozen
class ShutdownHook:
    """A step of the coordinated shutdown, before any actor is stopped.

    Attributes:
        fn: Called as ``await fn(system)``.
        timeout: Seconds that one try may take.
        retries: Further tries after one that raised or took too long.
    """

    fn: Callable[[Any], Awaitable[object]] = attrs.field(validator=attrs.validators.is_callable())
    timeout: float = attrs.field(default=10.0, kw_only=True, validator=attrs.validators.gt(0))
    retries: int = attrs.field(default=0, kw_only=True, validator=attrs.validators.ge(0))

    @property
    def name(self) -> str:
        """The name of the function."""
        return str(getattr(self.fn, "__qualname__", None) or type(self.fn).__qualname__)


async def shut_down(system: CoreSystem) -> None:
    """Run the hooks and stop the tree, within the system's ``shutdown_timeout``; past it, cancel every actor."""
    with trio.move_on_after(system.settings.shutdown_timeout) as scope:
        for hook in system.settings.shutdown_hooks:
            await _run_hook(system, hook)
        system.user.command(Order.SHUTDOWN)
        await system.user.ref.wait_stopped()
    if scope.cancelled_caught:
        limit = system.settings.shutdown_timeout
        _log.error("the shutdown of %s took longer than %s s: every actor is cancelled", system.name, limit)
        system.nursery.cancel_scope.cancel()


async def _run_hook(system: CoreSystem, hook: ShutdownHook) -> None:
    for tries_left in reversed(range(hook.retries + 1)):
        try:
            with trio.fail_after(hook.timeout):
                await hook.fn(system)
        except BaseException as error:
            if passes_through(error):
                raise
            failure = Failure.of(error)
            _log.error("shutdown hook %s failed: %s", hook.name, failure)
            if not tries_left:
                system.publish(ShutdownHookFailed, system.user.ref, hook.name, failure)
        else:
            return


async def wait_for_the_last(system: CoreSystem) -> None:
    """Wait until the last actor has gone; from ``shutdown_timeout`` on, say once a second which ones are waited for.

    It is shielded without a deadline, as a nursery's own exit is: nothing can end an actor that never awaits, and the
    nursery would wait for it in silence.
    """
    patience = system.settings.shutdown_timeout
    with trio.CancelScope(shield=True):
        while True:
            with trio.move_on_after(patience):
                await system.user.ref.wait_stopped()
                return
            waiting = [cell.path for cell in system.cells() if not cell.children]
            more = f" and {len(waiting) - _SHOWN} more" if len(waiting) > _SHOWN else ""
            _log.error("%s cannot end, it waits for %s%s", system.name, ", ".join(waiting[:_SHOWN]), more)
            patience = 1.0
