"""Discovery: where clients ask for the addresses of nodes; plain data that loads no resolver before it is used."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from importlib import import_module
from typing import Protocol, runtime_checkable

import attrs


@runtime_checkable
class SeedProvider(Protocol):
    """Finds nodes of one system; give it to ``open_client`` in place of their addresses."""

    async def seeds(self) -> Sequence[str]:
        """Return the addresses of nodes that are there now: ``tcp://host:port``, as each calls itself.

        Raises:
            NodeUnreachableError: They cannot be found.
        """
        ...


@attrs.frozen
class DnsSrvSeeds:
    """A ``SeedProvider`` that takes the addresses from the SRV records of a name, as Kubernetes and Consul have them.

    Attributes:
        name: The name, such as ``_trioakt._tcp.bank.example.org``.
        scheme: What comes before ``://`` in the addresses.
        server: The DNS server to ask, ``10.0.0.1:8600``; by default those of this machine.
    """

    name: str
    scheme: str = attrs.field(default="tcp", kw_only=True)
    server: str | None = attrs.field(default=None, kw_only=True)

    async def seeds(self) -> Sequence[str]:
        """Return the addresses, those of the first priority first.

        Raises:
            ModuleNotFoundError: The extra ``discovery-dns`` is not installed.
            NodeUnreachableError: There is no such name, or the DNS does not answer.
        """
        look_up = import_module("trioakt.remote.dns_records").look_up_services
        return [f"{self.scheme}://{place}" for place in await look_up(self.name, self.server)]


@attrs.frozen
class MdnsSeeds:
    """A ``SeedProvider`` that listens for nodes in the same local network, which do ``advertise_mdns``.

    Attributes:
        system: The name of their system.
        patience: For how many seconds to listen, at most: nodes that have just spoken may take a second to answer.
        interfaces: The addresses of this machine where to listen; by default all of them.
    """

    system: str
    patience: float = attrs.field(default=3.0, kw_only=True)
    interfaces: Sequence[str] = attrs.field(default=(), kw_only=True)

    async def seeds(self) -> Sequence[str]:
        """Return the addresses of those that were heard.

        Raises:
            ModuleNotFoundError: The extra ``discovery-mdns`` is not installed.
            NodeUnreachableError: Nobody was heard.
        """
        browse = import_module("trioakt.remote.mdns_services").browse
        found: Sequence[str] = await browse(self.system, self.patience, self.interfaces)
        return found


@asynccontextmanager
async def advertise_mdns(system: str, address: str, *, interfaces: Sequence[str] = ()) -> AsyncGenerator[None]:
    """Let clients in the same local network find a node, until the end of the block.

    Args:
        system: The name of its system.
        address: Where clients reach it: ``tcp://host:port``, as it calls itself.
        interfaces: The addresses of this machine where to tell it; by default all of them.

    Raises:
        ModuleNotFoundError: The extra ``discovery-mdns`` is not installed.
        OSError: There is no multicast here.
    """
    async with import_module("trioakt.remote.mdns_services").announced(system, address, interfaces):
        yield
