"""News: what a node hears of its cluster, published on that node."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trioakt.cluster.events import LeaderChanged, NodeJoined, NodeLeft

if TYPE_CHECKING:
    from trioakt.cluster.view import Delta, View
    from trioakt.lowlevel import CoreSystem


class News:
    """Publishes who joins, who leaves and who leads.

    Args:
        system: This node's.
        view: What it knows of the cluster.
    """

    def __init__(self, system: CoreSystem, view: View) -> None:
        self._system = system
        self._view = view
        self._led_by: str | None = None

    def hear(self, delta: Delta) -> None:
        """Publish what has changed in the view."""
        user = self._system.user.ref
        for member in delta.left:
            self._system.publish(NodeLeft, user, member)
        for member in delta.joined:
            self._system.publish(NodeJoined, user, member)
        leader = self._view.leader
        run = None if leader is None else leader.run
        if run != self._led_by:
            self._led_by = run
            self._system.publish(LeaderChanged, user, leader)
