"""What can be said about a node's part in a cluster when it is made; plain checked data that loads no engine."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import attrs

from trioakt.cluster.placement import Placement
from trioakt.grains.grain import Grain, GrainKind
from trioakt.lowlevel import Actor, Options, check_name

if TYPE_CHECKING:
    from trioakt.cluster.store import Store


def _names(values: Iterable[str]) -> frozenset[str]:
    if isinstance(values, str):
        raise TypeError(f"roles are several names, such as {{{values!r}}}, got the text {values!r}")
    return frozenset(check_name(value) for value in values)


def _kinds(values: Iterable[Any]) -> tuple[Any, ...]:
    return tuple(values)


def _are_actors(instance: object, attribute: attrs.Attribute[Any], value: tuple[type[Actor], ...]) -> None:
    for kind in value:
        check_kind(kind)


def _name(instance: object, attribute: attrs.Attribute[Any], value: str) -> None:
    check_name(value)


def _are_grains(instance: object, attribute: attrs.Attribute[Any], value: tuple[type[Grain], ...]) -> None:
    for kind in value:
        GrainKind.of(kind, Options())
        _is_placement(kind, kind.placement)


def _is_placement(kind: type[Grain], value: object) -> None:
    if value is not None and not isinstance(value, Placement):
        raise TypeError(f"{kind.__qualname__}: placement is such as Placement.local(), got {value!r}")
    if value is not None and value.datacenter:
        raise ValueError(f"{kind.__qualname__} cannot be placed elsewhere: say system.grain(..., datacenter=...)")


def check_kind(kind: object) -> None:
    """Find out whether something is an actor class.

    Raises:
        TypeError: It is none.
    """
    if not (isinstance(kind, type) and issubclass(kind, Actor)):
        raise TypeError(f"a kind is an actor class, got {kind!r}")
    if issubclass(kind, Grain):
        raise TypeError(f"{kind.__qualname__} is a class of grains: say grains=[...], and system.grain(kind, identity)")


@attrs.frozen
class Datacenter:
    """Let the cluster of this system be one of several that reach each other: ``Cluster(datacenter=Datacenter(...))``.

    Attributes:
        name: That of this cluster among the datacenters; all its nodes say the same, and no other cluster does.
        directory: The engine in which all datacenters are registered, as the ``store`` of a cluster; all clusters reach
            it, and the clusters themselves do without it when it is down.
        lease_ttl: Seconds after which others see this datacenter as inactive, when none of its nodes has been heard
            of in the directory. At least 1.
        max_age: Seconds without word from the directory after which a node believes nothing about other datacenters
            any more, and refuses to look anything up in them.
    """

    name: str = attrs.field(validator=_name)
    directory: str | Store = attrs.field(kw_only=True)
    lease_ttl: float = attrs.field(default=10.0, kw_only=True, validator=attrs.validators.ge(1.0))
    max_age: float = attrs.field(default=30.0, kw_only=True, validator=attrs.validators.ge(1.0))


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
        grains: Classes of grains that may be active here; where a class names a role, on nodes that have it.
        lease_ttl: Seconds from its last renewal on for which a node keeps what it owns; when it has died, others take
            it over after that. At least 1.
        shards: In how many parts the grains of a class are shared out among the nodes; the same on all of them.
        datacenter: Which one this cluster is, where there are several; the same on all nodes.
    """

    store: str | Store
    name: str = attrs.field(default="default", kw_only=True, validator=_name)
    roles: frozenset[str] = attrs.field(default=frozenset(), kw_only=True, converter=_names)
    kinds: tuple[type[Actor], ...] = attrs.field(default=(), kw_only=True, converter=_kinds, validator=_are_actors)
    grains: tuple[type[Grain], ...] = attrs.field(default=(), kw_only=True, converter=_kinds, validator=_are_grains)
    lease_ttl: float = attrs.field(default=5.0, kw_only=True, validator=attrs.validators.ge(1.0))
    shards: int = attrs.field(
        default=256, kw_only=True, validator=[attrs.validators.instance_of(int), attrs.validators.in_(range(1, 2**16))]
    )
    datacenter: Datacenter | None = attrs.field(
        default=None,
        kw_only=True,
        validator=attrs.validators.optional(attrs.validators.instance_of(Datacenter)),
    )

    @property
    def placeable(self) -> tuple[type[Actor], ...]:
        """All classes that may be placed here, those of grains included."""
        return (*self.kinds, *(kind for kind in self.grains if not kind.role or kind.role in self.roles))
