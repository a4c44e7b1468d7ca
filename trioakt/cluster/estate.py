"""The estate: by what a node owns things in one incarnation of its membership."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from trioakt.cluster.lease import Lease
    from trioakt.cluster.store import Store
    from trioakt.cluster.view import View
    from trioakt.lowlevel import CoreSystem
    from trioakt.remote.endpoint import Endpoint


@attrs.frozen(eq=False)
class Estate:
    """What all parts of an incarnation share.

    Attributes:
        system: This node's.
        endpoint: Its way to others.
        store: Which knows who owns what.
        lease: That proves what is owned here.
        view: What this node knows of the cluster.
        run: This incarnation.
        wait_until: Waits until a condition holds, which is looked at with each change of the view.
    """

    system: CoreSystem
    endpoint: Endpoint
    store: Store
    lease: Lease
    view: View
    run: str
    wait_until: Callable[[Callable[[], bool]], Awaitable[None]]
