"""Makes a system's part in its cluster; loaded only when a system has one, as it loads the codec."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trioakt.cluster.node import ClusterNode

if TYPE_CHECKING:
    from trioakt.cluster.settings import Cluster
    from trioakt.lowlevel import CoreSystem
    from trioakt.remote.endpoint import Endpoint


def cluster_node(system: CoreSystem, settings: Cluster, endpoint: Endpoint) -> ClusterNode:
    """Return the part of a system in its cluster, which it has not joined yet."""
    return ClusterNode(system, settings, endpoint)
