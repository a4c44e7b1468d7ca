"""Messages and the envelopes they travel in; it knows nothing of mailboxes, actors or wires."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, cast, dataclass_transform, overload
from weakref import WeakValueDictionary

import attrs

if TYPE_CHECKING:
    from trioakt._core.ref import ActorRef
    from trioakt.supervision import Failure

T = TypeVar("T")
R_co = TypeVar("R_co", covariant=True)

_INFO = "__trioakt_message__"


@attrs.frozen
class MessageInfo:
    """What ``@message`` notes about a class."""

    name: str
    version: int
    cancellable: bool


_PLAIN = MessageInfo("", 1, cancellable=False)

Upcaster = Callable[[dict[str, Any]], dict[str, Any]]
UpcasterT = TypeVar("UpcasterT", bound=Upcaster)


class Registry:
    """Message classes and upcasters by type name and version; a class that is gone leaves it.

    ``revision`` grows with each change, so that what was derived from it can be derived anew.
    """

    def __init__(self) -> None:
        self.revision = 0
        self._lock = Lock()
        self._classes: WeakValueDictionary[tuple[str, int], type] = WeakValueDictionary()
        self._upcasters: dict[tuple[str, int], Upcaster] = {}

    def add(self, cls: type, info: MessageInfo, *, explicit: bool) -> None:
        """Register a class; one of a generated name takes the place of an earlier one."""
        key = (info.name, info.version)
        with self._lock:
            other = self._classes.get(key)
            if explicit and other is not None and not _same_place(other, cls):
                raise ValueError(f"message name {info.name!r} version {info.version} is taken by {other.__qualname__}")
            setattr(cls, _INFO, info)
            self._classes[key] = cls
            self.revision += 1

    def add_upcaster(self, name: str, version: int, fn: Upcaster) -> None:
        """Register how this version becomes the next."""
        with self._lock:
            other = self._upcasters.get((name, version))
            if other is not None and not _same_place(other, fn):
                raise ValueError(f"version {version} of {name!r} already has an upcaster, {other.__qualname__}")
            self._upcasters[name, version] = fn
            self.revision += 1

    def newest(self, name: str) -> type | None:
        """Return the class of the highest version under this name."""
        with self._lock:
            versions = [version for known, version in self._classes if known == name]
            return self._classes.get((name, max(versions))) if versions else None

    def classes(self) -> list[type]:
        """Return all message classes."""
        with self._lock:
            return list(self._classes.values())

    def upcaster(self, name: str, version: int) -> Upcaster | None:
        """Return how this version becomes the next."""
        return self._upcasters.get((name, version))


def _same_place(one: Any, other: Any) -> bool:
    """Tell whether two classes or functions come from one place in the source: a module may be loaded again."""
    return (one.__module__, one.__qualname__) == (other.__module__, other.__qualname__)


registry = Registry()
"""What ``@message`` and ``@upcast`` have registered in this process."""


class Request(Generic[R_co]):
    """Base of messages that are asked: ``class Balance(Request[int])`` is answered with an int."""

    __slots__ = ()


@overload
@dataclass_transform(frozen_default=True, field_specifiers=(attrs.field,))
def message(cls: type[T], /) -> type[T]: ...
@overload
@dataclass_transform(frozen_default=True, field_specifiers=(attrs.field,))
def message(
    *, name: str | None = None, version: int = 1, cancellable: bool = False
) -> Callable[[type[T]], type[T]]: ...
@dataclass_transform(frozen_default=True, field_specifiers=(attrs.field,))
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
        registry.add(made, info, explicit=name is not None)
        return made

    return make if cls is None else make(cls)


def upcast(name: str, version: int) -> Callable[[UpcasterT], UpcasterT]:
    """Register how one version of a message type becomes the next: a dict of its fields becomes another.

    Upcasters are chained up to the registered version. The dict holds plain data as it was stored or sent.

    Args:
        name: Type name of the message, as given to ``@message``.
        version: The version that the function takes, from 1 on.

    Raises:
        ValueError: The version is below 1, or another function does this already.
    """
    if version < 1:
        raise ValueError(f"a message version starts at 1, got {version}")

    def register(fn: UpcasterT) -> UpcasterT:
        registry.add_upcaster(name, version, fn)
        return fn

    return register


def message_info(message: object) -> MessageInfo:
    """Return what ``@message`` noted about a message's class; defaults for a class without it."""
    return cast("MessageInfo", getattr(type(message), _INFO, _PLAIN))


def registration(cls: type) -> MessageInfo | None:
    """Return what ``@message`` noted about this very class; ``None`` for a subclass without it."""
    return cast("MessageInfo | None", vars(cls).get(_INFO))


class Carrier:
    """A message of the toolkit that carries one of the user's ; as a dead letter, that one counts."""

    message: Any


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
