"""What can be said about a node's part in a cluster when it is made; plain checked data that loads no engine."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import attrs

from trioakt.lowlevel import Actor, check_name

if TYPE_CHECKING:
    from trioakt.cluster.store import Store


def _names(values: Iterable[str]) -> frozenset[str]:
    if isinstance(values, str):
        raise TypeError(f"roles are several names, such as {{{values!r}}}, got the text {values!r}")
    return frozenset(check_name(value) for value in values)


def _kinds(values: Iterable[type[Actor]]) -> tuple[type[Actor], ...]:
    return tuple(values)


def _are_actors(instance: object, attribute: attrs.Attribute[Any], value: tuple[type[Actor], ...]) -> None:
    for kind in value:
        check_kind(kind)


def _name(instance: object, attribute: attrs.Attribute[Any], value: str) -> None:
    check_name(value)


def check_kind(kind: object) -> None:
    """Find out whether something is an actor class.

    Raises:
        TypeError: It is none.
    """
    if not (isinstance(kind, type) and issubclass(kind, Actor)):
        raise TypeError(f"a kind is an actor class, got {kind!r}")


@attrs.frozen
class Cluster:
    """Let this system be one node of several that own actors together: ``ActorSystem(cluster=Cluster(...))``.

    Attributes:
        store: The engine that knows who owns what, as a URL, or an object that keeps the promises of ``Store``:
            ``sqlite://bank.db`` for several processes on one machine, ``etcd://10.0.0.1:2379,10.0.0.2:2379`` or
            ``postgresql://...`` for several machines, ``MemoryStore()`` for tests.
        name: Clusters of different names in one store have nothing to do with each other.
        roles: What this node is good for, in words of your own, such as ``{"control"}``; actors can be bound to one.
        kinds: Actor classes that may be placed here, by whichever node; what this node spawns itself is added.
        lease_ttl: Seconds from its last renewal on for which a node keeps what it owns; when it has died, others take
            it over after that. At least 1.
    """

    store: str | Store
    name: str = attrs.field(default="default", kw_only=True, validator=_name)
    roles: frozenset[str] = attrs.field(default=frozenset(), kw_only=True, converter=_names)
    kinds: tuple[type[Actor], ...] = attrs.field(default=(), kw_only=True, converter=_kinds, validator=_are_actors)
    lease_ttl: float = attrs.field(default=5.0, kw_only=True, validator=attrs.validators.ge(1.0))
