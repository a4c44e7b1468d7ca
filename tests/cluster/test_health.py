"""Health: what a node says of itself, and what it answers to those who restart it or send it work."""

from __future__ import annotations

import json
import math
import urllib.error
import urllib.request
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from tests.cluster.nodes import TTL, Counter, open_town
from trioakt import ActorSystem, Cluster, MemoryStore, Remote
from trioakt.observability import open_health_server
from trioakt.remote.memory import MemoryNetwork


async def fetch(url: str) -> tuple[int, dict[str, Any]]:
    """Get the status and the JSON of a page."""

    def read() -> tuple[int, dict[str, Any]]:
        try:
            with urllib.request.urlopen(url, timeout=10) as response:
                return response.status, json.loads(response.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read())

    return await trio.to_thread.run_sync(read)


async def test_a_member_is_ready_and_says_how_long_its_lease_holds(autojump_clock: MockClock) -> None:
    async with open_town() as town:
        here = await town.start("a")
        await town.start("b")
        await here.cluster.wait_members(2)
        await trio.sleep(3 * TTL)

        health = here.cluster.health()

        assert (health.is_member, health.draining, health.is_ready, health.text) == (True, False, True, "ready")
        assert TTL / 2 < health.lease_left < TTL
        assert health.last_heard < TTL / 4
        assert (health.members, health.orphans) == (2, 0)


async def test_a_node_without_its_store_says_how_long_it_has_heard_nothing_until_it_is_no_member(
    autojump_clock: MockClock,
) -> None:
    async with open_town() as town:
        here = await town.start("a")
        town.store.partition("a")
        await trio.sleep(TTL / 2)
        health = here.cluster.health()
        assert health.is_ready
        assert TTL / 2 <= health.last_heard < TTL
        assert 0 < health.lease_left < TTL / 2

        await trio.sleep(TTL)
        health = here.cluster.health()
        assert (health.is_ready, health.text) == (False, "no member of the cluster")
        assert (health.is_member, health.lease_left) == (False, 0.0)
        assert health.last_heard >= 1.5 * TTL

        town.store.heal()
        await trio.sleep(2 * TTL)
        assert here.cluster.health().is_ready


async def test_a_node_that_drains_is_not_ready(autojump_clock: MockClock) -> None:
    async with open_town() as town:
        here = await town.start("a")
        await here.cluster.drain()

        health = here.cluster.health()

        assert (health.is_member, health.draining, health.is_ready, health.text) == (True, True, False, "draining")


async def test_names_that_nobody_owns_are_counted(autojump_clock: MockClock) -> None:
    async with open_town() as town:
        here, there = await town.start("a", kinds=()), await town.start("b")
        await here.cluster.wait_members(2)
        await there.spawn(Counter, name="ada", cluster=True)
        await town.crash(there)
        await trio.sleep(2 * TTL)

        health = here.cluster.health()

        assert (health.members, health.orphans) == (1, 1)


async def test_a_node_that_has_not_started_is_healthy_in_no_way(autojump_clock: MockClock) -> None:
    remote = Remote("mem://a:1", node="a", transport=MemoryNetwork().transport("a"))
    health = ActorSystem("town", remote=remote, cluster=Cluster(MemoryStore())).cluster.health()

    assert (health.is_member, health.is_ready, health.members) == (False, False, 0)
    assert health.last_heard == math.inf


async def test_the_server_says_that_a_member_is_live_and_ready() -> None:
    async with open_town() as town:
        here = await town.start("a")
        async with open_health_server(here, port=0) as endpoint:
            assert await fetch(f"{endpoint.url}/live") == (200, {"status": "live"})
            status, told = await fetch(f"{endpoint.url}/ready")

    assert (status, told["status"], told["is_member"], told["members"]) == (200, "ready", True, 1)


async def test_the_server_says_that_a_draining_node_is_live_but_not_ready() -> None:
    async with open_town() as town:
        here = await town.start("a")
        await here.cluster.drain()
        async with open_health_server(here, port=0) as endpoint:
            assert (await fetch(f"{endpoint.url}/live"))[0] == 200
            status, told = await fetch(f"{endpoint.url}/ready")

    assert (status, told["status"], told["draining"]) == (503, "draining", True)


async def test_a_system_in_no_cluster_is_ready_while_it_runs() -> None:
    system = ActorSystem("bank")
    async with open_health_server(system, port=0) as endpoint:
        assert await fetch(f"{endpoint.url}/ready") == (503, {"status": "not running"})
        async with system:
            assert await fetch(f"{endpoint.url}/ready") == (200, {"status": "ready"})
        assert await fetch(f"{endpoint.url}/ready") == (503, {"status": "not running"})


async def test_a_system_that_has_been_asked_to_end_is_not_ready() -> None:
    async with ActorSystem("bank") as system, open_health_server(system, port=0) as endpoint:
        system.shutdown()
        with trio.CancelScope(shield=True):
            assert await fetch(f"{endpoint.url}/ready") == (503, {"status": "not running"})


@pytest.mark.parametrize("path", ["", "/", "/live/", "/readyness"])
async def test_there_is_nothing_else(path: str) -> None:
    async with ActorSystem("bank") as system, open_health_server(system, port=0) as endpoint:
        with pytest.raises(json.JSONDecodeError):
            await fetch(endpoint.url + path)
