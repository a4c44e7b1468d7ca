"""Makes a system's part among the datacenters; loaded only when its cluster is one of several."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trioakt.cluster.stores import opener_of
from trioakt.datacenter.federation import Federation

if TYPE_CHECKING:
    from trioakt.cluster.node import ClusterNode
    from trioakt.cluster.settings import Datacenter
    from trioakt.lowlevel import CoreSystem
    from trioakt.remote.endpoint import Endpoint


def join(system: CoreSystem, node: ClusterNode, settings: Datacenter, endpoint: Endpoint) -> None:
    """Give a node its part among the datacenters.

    Raises:
        ValueError, ImportError: The directory cannot be opened by this URL, or needs an extra.
    """
    if isinstance(settings.directory, str):
        opener_of(settings.directory)
    node.federation = Federation(system, node, endpoint, settings)
