"""Messages and the envelopes they travel in; it knows nothing of mailboxes, actors or wires."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, cast, dataclass_transform, overload
from weakref import WeakValueDictionary

import attrs

if TYPE_CHECKING:
    from trioakt._core.ref import ActorRef
    from trioakt.supervision import Failure

T = TypeVar("T")
R_co = TypeVar("R_co", covariant=True)

_INFO = "__trioakt_message__"

registry: WeakValueDictionary[tuple[str, int], type] = WeakValueDictionary()
"""Registered message classes by type name and version; a class that is gone leaves it."""


@attrs.frozen
class MessageInfo:
    """What ``@message`` notes about a class."""

    name: str
    version: int
    cancellable: bool


_PLAIN = MessageInfo("", 1, cancellable=False)


class Request(Generic[R_co]):
    """Base of messages that are asked: ``class Balance(Request[int])`` is answered with an int."""

    __slots__ = ()


@overload
@dataclass_transform(frozen_default=True, field_specifiers=(attrs.field, attrs.Factory))
def message(cls: type[T], /) -> type[T]: ...
@overload
@dataclass_transform(frozen_default=True, field_specifiers=(attrs.field, attrs.Factory))
def message(
    *, name: str | None = None, version: int = 1, cancellable: bool = False
) -> Callable[[type[T]], type[T]]: ...
@dataclass_transform(frozen_default=True, field_specifiers=(attrs.field, attrs.Factory))
def message(
    cls: type[T] | None = None, /, *, name: str | None = None, version: int = 1, cancellable: bool = False
) -> type[T] | Callable[[type[T]], type[T]]:
    """Make a class a message: an ``attrs.frozen`` class, registered under a stable type name.

    Args:
        cls: The class; an attrs class is taken as it is.
        name: Name on the wire; by default module and qualified name.
        version: Version of the shape, from 1 on.
        cancellable: Whether the handler of such a request may be cancelled when its asker gives up.

    Raises:
        TypeError: It is used on something that is not a class.
        ValueError: The version is below 1, or another live class has this explicit name and version.
    """
    if version < 1:
        raise ValueError(f"a message version starts at 1, got {version}")

    def make(plain: type[T]) -> type[T]:
        if not isinstance(plain, type):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"@message is for classes, got {plain!r}")
        # A class inherits __attrs_attrs__ from its base: only its own makes it an attrs class already.
        made = plain if "__attrs_attrs__" in vars(plain) else attrs.frozen(plain)
        info = MessageInfo(name or f"{made.__module__}.{made.__qualname__}", version, cancellable)
        _register(made, info, explicit=name is not None)
        return made

    return make if cls is None else make(cls)


def _register(cls: type, info: MessageInfo, *, explicit: bool) -> None:
    key = (info.name, info.version)
    other = registry.get(key)
    if explicit and other is not None and (other.__module__, other.__qualname__) != (cls.__module__, cls.__qualname__):
        raise ValueError(f"message name {info.name!r} version {info.version} is taken by {other.__qualname__}")
    setattr(cls, _INFO, info)
    registry[key] = cls


def message_info(message: object) -> MessageInfo:
    """Return what ``@message`` noted about a message's class; defaults for a class without it."""
    return cast("MessageInfo", getattr(type(message), _INFO, _PLAIN))


class Envelope:
    """A message on its way, with the ref of who sent it.

    ``age`` is its place among those that were stashed; ``headers`` is what instruments send with it. Both are unset
    where they are not used.
    """

    __slots__ = ("age", "headers", "message", "sender")

    age: int
    headers: dict[str, str]

    def __init__(self, message: Any, sender: ActorRef | None = None) -> None:
        self.message = message
        self.sender = sender


class Notice(Envelope):
    """An envelope from the toolkit itself: no mailbox refuses it, and it keeps its place in the order of arrival."""

    __slots__ = ()


@message
class PoisonPill:
    """Stop after every message that was queued before this one."""


@attrs.frozen
class TerminationCause:
    """Why an actor ended; compare with the constants, ``failure`` is set for FAILED."""

    name: str
    failure: Failure | None = attrs.field(default=None, eq=False)

    STOPPED: ClassVar[TerminationCause]
    KILLED: ClassVar[TerminationCause]
    FAILED: ClassVar[TerminationCause]
    PASSIVATED: ClassVar[TerminationCause]
    NODE_LOST: ClassVar[TerminationCause]


TerminationCause.STOPPED = TerminationCause("STOPPED")
TerminationCause.KILLED = TerminationCause("KILLED")
TerminationCause.FAILED = TerminationCause("FAILED")
TerminationCause.PASSIVATED = TerminationCause("PASSIVATED")
TerminationCause.NODE_LOST = TerminationCause("NODE_LOST")


@attrs.frozen
class Terminated:
    """A watched actor has ended; arrives after everything it had sent to the watcher."""

    ref: ActorRef
    cause: TerminationCause

    @property
    def failure(self) -> Failure | None:
        """The failure that ended it, if one did."""
        return self.cause.failure
