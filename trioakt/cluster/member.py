"""A member of the cluster, as all see it."""

from __future__ import annotations

import attrs


@attrs.frozen
class Member:
    """One node of the cluster.

    Attributes:
        node: Its name, which no other member has.
        address: Where it is, ``trioakt://system@host:port``.
        incarnation: Grows with each time that a node of this name joins.
        roles: What it is good for.
        kinds: Names of the actor classes that may be placed there.
        joined_at: When it joined, in seconds since 1970, by its own clock.
        draining: Whether it is about to leave, and takes nothing on.
        datacenter: Which one its cluster is, where there are several; empty otherwise.
    """

    node: str
    address: str
    incarnation: int
    roles: frozenset[str]
    kinds: frozenset[str]
    joined_at: float
    draining: bool = False
    datacenter: str = ""

    @property
    def run(self) -> str:
        """The node's name with its incarnation, which no other member ever has."""
        return f"{self.node}/{self.incarnation}"
