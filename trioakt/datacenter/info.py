"""What is known of a datacenter; plain data that loads no engine."""

from __future__ import annotations

from enum import StrEnum

import attrs

from trioakt.lowlevel import Event


class DatacenterState(StrEnum):
    """How a datacenter stands, as the directory tells."""

    REGISTERED = "registered"
    """It has its name, and no node that takes calls yet."""
    ACTIVE = "active"
    """It can be reached, and takes new actors."""
    DRAINING = "draining"
    """What is there can be reached; nothing new is placed there."""
    INACTIVE = "inactive"
    """Nothing has been heard of it in the directory for as long as its lease lasts, or it has ended."""


@attrs.frozen
class DatacenterInfo:
    """One cluster among several, as a node has heard of it.

    Attributes:
        name: Its name, which no other has.
        state: How it stands.
        addresses: Of its nodes that take calls, ``trioakt://system@host:port``; of an inactive one, the last known.
        kinds: Names of the classes of actors and grains that may be placed there.
        shards: In how many parts the grains of a class are shared out there.
        age: Seconds since this node has heard from the directory; two that differ in nothing else are equal.
    """

    name: str
    state: DatacenterState
    addresses: tuple[str, ...]
    kinds: frozenset[str]
    shards: int
    age: float = attrs.field(default=0.0, eq=False)


@attrs.frozen
class DatacenterChanged(Event):
    """A datacenter has been registered, stands otherwise, or has other nodes or kinds than before."""

    datacenter: DatacenterInfo
