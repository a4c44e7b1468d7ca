"""Two clusters in network namespaces, with a link between them that is cut and restored, and one directory in etcd."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from ipaddress import ip_network
from pathlib import Path

import pytest
import trio

from tests.cluster.etcd_server import Etcd, etcd
from tests.multiprocess.cluster_processes import SLACK, Node, Nodes, Place, Refused, open_nodes, served
from tests.multiprocess.datacenter_node import LEASE, MAX_AGE
from tests.multiprocess.namespaces import add_or_skip, inside, need_ip, remove, run
from tests.multiprocess.processes import PATIENCE

BOTH = {"eu": "active", "us": "active"}


class Map:
    """Two namespaces with a link between them, and one from each to this machine, where the directory is.

    What can be seen on the machine is named and numbered by the process, so that several of these have room there.
    """

    def __init__(self) -> None:
        pid = os.getpid()
        net = ip_network("10.214.0.0/16").network_address + pid % 2**13 * 8
        self.spaces = {"eu": f"trioakt-{pid}-eu", "us": f"trioakt-{pid}-us"}
        self.hosts = {"eu": "10.213.7.1", "us": "10.213.7.2"}
        self.directory = str(net + 1)
        self._homes = {"eu": (str(net + 1), str(net + 2)), "us": (str(net + 5), str(net + 6))}
        self._ends = {"eu": f"ta-{pid}-eu", "us": f"ta-{pid}-us"}

    def open(self) -> None:
        for space in self.spaces.values():
            add_or_skip(space)
            run("ip", "-n", space, "link", "set", "lo", "up")
        eu, us = self.spaces.values()
        run("ip", "-n", eu, "link", "add", "wire", "type", "veth", "peer", "name", "wire", "netns", us)
        for name, space in self.spaces.items():
            run("ip", "-n", space, "address", "add", f"{self.hosts[name]}/24", "dev", "wire")
            run("ip", "-n", space, "link", "set", "wire", "up")
            self._lead_home(name, *self._homes[name])
        run("ip", "-n", self.spaces["us"], "route", "add", f"{self.directory}/32", "via", self._homes["us"][0])

    def _lead_home(self, name: str, here: str, there: str) -> None:
        """Join a namespace to this machine."""
        end, space = self._ends[name], self.spaces[name]
        run("ip", "link", "add", end, "type", "veth", "peer", "name", "home", "netns", space)
        run("ip", "address", "add", f"{here}/30", "dev", end)
        run("ip", "link", "set", end, "up")
        run("ip", "-n", space, "address", "add", f"{there}/30", "dev", "home")
        run("ip", "-n", space, "link", "set", "home", "up")

    def close(self) -> None:
        for name, space in self.spaces.items():
            run("ip", "link", "delete", self._ends[name], check=False)
            remove(space)

    def cut(self) -> None:
        """Take the link between the two down."""
        run("ip", "-n", self.spaces["eu"], "link", "set", "wire", "down")

    def restore(self) -> None:
        """Set it up again."""
        run("ip", "-n", self.spaces["eu"], "link", "set", "wire", "up")


@pytest.fixture
def country() -> Generator[Map]:
    """Two namespaces that reach each other and the directory."""
    need_ip()
    country = Map()
    country.close()
    try:
        country.open()
        yield country
    finally:
        country.close()


@pytest.fixture
async def directory(country: Map, tmp_path: Path) -> AsyncGenerator[Etcd]:
    """Have an etcd that both namespaces reach."""
    async with etcd(tmp_path / "directory", host=country.directory) as cluster:
        yield cluster


@asynccontextmanager
async def open_datacenter(country: Map, directory: Etcd, name: str, store: str) -> AsyncGenerator[Nodes]:
    """Have a cluster of two nodes in a namespace."""
    place = Place(
        Path(__file__).parent / "datacenter_node.py",
        inside(country.spaces[name]),
        country.hosts[name],
        (name, directory.url()),
    )
    async with open_nodes(store, f"{name}-1", f"{name}-2", place=place) as nodes:
        yield nodes


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """Have a file for each datacenter."""
    return {name: f"sqlite://{tmp_path / name}.db" for name in ("eu", "us")}


@pytest.fixture(params=["sqlite", "etcd"])
async def stores(
    request: pytest.FixtureRequest, country: Map, files: dict[str, str], tmp_path: Path
) -> AsyncGenerator[dict[str, str]]:
    """Have a store for each datacenter, of each kind in turn."""
    if request.param == "sqlite":
        yield files
    else:
        async with (
            etcd(tmp_path / "eu", host=country.directory) as eu,
            etcd(tmp_path / "us", host=country.directory) as us,
        ):
            yield {"eu": eu.url(), "us": us.url()}


@asynccontextmanager
async def open_both(country: Map, directory: Etcd, stores: dict[str, str]) -> AsyncGenerator[tuple[Nodes, Nodes]]:
    """Have both datacenters, each with a store of its own, and wait until they know each other."""
    async with (
        open_datacenter(country, directory, "eu", stores["eu"]) as eu,
        open_datacenter(country, directory, "us", stores["us"]) as us,
    ):
        for node in (eu["eu-1"], eu["eu-2"], us["us-1"], us["us-2"]):
            await node.do("wait_datacenter", "eu")
            await node.do("wait_datacenter", "us")
        yield eu, us


async def wait_states(node: Node, **states: str) -> None:
    """Wait until a node sees the datacenters like this."""
    with trio.fail_after(PATIENCE):
        while await node.do("datacenters") != states:  # noqa: ASYNC110 - it is another process
            await trio.sleep(0.1)


async def test_all_goes_on_by_itself_when_the_link_that_was_cut_is_restored(
    country: Map, directory: Etcd, stores: dict[str, str]
) -> None:
    async with open_both(country, directory, stores) as (eu, us):
        here = eu["eu-1"]
        await here.do("place_there", "ada", "us")
        await here.do("place_sleeper", "sleeper", "us")
        for name in ("ada", "sleeper"):
            await here.do("hold", name, "us")
        assert (await here.do("add_held", "ada"))[0] == (await here.do("add_held", "grain ada"))[0] == 1
        ended = list[str]()

        async def nap() -> None:
            with pytest.raises(Refused, match="ConnectionLostError") as refused:
                await here.do("nap_held", "sleeper")
            ended.append(refused.value.kind)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(nap)
            await trio.sleep(0.5)
            country.cut()

        assert ended == ["ConnectionLostError"]
        with pytest.raises(Refused, match="ConnectionLostError"):
            await here.do("add_held", "ada")
        with pytest.raises(Refused, match=r"NodeUnreachableError|ConnectionLostError"):
            await here.do("place_there", "eve", "us")
        await here.do("spawn", "own", "eve")
        assert (await eu["eu-2"].do("add", "own"))[0] == 1
        assert await here.do("datacenters") == await us["us-1"].do("datacenters") == BOTH

        country.restore()
        with trio.fail_after(SLACK):
            assert (await served(here, "add_held", "ada"))[0] == 2
            assert (await served(here, "add_held", "grain ada"))[0] == 2
            await served(here, "place_there", "eve", "us")
        assert await us["us-2"].do("locate", "eve")


async def test_a_datacenter_that_is_killed_is_inactive_for_others_and_is_found_again_when_it_is_back(
    country: Map, directory: Etcd, files: dict[str, str]
) -> None:
    async with open_both(country, directory, files) as (eu, us):
        await eu["eu-1"].do("place_there", "ada", "us")
        await eu["eu-1"].do("hold", "ada", "us")

        for name in ("us-1", "us-2"):
            await us[name].kill()
        with trio.fail_after(LEASE + SLACK):
            await wait_states(eu["eu-1"], eu="active", us="inactive")
        with pytest.raises(Refused, match="DatacenterError"):
            await eu["eu-1"].do("place_there", "eve", "us")

        await us.start("us-1", "us-2")
        with trio.fail_after(PATIENCE):
            assert (await served(eu["eu-1"], "add_held", "ada"))[0] == 1
            await served(eu["eu-1"], "place_there", "eve", "us")


async def test_a_directory_that_is_frozen_ends_nothing_but_new_look_ups(
    country: Map, directory: Etcd, files: dict[str, str]
) -> None:
    async with open_both(country, directory, files) as (eu, us):
        await eu["eu-1"].do("place_there", "ada", "us")
        await eu["eu-1"].do("hold", "ada", "us")
        (member,) = directory.members

        member.freeze()
        with trio.fail_after(MAX_AGE + PATIENCE):
            with pytest.raises(Refused, match="DatacenterError"):
                while True:
                    await eu["eu-1"].do("hold", "ada", "us")
                    await trio.sleep(0.2)
        assert (await eu["eu-1"].do("add_held", "ada"))[0] == 1
        await us["us-1"].do("spawn", "own", "eve")
        assert (await us["us-2"].do("add", "own"))[0] == 1

        member.thaw()
        for node in (eu["eu-1"], us["us-1"]):
            await wait_states(node, **BOTH)
        with trio.fail_after(PATIENCE):
            await served(eu["eu-1"], "hold", "ada", "us")
        assert (await eu["eu-1"].do("add_held", "ada"))[0] == 2
