"""Where grains are active in the cluster, as signals go to their activations and start none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trioakt.grains.ref import GrainRef
from trioakt.lowlevel import ActorRef, Address
from trioakt.remote.far_signals import FarSignals

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from trioakt.cluster.membership import Membership
    from trioakt.grains.ref import GrainRecipient
    from trioakt.remote.endpoint import Endpoint


class FarGrains:
    """Finds the activations of grains, and tells others which are here.

    Args:
        membership: This node's.
        endpoint: Its way to others.
        find: Returns the activation of a grain whose shard this node owns.

    Attributes:
        signal: Passes a signal on to the activation of a grain, wherever it is.
    """

    def __init__(
        self,
        membership: Membership,
        endpoint: Endpoint,
        find: Callable[[GrainRecipient], Awaitable[ActorRef[Any] | None]],
    ) -> None:
        self._membership = membership
        self._endpoint = endpoint
        self._find_here = find
        self.signal = FarSignals(membership, self.find).pass_on
        endpoint.inquiries["grain"] = self._answer

    async def find(self, grain: GrainRecipient) -> ActorRef[Any] | None:
        """Return the activation of a grain, wherever it is.

        Raises:
            TrioaktError: It cannot be known now.
        """
        view = self._membership.view
        owner = view.owners.get(grain.shard)
        member = None if owner is None else view.members.get(owner.fact.run.rpartition("/")[0])
        if member is None:
            return None
        if member.node == self._membership.us:  # maybe it is not held any more
            return await self._find_here(grain)
        node = Address.parse(member.address).node
        text = await self._endpoint.inquire(node, "grain", f"{grain.kind}/{grain.id}")
        return self._endpoint.ref_of(text) if text else None

    async def _answer(self, question: str) -> str:
        """Return the ref of an activation on this node; empty if there is none."""
        ref = self._endpoint.ref_of(f"grain/{question}")
        assert isinstance(ref, GrainRef)
        found = await self._find_here(ref.grain)
        return "" if found is None else self._endpoint.name_of(found)
