"""Settling: before actors move, all members hear of it, and what they have sent before that arrives."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

import trio

from trioakt.errors import TrioaktError
from trioakt.lowlevel import Address

if TYPE_CHECKING:
    from trioakt.cluster.view import View
    from trioakt.remote.endpoint import Endpoint

_LEAST = 0.2
"""Seconds for clients, who are no members and are not asked."""
_MOST = 3.0
"""Seconds after which who has not answered is not waited for."""
_LOOK = 0.02
"""Seconds from one look at the view to the next."""


async def settle(endpoint: Endpoint, view: View, run: str, names: Iterable[str]) -> None:
    """Return when all members know that these names, which this node has taken back, have nobody for a while.

    A member's answer comes after all that it has sent to this node before, so that nothing is on its way any more.

    Args:
        endpoint: This node's way to them.
        view: What it knows of the cluster.
        run: Its incarnation.
        names: Those that it has taken back.
    """
    with trio.move_on_after(_MOST):
        await trio.sleep(_LEAST)
        while any(_has_actor(view, name) for name in names):  # noqa: ASYNC110 - the store says it when it does
            await trio.sleep(_LOOK)
        async with trio.open_nursery() as nursery:
            for member in view.members.values():
                if member.run != run:
                    nursery.start_soon(_hear, endpoint, Address.parse(member.address).node, view.revision)


def _has_actor(view: View, name: str) -> bool:
    owner = view.owners.get(name)
    return owner is not None and bool(owner.fact.ref)


async def _hear(endpoint: Endpoint, node: str, revision: int) -> None:
    with suppress(TrioaktError):  # who cannot be reached sends nothing either
        await endpoint.inquire(node, "cluster", f"seen {revision}")
