"""The decisions of a circuit breaker: which calls go through, and what their outcomes mean. It knows no clock."""

from __future__ import annotations

import enum
import math
from collections import deque

import attrs

_SLICES = 60
"""Parts of the window that are counted as one each, so that memory does not grow with the calls."""


class CircuitState(enum.Enum):
    """Where a circuit stands."""

    CLOSED = "closed"
    """Calls go through, and their outcomes are counted."""
    OPEN = "open"
    """No call goes through; after ``open_for`` seconds the next one is the probe."""
    HALF_OPEN = "half-open"
    """One call goes through, the probe: its outcome closes the circuit, or opens it again."""


def _check_share(instance: object, attribute: attrs.Attribute[float], value: float) -> None:
    if not 0 < value <= 1:
        raise ValueError(f"{attribute.name} must be above 0 and at most 1, got {value!r}")


def _check_calls(instance: object, attribute: attrs.Attribute[int], value: int) -> None:
    if value < 1:
        raise ValueError(f"{attribute.name} must be at least 1, got {value!r}")


def _check_seconds(instance: object, attribute: attrs.Attribute[float], value: float) -> None:
    if not 0 < value < math.inf:
        raise ValueError(f"{attribute.name} must be a positive, finite number of seconds, got {value!r}")


@attrs.frozen
class CircuitRules:
    """When a circuit opens, and for how long; the attributes are those of ``CircuitBreaker``."""

    failure_rate: float = attrs.field(validator=_check_share)
    minimum_calls: int = attrs.field(validator=_check_calls)
    window: float = attrs.field(validator=_check_seconds)
    open_for: float = attrs.field(validator=_check_seconds)


class Circuit:
    """Closed, open or half-open; each method is told what time it is, in seconds on one clock.

    A permit names the time between two changes of state in which its call began: the outcome of a call that began
    before the last change says nothing about the present state, and changes nothing.
    """

    def __init__(self, rules: CircuitRules) -> None:
        self.state = CircuitState.CLOSED
        self._rules = rules
        self._changes = 0
        self._open_until = 0.0
        self._probing = False
        self._window = _Window(rules.window)

    def admit(self, now: float) -> int | None:
        """Return the permit of a call that goes through, ``None`` for one that does not."""
        if self.state is CircuitState.OPEN and now >= self._open_until:
            self._become(CircuitState.HALF_OPEN)
        if self.state is CircuitState.OPEN or self._probing:
            return None
        self._probing = self.state is CircuitState.HALF_OPEN
        return self._changes

    def retry_after(self, now: float) -> float:
        """Return the seconds until the next probe; while one is under way, as if it failed now."""
        return self._open_until - now if self.state is CircuitState.OPEN else self._rules.open_for

    def succeeded(self, permit: int, now: float) -> None:
        """Take the news that a call has succeeded."""
        if permit != self._changes:
            return
        if self.state is CircuitState.HALF_OPEN:
            self._become(CircuitState.CLOSED)
        else:
            self._count(now, failed=False)

    def failed(self, permit: int, now: float) -> None:
        """Take the news that a call has failed."""
        if permit != self._changes:
            return
        if self.state is CircuitState.HALF_OPEN:
            self._open(now)
        else:
            self._count(now, failed=True)

    def abandoned(self, permit: int) -> None:
        """Take the news that a call has ended without an outcome: if it was the probe, the next call is."""
        if permit == self._changes:
            self._probing = False

    def _count(self, now: float, *, failed: bool) -> None:
        calls, failures = self._window.add(now, failed=failed)
        if calls >= self._rules.minimum_calls and failures / calls >= self._rules.failure_rate:
            self._open(now)

    def _open(self, now: float) -> None:
        self._become(CircuitState.OPEN)
        self._open_until = now + self._rules.open_for

    def _become(self, state: CircuitState) -> None:
        self.state = state
        self._changes += 1
        self._probing = False
        self._window = _Window(self._rules.window)


@attrs.define
class _Slice:
    number: int
    calls: int = 0
    failures: int = 0


class _Window:
    """Counts the outcomes of the last seconds; an outcome leaves together with those of its slice."""

    def __init__(self, seconds: float) -> None:
        self._width = seconds / _SLICES
        self._slices: deque[_Slice] = deque()
        self._calls = 0
        self._failures = 0

    def add(self, now: float, *, failed: bool) -> tuple[int, int]:
        """Count an outcome, and return how many calls and how many failures the window holds now."""
        number = int(now // self._width)
        while self._slices and self._slices[0].number <= number - _SLICES:
            gone = self._slices.popleft()
            self._calls -= gone.calls
            self._failures -= gone.failures
        if not self._slices or self._slices[-1].number != number:
            self._slices.append(_Slice(number))
        newest = self._slices[-1]
        newest.calls += 1
        newest.failures += failed
        self._calls += 1
        self._failures += failed
        return self._calls, self._failures
