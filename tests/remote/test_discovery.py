"""Clients find the nodes of a system: in the DNS, and by a provider that is asked again when all of them are gone."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from tests.remote.dns_server import dns_server
from tests.remote.nodes import Net, Ping, Server, nodes
from trioakt import ActorSystem, Client, NodeUnreachableError, Remote, connect, open_client
from trioakt.remote.discovery import DnsSrvSeeds, MdnsSeeds, SeedProvider, advertise_mdns

BANK = "_trioakt._tcp.bank.test"
OURS = f"bank-{os.getpid()}"
"""What nobody else on this machine is called, such as the same tests in another run: all hear each other."""


class Registry:
    """A provider that finds what a test says."""

    def __init__(self, *hosts: str) -> None:
        self.hosts = hosts
        self.asked = 0

    async def seeds(self) -> list[str]:
        self.asked += 1
        await trio.sleep(0.1)
        if not self.hosts:
            raise NodeUnreachableError("the registry is closed")
        return [f"mem://{host}:1" for host in self.hosts]


@asynccontextmanager
async def client_of(net: Net, provider: SeedProvider) -> AsyncGenerator[Client]:
    async with open_client(provider, listen="mem://client:1", transport=net.network.transport("client")) as client:
        yield client


async def serve(net: Net, *hosts: str) -> None:
    for host in hosts:
        await net.systems[host].spawn(Server, name="ada")


async def test_nodes_are_found_in_the_dns() -> None:
    async with dns_server({BANK: ["0 0 1 a."]}) as server, nodes("a") as net:
        await serve(net, "a")
        async with client_of(net, DnsSrvSeeds(BANK, scheme="mem", server=server)) as client:
            assert await client.ask("ada", Ping()) == "pong "


async def test_services_come_by_their_priority_and_weight() -> None:
    records = ["20 0 4041 c.bank.test.", "10 1 4041 b.bank.test.", "10 5 4042 a.bank.test."]
    async with dns_server({BANK: records}) as server:
        found = await DnsSrvSeeds(BANK, server=server).seeds()
    assert found == ["tcp://a.bank.test:4042", "tcp://b.bank.test:4041", "tcp://c.bank.test:4041"]


@pytest.mark.parametrize("name", ["_trioakt._tcp.nobody.test", BANK])
async def test_a_service_that_is_not_there_is_told(name: str) -> None:
    async with dns_server({BANK: ["0 0 0 ."]}) as server:
        with pytest.raises(NodeUnreachableError, match=f"no services are found at {name}"):
            await DnsSrvSeeds(name, server=server).seeds()


async def test_a_bad_server_is_refused() -> None:
    with pytest.raises(ValueError, match="nonsense"):
        await DnsSrvSeeds(BANK, server="nonsense").seeds()


async def test_a_provider_is_asked_again_when_no_node_can_be_reached(autojump_clock: MockClock) -> None:
    registry = Registry("a")
    async with nodes("a", "b") as net, client_of(net, registry) as client:
        await serve(net, "a", "b")
        await client.ask("ada", Ping())
        net.crash("a")
        registry.hosts = ("b",)
        await trio.sleep(60)
        async with trio.open_nursery() as nursery:
            for _ in range(10):
                nursery.start_soon(client.ask, "ada", Ping())
        assert registry.asked == 2
        await client.ask("ada", Ping())
        assert registry.asked == 2


async def test_nodes_that_are_known_stay_when_a_provider_finds_none(autojump_clock: MockClock) -> None:
    registry = Registry("a")
    async with nodes("a") as net, client_of(net, registry) as client:
        net.crash("a")
        registry.hosts = ()
        await trio.sleep(60)
        with pytest.raises(NodeUnreachableError, match="no node can be reached"):
            await client.ask("ada", Ping())
        await net.start("a")
        await serve(net, "a")
        await trio.sleep(60)
        with trio.fail_after(60):
            while True:
                try:
                    await client.ask("ada", Ping())
                except NodeUnreachableError:
                    await trio.sleep(1)
                else:
                    break


async def test_without_seeds_there_is_no_client(autojump_clock: MockClock) -> None:
    async with nodes("a") as net:
        with pytest.raises(NodeUnreachableError, match="the registry is closed"):
            async with client_of(net, Registry()):
                pass


async def test_a_script_takes_a_provider_too() -> None:
    async with ActorSystem("bank", remote=Remote("tcp://127.0.0.1:0")) as system:
        await system.spawn(Server, name="ada")
        async with dns_server({BANK: [f"0 0 {system.node.rpartition(':')[2]} 127.0.0.1."]}) as server:

            def script() -> Any:
                with connect(DnsSrvSeeds(BANK, server=server)) as client:
                    return client.ask("ada", Ping())

            assert await trio.to_thread.run_sync(script) == "pong "


async def test_nodes_are_heard_in_the_local_network() -> None:
    loopback = ["127.0.0.1"]
    async with nodes("a") as net:
        await serve(net, "a")
        async with (
            advertise_mdns(OURS, "mem://a:1", interfaces=loopback),
            advertise_mdns("shop", "mem://nowhere:1", interfaces=loopback),
            client_of(net, MdnsSeeds(OURS, patience=20, interfaces=loopback)) as client,
        ):
            assert await client.ask("ada", Ping()) == "pong "


async def test_a_node_that_is_advertised_no_more_is_not_heard() -> None:
    loopback = ["127.0.0.1"]
    async with advertise_mdns(OURS, "mem://a:1", interfaces=loopback):
        pass
    with pytest.raises(NodeUnreachableError, match=f"no node of '{OURS}' is heard"):
        await MdnsSeeds(OURS, patience=0.2, interfaces=loopback).seeds()
