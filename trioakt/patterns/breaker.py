"""The circuit breaker: spares a service that keeps failing, and its callers the wait. What it decides is in circuit."""

from __future__ import annotations

from types import TracebackType

import trio
import trio.lowlevel

from trioakt.errors import TrioaktError
from trioakt.patterns.circuit import Circuit, CircuitRules, CircuitState


class CircuitOpenError(TrioaktError):
    """The circuit is open, so the call was not made; the next probe may go in ``retry_after`` seconds."""

    def __init__(self, retry_after: float) -> None:
        super().__init__(f"the circuit is open, the next probe may go in {retry_after:g} s")
        self.retry_after = retry_after


class CircuitBreaker:
    """Guards the calls to one service: ``async with breaker:`` around each of them, from as many tasks as you like.

    Too many failures open the circuit: entering then raises ``CircuitOpenError`` at once. After ``open_for`` seconds
    one call is let through as a probe. If it succeeds, the circuit is closed and counts from nothing; if it fails, the
    circuit is open for as long again.

    An ``Exception`` that leaves the block is a failure. A cancellation is neither success nor failure, and if it hits
    the probe, the next call is the probe: put a timeout that is to count *inside* the block.

    Args:
        failure_rate: Share of failed calls, above 0 and at most 1, from which on the circuit opens ...
        minimum_calls: ... provided that at least so many calls have ended within the window.
        window: Seconds for which the outcome of a call counts (to within a sixtieth).
        open_for: Seconds from the opening to the first probe.

    Raises:
        ValueError: A number is out of its range.
    """

    def __init__(
        self, *, failure_rate: float = 0.5, minimum_calls: int = 10, window: float = 60.0, open_for: float = 30.0
    ) -> None:
        self._circuit = Circuit(CircuitRules(failure_rate, minimum_calls, window, open_for))
        self._permits: dict[trio.lowlevel.Task, list[int]] = {}

    @property
    def state(self) -> CircuitState:
        """Where the circuit stands; an open one is half-open from the moment that a probe enters."""
        return self._circuit.state

    async def __aenter__(self) -> None:
        """Begin a call.

        Raises:
            CircuitOpenError: It must not be made now.
        """
        await trio.lowlevel.checkpoint()
        now = trio.current_time()
        permit = self._circuit.admit(now)
        if permit is None:
            raise CircuitOpenError(self._circuit.retry_after(now))
        self._permits.setdefault(trio.lowlevel.current_task(), []).append(permit)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End the call, and count its outcome."""
        permit = self._take_permit()
        if error is None:
            self._circuit.succeeded(permit, trio.current_time())
        elif isinstance(error, Exception):
            self._circuit.failed(permit, trio.current_time())
        else:  # cancelled, or the interpreter is about to end: that says nothing about the service
            self._circuit.abandoned(permit)

    def _take_permit(self) -> int:
        task = trio.lowlevel.current_task()
        permits = self._permits.get(task)
        if not permits:
            raise RuntimeError("a circuit breaker must be left by the task that entered it")
        permit = permits.pop()
        if not permits:
            del self._permits[task]
        return permit
