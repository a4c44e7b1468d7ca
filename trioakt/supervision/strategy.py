"""Strategies, restart budgets and backoff: pure decisions about failures, given the time and a source of chance.

The vocabulary (one-for-one, one-for-all, rest-for-one, a bounded number of restarts within a window) is that of
Erlang/OTP's ``supervisor``.
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Mapping
from random import Random
from typing import Any, ClassVar, Protocol, cast

import attrs


class Directive(enum.Enum):
    """What becomes of an actor that failed."""

    RESUME = "resume"
    """Go on with the next message and the state as it is."""
    SUSPEND = "suspend"
    """Keep the state and handle nothing until ``ref.reinstate()``."""
    RESTART = "restart"
    """Make a new instance from the recipe; mailbox and ref stay."""
    STOP = "stop"
    """Stop the actor."""
    ESCALATE = "escalate"
    """Fail the parent with this exception; the grandparent decides."""


_SEVERITY = {directive: rank for rank, directive in enumerate(Directive)}


class Siblings(enum.Enum):
    """Which children share the fate of the one that failed."""

    NONE = "none"
    ALL = "all"
    LATER = "later"
    """Those that were spawned after it."""


def _positive(instance: object, attribute: attrs.Attribute[float], value: float) -> None:
    if not value > 0:
        raise ValueError(f"{type(instance).__name__}: {attribute.name} must be greater than 0, got {value!r}")


def _not_negative(instance: object, attribute: attrs.Attribute[Any], value: float | None) -> None:
    if value is not None and not value >= 0:
        raise ValueError(f"{type(instance).__name__}: {attribute.name} must not be negative, got {value!r}")


@attrs.frozen(kw_only=True)
class Backoff:
    """Wait longer before each restart in a row.

    Attributes:
        initial: Seconds before the first restart.
        maximum: Seconds that no wait exceeds.
        factor: Growth from one wait to the next, at least 1.
        jitter: Largest relative deviation, drawn evenly in both directions, from 0 to 1.
        reset_after: Seconds without a failure after which the next wait is ``initial`` again.
    """

    initial: float = attrs.field(default=0.2, validator=_not_negative)
    maximum: float = attrs.field(default=10.0, validator=_not_negative)
    factor: float = attrs.field(default=2.0, validator=attrs.validators.ge(1.0))
    jitter: float = attrs.field(default=0.1, validator=[attrs.validators.ge(0.0), attrs.validators.le(1.0)])
    reset_after: float = attrs.field(default=30.0, validator=_positive)

    def delay(self, attempt: int, rng: Random) -> float:
        """Return the seconds to wait before restart number ``attempt`` in a row, counted from 0."""
        try:
            raw = self.initial * self.factor**attempt
        except OverflowError:
            raw = self.maximum
        spread = 1.0 + self.jitter * rng.uniform(-1.0, 1.0) if self.jitter else 1.0
        return min(min(raw, self.maximum) * spread, self.maximum)


@attrs.define
class Ledger:
    """What one child, or one group of children, has used of its restart budget."""

    restarts: deque[float] = attrs.field(factory=deque[float])
    """When it was restarted, within the window."""
    attempt: int = 0
    """Restarts in a row, for the backoff."""
    calm_from: float = float("-inf")
    """When the last restart was due: calm is counted from there."""


@attrs.frozen
class Verdict:
    """The directive for one failure, and the seconds to wait before a restart."""

    directive: Directive
    delay: float = 0.0


class Strategy(Protocol):
    """How a parent treats the failures of its children; pure, so that it can be asked at any moment."""

    siblings: ClassVar[Siblings]
    """Which children are restarted or stopped together with the one that failed."""

    def judge(self, ledger: Ledger, error: BaseException, now: float, rng: Random) -> Verdict:
        """Decide about one failure at time ``now`` (seconds), and enter a restart in the ledger."""
        ...


@attrs.frozen
class OneForOne:
    """Treat each child alone.

    The rule of the most specific class of the exception wins. An exception group without a rule of its own gets the
    most severe directive of its members (RESUME, SUSPEND, RESTART, STOP, ESCALATE in this order), because a
    nursery inside a handler wraps what its tasks raise.

    Attributes:
        rules: Directive by exception class.
        default: Directive where no rule fits.
        max_restarts: Restarts allowed within ``within`` seconds; the next failure escalates. ``None``: no limit.
        within: Length of the window in seconds.
        backoff: How long to wait before a restart; ``None``: not at all.
    """

    rules: Mapping[type[BaseException], Directive] = attrs.field(factory=dict[type[BaseException], Directive])
    default: Directive = attrs.field(default=Directive.RESTART, kw_only=True)
    max_restarts: int | None = attrs.field(default=3, kw_only=True, validator=_not_negative)
    within: float = attrs.field(default=5.0, kw_only=True, validator=_positive)
    backoff: Backoff | None = attrs.field(default=None, kw_only=True)

    siblings: ClassVar[Siblings] = Siblings.NONE

    def __attrs_post_init__(self) -> None:
        rules: Mapping[Any, Any] = self.rules  # not everybody runs a type checker
        for kind, directive in rules.items():
            if not (isinstance(kind, type) and issubclass(kind, BaseException)):
                raise TypeError(f"a rule's key must be an exception class, got {kind!r}")
            if not isinstance(directive, Directive):
                raise TypeError(f"the rule for {kind.__name__} must be a Directive, got {directive!r}")

    def directive(self, error: BaseException) -> Directive:
        """Return what the rules say about an exception, budget aside."""
        rule = self._rule(type(error))
        if isinstance(error, BaseExceptionGroup) and (rule is None or not issubclass(rule, BaseExceptionGroup)):
            group = cast("BaseExceptionGroup[BaseException]", error)
            return max(map(self.directive, group.exceptions), key=_SEVERITY.__getitem__)
        return self.default if rule is None else self.rules[rule]

    def judge(self, ledger: Ledger, error: BaseException, now: float, rng: Random) -> Verdict:
        """Decide about one failure; a restart beyond the budget becomes ESCALATE."""
        directive = self.directive(error)
        if directive is not Directive.RESTART:
            return Verdict(directive)
        while ledger.restarts and ledger.restarts[0] <= now - self.within:
            ledger.restarts.popleft()
        if self.max_restarts is not None and len(ledger.restarts) >= self.max_restarts:
            return Verdict(Directive.ESCALATE)
        ledger.restarts.append(now)
        return Verdict(Directive.RESTART, self._wait(ledger, now, rng))

    def _rule(self, kind: type[BaseException]) -> type[BaseException] | None:
        return next((base for base in kind.__mro__ if base in self.rules), None)

    def _wait(self, ledger: Ledger, now: float, rng: Random) -> float:
        if self.backoff is None:
            return 0.0
        if now - ledger.calm_from >= self.backoff.reset_after:
            ledger.attempt = 0
        delay = self.backoff.delay(ledger.attempt, rng)
        ledger.attempt += 1
        ledger.calm_from = now + delay
        return delay


@attrs.frozen
class OneForAll(OneForOne):
    """Restart or stop all children when one of them fails; the budget is counted once for the group."""

    siblings: ClassVar[Siblings] = Siblings.ALL


@attrs.frozen
class RestForOne(OneForOne):
    """Restart or stop the failed child and those spawned after it; the budget is counted once for the group."""

    siblings: ClassVar[Siblings] = Siblings.LATER
