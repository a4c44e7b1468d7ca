"""Where an actor goes: by the wish of who spawns it, and by rendezvous when its node is lost. Pure decisions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from random import Random
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from trioakt.cluster.member import Member

Choice = Callable[["Placing"], "Member | None"]


@attrs.frozen
class Placing:
    """What a placement is decided by.

    Attributes:
        fitting: The members that come into question, in the order in which they joined.
        here: The name of this node.
        loads: How many named actors each node has.
        rng: Where chance comes from.
        turn: How many placements by turns there have been.
    """

    fitting: Sequence[Member]
    here: str
    loads: Mapping[str, int]
    rng: Random
    turn: int


@attrs.frozen
class Placement:
    """How a node is chosen for a new actor; make it by one of the class methods.

    Attributes:
        strategy: By what the choice is made: ``local``, ``random``, ``round_robin`` or ``least_load``.
        role: Only nodes with this role come into question; empty for all.
        datacenter: In which one; empty for that of this node.
    """

    strategy: str = attrs.field(validator=attrs.validators.in_(("local", "random", "round_robin", "least_load")))
    role: str = ""
    datacenter: str = ""

    @classmethod
    def local(cls, *, role: str = "") -> Placement:
        """Choose this node."""
        return cls("local", role)

    @classmethod
    def random(cls, *, role: str = "", datacenter: str = "") -> Placement:
        """Choose any node by chance."""
        return cls("random", role, datacenter)

    @classmethod
    def round_robin(cls, *, role: str = "", datacenter: str = "") -> Placement:
        """Choose the nodes by turns, in the order in which they joined, as the node that places counts."""
        return cls("round_robin", role, datacenter)

    @classmethod
    def least_load(cls, *, role: str = "", datacenter: str = "") -> Placement:
        """Choose the node with the fewest actors that have a name in the cluster; of equal ones the oldest."""
        return cls("least_load", role, datacenter)

    def choose(self, placing: Placing) -> Member | None:
        """Return the member that is chosen, if one comes into question."""
        return _CHOICES[self.strategy](placing) if placing.fitting else None


def _local(placing: Placing) -> Member | None:
    return next((member for member in placing.fitting if member.node == placing.here), None)


def _random(placing: Placing) -> Member:
    return placing.rng.choice(placing.fitting)


def _round_robin(placing: Placing) -> Member:
    return placing.fitting[placing.turn % len(placing.fitting)]


def _least_load(placing: Placing) -> Member:
    return min(placing.fitting, key=lambda member: placing.loads.get(member.node, 0))


_CHOICES: dict[str, Choice] = {
    "local": _local,
    "random": _random,
    "round_robin": _round_robin,
    "least_load": _least_load,
}


def heir(name: str, members: Sequence[Member]) -> Member | None:
    """Return the member that a name falls to: each of n gets its n-th part, and keeps it when others come or go.

    This is rendezvous hashing (Thaler and Ravishankar, "Using name-based mappings to increase hit rates", 1998).
    """
    return max(members, key=lambda member: _weight(name, member.node), default=None)


def _weight(name: str, node: str) -> bytes:
    return blake2b(f"{name}\n{node}".encode(), digest_size=8).digest()
