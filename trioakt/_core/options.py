"""What can be said about an actor when it is spawned; plain checked data."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, TypedDict, cast

import attrs

from trioakt._core.mailbox import Mailbox, Unbounded
from trioakt.supervision import Strategy

if TYPE_CHECKING:
    from trioakt._core.standing import Standing


@attrs.frozen
class Reentrancy:
    """Let an actor handle other messages while a handler waits in ``ctx.ask`` or ``ctx.interleave()``.

    Attributes:
        max_in_flight: Handlers that may wait at the same time; beyond that the mailbox is held as without reentrancy.
    """

    max_in_flight: int = attrs.field(
        default=16, kw_only=True, validator=[attrs.validators.instance_of(int), attrs.validators.ge(1)]
    )


class RestPolicy(Protocol):
    """Decides when an actor that has come to rest is to be passivated."""

    def rested(self, cell: Standing) -> None:
        """Hear, in the system's own thread, that an actor has started or has run out of messages; must be quick."""
        ...


class SpawnOptions(TypedDict, total=False):
    """The keyword options of every ``spawn``."""

    mailbox: Callable[[], Mailbox]
    supervision: Strategy
    reentrancy: Reentrancy
    passivation: RestPolicy
    init_timeout: float
    stash_capacity: int
    stop_grace: float


def check_seconds(instance: object, attribute: attrs.Attribute[float], value: object) -> None:
    """Validate a duration.

    Raises:
        TypeError: It is not a number.
        ValueError: It is negative, or not a number in the sense of floats.
    """
    if not isinstance(value, int | float):
        raise TypeError(f"{attribute.name} must be a number of seconds, got {value!r}")
    if not value >= 0:
        raise ValueError(f"{attribute.name} must be a number of seconds from 0 on, got {value!r}")


def _callable(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if not callable(value):
        raise TypeError(f"{attribute.name} must be Unbounded(), Bounded(...) or another callable, got {value!r}")


def check_strategy(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    """Validate a strategy.

    Raises:
        TypeError: It is none.
    """
    if not hasattr(value, "judge"):
        raise TypeError(f"{attribute.name} must be a strategy such as OneForOne(...), got {value!r}")


def check_rest_policy(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    """Validate a policy for actors at rest.

    Raises:
        TypeError: It is none.
    """
    if value is not None and (isinstance(value, type) or not hasattr(value, "rested")):
        kinds = "Idle(...), AfterMessages(...) or Never()" if attribute.name == "passivation" else "Eviction(...)"
        raise TypeError(f"{attribute.name} must be {kinds}, got {value!r}")


@attrs.frozen(kw_only=True)
class Options:
    """Checked options of one actor; most actors of a system share one object."""

    mailbox: Callable[[], Mailbox] = attrs.field(factory=Unbounded, validator=_callable)
    supervision: Strategy | None = attrs.field(default=None, validator=attrs.validators.optional(check_strategy))
    reentrancy: Reentrancy | None = attrs.field(
        default=None, validator=attrs.validators.optional(attrs.validators.instance_of(Reentrancy))
    )
    passivation: RestPolicy | None = attrs.field(default=None, validator=check_rest_policy)
    init_timeout: float = attrs.field(default=5.0, validator=check_seconds)
    stash_capacity: int = attrs.field(
        default=10_000, validator=[attrs.validators.instance_of(int), attrs.validators.ge(1)]
    )
    stop_grace: float = attrs.field(default=5.0, validator=check_seconds)

    def with_changes(self, changes: SpawnOptions) -> Options:
        """Return these options with some of them replaced.

        Raises:
            TypeError: There is no such option, or it has a wrong type.
            ValueError: A value is out of range.
        """
        if not changes:
            return self
        unknown = set(changes) - _NAMES
        if unknown:
            raise TypeError(f"unknown option {min(unknown)!r}; known are {', '.join(sorted(_NAMES))}")
        return attrs.evolve(self, **cast("dict[str, Any]", changes))


_NAMES = {field.name for field in attrs.fields(Options)}
