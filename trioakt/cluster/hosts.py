"""Hosts: the nodes that may have grains of a shard, as the owner of the shard deals with them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import trio

from trioakt.errors import TrioaktError
from trioakt.lowlevel import ActorRef, Address

if TYPE_CHECKING:
    from trioakt.cluster.estate import Estate
    from trioakt.cluster.guests import Guests
    from trioakt.cluster.member import Member

_log = logging.getLogger("trioakt")

_PAUSE = 0.25
"""Seconds after which a node that has not answered is asked again."""


class Hosts:
    """Asks nodes about grains, and makes sure that owners before have none there.

    Args:
        estate: By which the shard is owned.
        guests: Those of this node.
        shard: Its name.
        owner: The token of this ownership.
        kind: The class of the grains.
    """

    def __init__(self, estate: Estate, guests: Guests, shard: str, owner: int, kind: str) -> None:
        self._estate = estate
        self._view = estate.view
        self._guests = guests
        self._shard = shard
        self._owner = owner
        self._kind = kind
        self._door: ActorRef[Any]
        self._lobbies: dict[str, ActorRef[Any]] = {}
        self._cleared = trio.Event()

    def serve(self, door: ActorRef[Any]) -> None:
        """Learn how the shard is reached, before anything else."""
        self._door = door

    async def clear(self) -> None:
        """Have all nodes cleared of the guests of owners before.

        All that such an owner could send to are members by the time this node has taken the shard over; one that does
        not answer is waited for until it does, or is no member any more.
        """
        await self._estate.wait_until(lambda: self._view.revision >= self._owner)
        async with trio.open_nursery() as nursery:
            for member in tuple(self._view.members.values()):
                if self._kind in member.kinds:
                    nursery.start_soon(self._clear, member)
        self._cleared.set()

    async def wait_cleared(self) -> None:
        """Wait until no guest of an owner before is left."""
        await self._cleared.wait()

    async def _clear(self, member: Member) -> None:
        while self.is_there(member):
            if await self.lobby(member) is not None:
                return
            await trio.sleep(_PAUSE)

    async def lobby(self, member: Member) -> ActorRef[Any] | None:
        """Return what takes messages for guests at a member, if that can be known now."""
        lobby = self._lobbies.get(member.run)
        if lobby is None or not lobby.is_alive:
            try:
                us = self._estate.endpoint.name_of(self._door)
                lobby = self._estate.endpoint.ref_of(await self.inquire(member, "clear", us))
            except TrioaktError as error:
                _log.info("%s takes no %s at the moment: %s", member.node, self._kind, error)
                return None
            self._lobbies[member.run] = lobby
        return lobby

    async def inquire(self, member: Member, verb: str, whom: str) -> str:
        """Return what a node answers to a question; see ``Guests.answer``.

        Raises:
            TrioaktError: It has not answered, or is not what it was.
        """
        question = f"{quote(member.run)} {verb} {self._shard} {self._owner} {whom}"
        if member.run == self._estate.run:
            return await self._guests.answer(question)
        return await self._estate.endpoint.inquire(Address.parse(member.address).node, "guest", question)

    def is_there(self, member: Member) -> bool:
        """Return whether this incarnation of a node is still a member."""
        present = self._view.members.get(member.node)
        return present is not None and present.incarnation == member.incarnation
