"""Routing: which routees a message goes to. Pure: routees are known by their keys, and how busy they are is told."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from hashlib import blake2b
from random import Random as Chance
from typing import Any, Protocol

import attrs

Depth = Callable[[str], int]
"""How many messages wait in the mailbox of a routee."""

_positive = attrs.validators.gt(0)


class Chooser(Protocol):
    """What one router remembers of its choices."""

    def update(self, routees: Sequence[str]) -> None:
        """Note the keys of the present routees, in their order; never called with none."""
        ...

    def choose(self, message: Any, depth: Depth) -> Sequence[str]:
        """Return the keys of those a message is for; an asked one is tried with them in this order."""
        ...


class RoutingStrategy(Protocol):
    """How a router chooses; plain data, which several routers may share."""

    @property
    def within(self) -> float:
        """Seconds in which one of several that are asked has to answer."""
        ...

    @property
    def interval(self) -> float:
        """Seconds after which the next of several is asked; 0: all at once."""
        ...

    def chooser(self, rng: Chance) -> Chooser:
        """Begin to choose, for one router."""
        ...


class _AtOnce:
    __slots__ = ()

    @property
    def interval(self) -> float:
        """No time: all that are asked are asked at once."""
        return 0.0


class _Patient(_AtOnce):
    __slots__ = ()

    @property
    def within(self) -> float:
        """For ever: only the asker's own scope bounds an ask."""
        return math.inf


@attrs.frozen
class RoundRobin(_Patient):
    """One after the other, in the order of the routees."""

    def chooser(self, rng: Chance) -> Chooser:
        """Begin with the first routee."""
        return _Rotation()


@attrs.frozen
class Random(_Patient):
    """Any of them."""

    def chooser(self, rng: Chance) -> Chooser:
        """Draw from the system's source of chance."""
        return _Lottery(rng)


@attrs.frozen
class LeastFull(_Patient):
    """The one with the fewest messages waiting; equals take turns, and remote routees count as empty."""

    def chooser(self, rng: Chance) -> Chooser:
        """Begin with the first routee."""
        return _LeastFull()


@attrs.frozen
class Broadcasting(_Patient):
    """All of them (fan-out); who asks gets the first reply."""

    def chooser(self, rng: Chance) -> Chooser:
        """Choose all, always."""
        return _Everybody()


@attrs.frozen
class ConsistentHash(_Patient):
    """Messages with the same key go to the same routee; a resize by one of n moves about 1/n of the keys.

    (Karger et al., 1997.) The hash is stable: it is the same in every process.

    Attributes:
        key: Takes the key out of a message: a ``str``, ``bytes`` or ``int``.
        vnodes: Points of each routee on the ring; more of them share the keys out more evenly.
    """

    key: Callable[[Any], str | bytes | int]
    vnodes: int = attrs.field(default=150, validator=attrs.validators.ge(1))

    def chooser(self, rng: Chance) -> Chooser:
        """Begin with an empty ring."""
        return _Ring(self.key, self.vnodes)


@attrs.frozen
class ScatterGatherFirst(_AtOnce):
    """All of them; who asks gets the first reply, and the other requests are given up.

    Attributes:
        within: Seconds after which the asker gets ``NoReplyError``.
    """

    within: float = attrs.field(validator=_positive)

    def chooser(self, rng: Chance) -> Chooser:
        """Choose all, always."""
        return _Everybody()


@attrs.frozen
class TailChopping:
    """One at random, and when no reply has come after the interval, one more, and so on; the first reply counts.

    (Dean and Barroso, "The Tail at Scale", 2013: hedged requests.) What is told goes to one at random.

    Attributes:
        within: Seconds after which the asker gets ``NoReplyError``.
        interval: Seconds from one try to the next; a try that fails is followed at once.
    """

    within: float = attrs.field(validator=_positive)
    interval: float = attrs.field(validator=_positive)

    def chooser(self, rng: Chance) -> Chooser:
        """Draw from the system's source of chance."""
        return _Shuffled(rng)


