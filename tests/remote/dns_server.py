"""A small DNS server for the tests: it knows the services of some names, and answers on a loopback port."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import dns.message
import dns.rcode
import dns.rrset
import trio

Services = dict[str, list[str]]
"""By their names: priority, weight, port and target."""


@asynccontextmanager
async def dns_server(services: Services) -> AsyncGenerator[str]:
    """Answer for as long as the block lasts; give ``host:port``."""
    with trio.socket.socket(type=trio.socket.SOCK_DGRAM) as socket:
        await socket.bind(("127.0.0.1", 0))

        async def serve() -> None:
            while True:
                data, client = await socket.recvfrom(2**16)
                await socket.sendto(answer(services, data), client)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve)
            yield f"127.0.0.1:{socket.getsockname()[1]}"
            nursery.cancel_scope.cancel()


def answer(services: Services, data: bytes) -> bytes:
    query = dns.message.from_wire(data)
    reply = dns.message.make_response(query)
    name = query.question[0].name
    records = services.get(name.to_text(omit_final_dot=True))
    if records is None:
        reply.set_rcode(dns.rcode.NXDOMAIN)
    else:
        reply.answer.append(dns.rrset.from_text(name, 60, "IN", "SRV", *records))
    return reply.to_wire()
