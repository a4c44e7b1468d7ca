"""The guide: what a node tells clients of its cluster, who are no members and see no store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trioakt.errors import ActorNotFoundError, LeaseLostError, PlacementError
from trioakt.grains.ref import GrainRef
from trioakt.grains.sharing import PREFIX, is_shard
from trioakt.remote.directory import UNKNOWN

if TYPE_CHECKING:
    from trioakt.cluster.node import ClusterNode
    from trioakt.remote.endpoint import Endpoint


class Guide:
    """Answers questions that say what the asker knows already: each is answered when there is something else to know.

    * ``members KNOWN``: the addresses of the members that take calls, with commas between them.
    * ``seen REVISION``: nothing, when this node's view is of this revision of the store or a later one.
    * ``owner NAME KNOWN``: the ref of the actor that has a name; empty while nobody has it. A shard that nobody has
      asked for is made.
    * ``shards``: in how many parts the grains of each kind are shared out.
    * ``home``: with what the texts begin of refs to what the cluster shares; empty where there are no datacenters.
    * ``active KIND/IDENTITY``: the ref of the activation of a grain; empty if there is none.

    Args:
        cluster: What this node knows.
        endpoint: Its way to others.
    """

    def __init__(self, cluster: ClusterNode, endpoint: Endpoint) -> None:
        self._cluster = cluster
        self._endpoint = endpoint

    async def answer(self, question: str) -> str:
        """Wait for the answer to a question.

        Raises:
            ActorNotFoundError: The cluster has no such name, or no member takes such grains.
            LeaseLostError: This node is no member now: another one knows better.
            NoQuorumError: It cannot be known now.
            ValueError: It is no question.
        """
        verb, _, rest = question.partition(" ")
        match verb, rest.split(" "):
            case "members", [known]:
                return await self._members(known)
            case "owner", [name, known]:
                return await self._owner(name, known)
            case "seen", [revision]:
                return await self._seen(int(revision))
            case "shards", [""]:
                return str(self._cluster.grains.shards)
            case "home", [""]:
                return self._endpoint.home
            case "active", _:
                return await self._active(rest)
            case _:
                raise ValueError(f"no question: {question[:200]!r}")

    async def _members(self, known: str) -> str:
        while True:
            members = self._cluster.members()
            found = ",".join(member.address for member in members if not member.draining)
            self._check()
            if found != known:
                return found
            await self._cluster.wait_other_members(members)

    async def _owner(self, name: str, known: str) -> str:
        if is_shard(name):
            self._want(name, known)
        while is_shard(name) or await self._cluster.locate(name) is not None:
            self._check()
            owner = self._cluster.directory.owner_of(name)
            found = "" if owner is None else self._endpoint.name_of(owner)
            if found != known:
                return found
            await self._cluster.directory.wait_change(name)
        raise ActorNotFoundError(f"the cluster has no actor {name!r}", f"/user/{name}")

    def _want(self, shard: str, known: str) -> None:
        """See that somebody owns a shard, or will."""
        self._check()
        grains = self._cluster.grains
        number, _, kind = shard.removeprefix(PREFIX).partition(".")
        if number not in map(str, range(grains.shards)):
            raise ActorNotFoundError(f"the cluster has no {shard!r}, but {grains.shards} of each kind", "")
        try:
            grains.want(shard, kind, checked=known != UNKNOWN and shard in self._cluster.view.names)
        except PlacementError as error:
            raise ActorNotFoundError(str(error), "") from None

    async def _active(self, grain: str) -> str:
        self._check()
        ref = self._endpoint.ref_of(f"grain/{grain}")
        assert isinstance(ref, GrainRef)
        found = await self._cluster.grains.find_anywhere(ref.grain)
        return "" if found is None else self._endpoint.name_of(found)

    async def _seen(self, revision: int) -> str:
        while self._cluster.view.revision < revision:
            self._check()
            await self._cluster.wait_change()
        return ""

    def _check(self) -> None:
        if not self._cluster.health().is_member:
            raise LeaseLostError("this node is no member of the cluster now")
