"""Health: how a node stands in its cluster, in figures that tell the truth. Pure: no event loop, no wire."""

from __future__ import annotations

import attrs


@attrs.frozen
class Health:
    """How a node stands in its cluster at one moment.

    Attributes:
        is_member: Whether it has joined, and its lease holds.
        lease_left: Seconds for which its lease still holds if the store is not heard from again; 0 without one.
        draining: Whether it hands over what it owns, and takes nothing on.
        last_heard: Seconds since the store has last been heard from; ``inf`` before the first time.
        members: How many members there are, as far as it has heard.
        orphans: How many names of the cluster nobody owns, as far as it has heard; more than a moment is too long. The
            shards of grains that no member takes do not count.
    """

    is_member: bool
    lease_left: float
    draining: bool
    last_heard: float
    members: int
    orphans: int

    @property
    def is_ready(self) -> bool:
        """Whether it takes work: it is a member, its lease holds, and it does not drain."""
        return self.is_member and not self.draining

    @property
    def text(self) -> str:
        """What keeps it from being ready, in words; ``ready`` if nothing does."""
        if not self.is_member:
            return "no member of the cluster"
        return "draining" if self.draining else "ready"
