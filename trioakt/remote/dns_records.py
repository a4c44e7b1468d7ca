"""Services in the DNS; loaded only when somebody looks for one."""

from __future__ import annotations

import trio

from trioakt.errors import NodeUnreachableError

try:
    from dns.asyncbackend import get_backend
    from dns.asyncresolver import Resolver
    from dns.exception import DNSException
    from dns.name import root
    from dns.rdtypes.IN.SRV import SRV
except ModuleNotFoundError as missing:
    text = "discovery in the DNS needs an extra: pip install 'trioakt[discovery-dns]'"
    raise ModuleNotFoundError(text, name=missing.name) from missing


async def look_up_services(name: str, server: str | None) -> list[str]:
    """Return ``host:port`` of each SRV record of a name, by priority, and the heavier before the lighter.

    Raises:
        NodeUnreachableError: There is none, or the DNS does not answer.
        ValueError: The server is no ``host:port`` with a numeric host.
    """
    try:
        resolver = await trio.to_thread.run_sync(_resolver, server)
        answer = await resolver.resolve(name, "SRV", backend=get_backend("trio"))
    except DNSException as error:
        raise NodeUnreachableError(f"no services are found at {name}: {error}") from None
    records = [record for record in answer if isinstance(record, SRV) and record.target != root]
    if not records:  # a target of just a dot says that the service is not there
        raise NodeUnreachableError(f"no services are found at {name}")
    records.sort(key=lambda record: (record.priority, -record.weight, record.target, record.port))
    return [f"{record.target.to_text(omit_final_dot=True)}:{record.port}" for record in records]


def _resolver(server: str | None) -> Resolver:
    """Make a resolver, which may read files to know the servers of this machine."""
    if server is None:
        return Resolver()
    resolver = Resolver(configure=False)
    host, _, port = server.rpartition(":")
    resolver.port = int(port)
    resolver.nameservers = [host.strip("[]")]
    return resolver