def _not_below_minimum(resizer: Resizer, attribute: attrs.Attribute[int], value: int) -> None:
    if value < resizer.minimum:
        raise ValueError(f"maximum must not be below minimum, got {value} and {resizer.minimum}")


@attrs.frozen
class Resizer:
    """Sizes a pool by what waits in the mailboxes of its routees, once a second.

    A pool grows at once to what would bring the mean depth down to the target, and shrinks one by one.

    Attributes:
        minimum: Routees there are at least.
        maximum: Routees there are at most.
        target_depth: Messages that may wait for each routee.
    """

    minimum: int = attrs.field(validator=attrs.validators.ge(1))
    maximum: int = attrs.field(validator=_not_below_minimum)
    target_depth: float = attrs.field(validator=_positive)

    def clamp(self, size: int) -> int:
        """Return the nearest size within the bounds."""
        return max(self.minimum, min(size, self.maximum))

    def size(self, present: int, waiting: int) -> int:
        """Return the size for so many waiting messages."""
        return self.clamp(max(math.ceil(waiting / self.target_depth), present - 1))


class _Everybody:
    def __init__(self) -> None:
        self.routees: Sequence[str] = ()

    def update(self, routees: Sequence[str]) -> None:
        self.routees = tuple(routees)

    def choose(self, message: Any, depth: Depth) -> Sequence[str]:
        return self.routees


class _Lottery(_Everybody):
    def __init__(self, rng: Chance) -> None:
        super().__init__()
        self._rng = rng

    def choose(self, message: Any, depth: Depth) -> Sequence[str]:
        return (self._rng.choice(self.routees),)


class _Shuffled(_Everybody):
    def __init__(self, rng: Chance) -> None:
        super().__init__()
        self._rng = rng

    def choose(self, message: Any, depth: Depth) -> Sequence[str]:
        return self._rng.sample(self.routees, len(self.routees))


class _Rotation:
    def __init__(self) -> None:
        self._routees: Sequence[str] = ()
        self._next = 0

    def update(self, routees: Sequence[str]) -> None:
        present = {routee: place for place, routee in enumerate(routees)}
        self._next = next((present[routee] for routee in self._in_turn() if routee in present), 0)
        self._routees = tuple(routees)

    def choose(self, message: Any, depth: Depth) -> Sequence[str]:
        return (self._take(self._next),)

    def _in_turn(self) -> Sequence[str]:
        return (*self._routees[self._next :], *self._routees[: self._next])

    def _take(self, place: int) -> str:
        self._next = (place + 1) % len(self._routees)
        return self._routees[place]


class _LeastFull(_Rotation):
    def choose(self, message: Any, depth: Depth) -> Sequence[str]:
        return (self._take(self._routees.index(min(self._in_turn(), key=depth))),)


class _Ring:
    def __init__(self, key: Callable[[Any], str | bytes | int], vnodes: int) -> None:
        self._key = key
        self._vnodes = vnodes
        self._points: list[tuple[int, str]] = []
        self._routees: frozenset[str] = frozenset()

    def update(self, routees: Sequence[str]) -> None:
        present = frozenset(routees)
        points = [point for point in self._points if point[1] in present]
        for routee in present - self._routees:
            points.extend((_hash(f"{routee}#{number}"), routee) for number in range(self._vnodes))
        self._points = sorted(points)
        self._routees = present

    def choose(self, message: Any, depth: Depth) -> Sequence[str]:
        place = bisect_right(self._points, (_hash(self._key(message)), ""))
        return (self._points[place % len(self._points)][1],)


def _hash(key: object) -> int:
    if isinstance(key, int):
        key = str(key)
    if isinstance(key, str):
        key = key.encode("utf-8", "surrogatepass")
    if not isinstance(key, bytes):
        raise TypeError(f"the key of a consistent hash must be a str, bytes or int, got {key!r}")
    return int.from_bytes(blake2b(key, digest_size=8).digest(), "big")
