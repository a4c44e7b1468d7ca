"""The mesh: each member keeps a link to each other, so that what is published on one is heard on all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from trioakt.lowlevel import Address

if TYPE_CHECKING:
    from trioakt.cluster.view import Delta, View
    from trioakt.remote.endpoint import Endpoint

_PERIOD = 1.0
"""Seconds from one look at the links to the next."""


class Mesh:
    """The links of one node.

    Args:
        endpoint: Its way to others.
        view: What it knows of the cluster.
        us: Its name.
    """

    def __init__(self, endpoint: Endpoint, view: View, us: str) -> None:
        self._endpoint = endpoint
        self._view = view
        self._us = us

    def hear(self, delta: Delta) -> None:
        """Share topics with those who have joined, and no more with those who have left."""
        for member in delta.left:
            if member.node != self._us:
                self._endpoint.topics.leave(_place(member.address))
        for member in delta.joined:
            if member.node != self._us:
                self._endpoint.topics.join(_place(member.address))
                self._endpoint.connect(_place(member.address))

    async def run(self) -> None:
        """Renew the links that are lost, until cancelled."""
        while True:
            await trio.sleep(_PERIOD)
            for member in tuple(self._view.members.values()):
                place = _place(member.address)
                if member.node != self._us and not self._endpoint.is_linked(place):
                    self._endpoint.connect(place)


def _place(address: str) -> str:
    return Address.parse(address).node
