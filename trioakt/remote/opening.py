"""Makes the endpoint of a system; loaded only when a system has one, as it loads the codec and the wire."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trioakt.remote.endpoint import Endpoint
from trioakt.remote.nng import NngTransport

if TYPE_CHECKING:
    from trioakt.lowlevel import CoreSystem
    from trioakt.remote.settings import Remote


def endpoint(system: CoreSystem, remote: Remote, *, guest: bool = False) -> Endpoint:
    """Return the endpoint of a system, which does not listen yet; that of a guest takes the name of the first host."""
    transport = remote.transport or NngTransport(tls=remote.tls, max_frame=remote.max_frame)
    return Endpoint(system, remote, transport, guest=guest)
