"""Makes the endpoint of a system; loaded only when a system has one, as it loads the codec and the wire."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trioakt.remote.endpoint import Endpoint

if TYPE_CHECKING:
    from trioakt.lowlevel import CoreSystem
    from trioakt.remote.settings import Remote


def endpoint(system: CoreSystem, remote: Remote) -> Endpoint:
    """Return the endpoint of a system, which does not listen yet."""
    assert remote.transport is not None
    return Endpoint(system, remote, remote.transport)
