"""Receptions: the recipients of what comes for the grains of one class that a node has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trioakt.grains.ref import GrainRef

if TYPE_CHECKING:
    from collections.abc import Callable

    from trioakt.grains.shard import Shard
    from trioakt.remote.endpoint import Endpoint


class Reception:
    """What the doors of shards and the lobbies of guests have in common.

    Attributes:
        shard: The activations.
    """

    shard: Shard

    @property
    def address(self) -> str:
        """The address."""
        return self.shard.keeper.address

    @property
    def is_alive(self) -> bool:
        """Whether it takes messages."""
        return self.shard.keeper.is_alive


def refs_to(endpoint: Endpoint, kind: str) -> Callable[[str], GrainRef[Any]]:
    """Return what makes the refs to grains of a class."""

    def ref_to(identity: str) -> GrainRef[Any]:
        ref = endpoint.ref_of(f"grain/{kind}/{identity}")
        assert isinstance(ref, GrainRef)
        return ref

    return ref_to
