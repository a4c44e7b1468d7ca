"""The guide: what a node tells clients of its cluster, who are no members and see no store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trioakt.errors import ActorNotFoundError, LeaseLostError

if TYPE_CHECKING:
    from trioakt.cluster.node import ClusterNode
    from trioakt.remote.endpoint import Endpoint


class Guide:
    """Answers questions that say what the asker knows already: each is answered when there is something else to know.

    * ``members KNOWN``: the addresses of the members that take calls, with commas between them.
    * ``seen REVISION``: nothing, when this node's view is of this revision of the store or a later one.
    * ``owner NAME KNOWN``: the ref of the actor that has a name; empty while nobody has it.

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
            ActorNotFoundError: The cluster has no such name.
            LeaseLostError: This node is no member now: another one knows better.
            NoQuorumError: It cannot be known now.
            ValueError: It is no question.
        """
        match question.split(" "):
            case ["members", known]:
                return await self._members(known)
            case ["owner", name, known]:
                return await self._owner(name, known)
            case ["seen", revision]:
                return await self._seen(int(revision))
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
        while await self._cluster.locate(name) is not None:
            self._check()
            owner = self._cluster.directory.owner_of(name)
            found = "" if owner is None else self._endpoint.name_of(owner)
            if found != known:
                return found
            await self._cluster.wait_change()
        raise ActorNotFoundError(f"the cluster has no actor {name!r}", f"/user/{name}")

    async def _seen(self, revision: int) -> str:
        while self._cluster.view.revision < revision:
            self._check()
            await self._cluster.wait_change()
        return ""

    def _check(self) -> None:
        if not self._cluster.health().is_member:
            raise LeaseLostError("this node is no member of the cluster now")
