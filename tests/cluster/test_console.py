"""`trioakt cluster`, as it is installed, on the file of a cluster that runs."""

from __future__ import annotations

import re
import subprocess
import sysconfig
from collections.abc import AsyncGenerator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
import trio

from tests.cluster.nodes import Add, Counter, Who
from tests.remote.conftest import nng_has_closed, nng_has_started
from trioakt import ActorRef, ActorSystem, Cluster, Datacenter, Remote

__all__ = ["nng_has_closed", "nng_has_started"]

COMMAND = Path(sysconfig.get_path("scripts"), "trioakt")
PATIENCE = 30.0
"""Seconds after which a test gives up; it passes much earlier."""


async def run(store: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command on the cluster in a store."""
    command = [str(COMMAND), "cluster", "--store", store, "--system", "town", *arguments]
    with trio.fail_after(PATIENCE):
        done = await trio.run_process(command, capture_stdout=True, capture_stderr=True, check=False)
    return subprocess.CompletedProcess(command, done.returncode, done.stdout.decode(), done.stderr.decode())


async def lines(store: str, *arguments: str) -> list[list[str]]:
    """Run the command, and return the words of each line that it shows."""
    done = await run(store, *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    return [line.split() for line in done.stdout.splitlines()]


def system_of(store: str, node: str, roles: Iterable[str] = (), datacenter: Datacenter | None = None) -> ActorSystem:
    remote = Remote("tcp://127.0.0.1:0", node=node, cookie="tests")
    cluster = Cluster(store, roles=roles, kinds=[Counter], lease_ttl=PATIENCE, datacenter=datacenter)
    return ActorSystem("town", remote=remote, cluster=cluster)


@asynccontextmanager
async def two_nodes(store: str) -> AsyncGenerator[tuple[ActorSystem, ActorSystem]]:
    """Have a node `a`, which has joined first and has the role `entity`, and a node `b`."""
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(system_of(store, "a", roles={"entity"}))
        second = await stack.enter_async_context(system_of(store, "b"))
        with trio.fail_after(PATIENCE):
            await first.cluster.wait_members(2)
        yield first, second


@pytest.fixture
def store(tmp_path: Path) -> str:
    """The URL of a file."""
    return f"sqlite://{tmp_path / 'town.db'}"


async def until_at(ref: ActorRef, address: str) -> None:
    """Wait until an actor lives at this node."""
    while True:
        if await ref.ask(Who()) == address:
            return
        await trio.sleep(0.01)


async def test_it_lists_the_datacenters_in_their_directory(store: str, tmp_path: Path) -> None:
    directory = f"sqlite://{tmp_path / 'directory.db'}"
    async with system_of(store, "a", datacenter=Datacenter("eu", directory=directory)) as system:
        with trio.fail_after(PATIENCE):
            await system.cluster.wait_datacenter("eu")
        assert await lines(directory, "datacenters") == [["eu", "active", system.address]]

    assert await lines(directory, "datacenters") == [["eu", "inactive", system.address]]


async def test_it_lists_the_members_the_oldest_first(store: str) -> None:
    async with two_nodes(store) as (first, second):
        shown = await lines(store, "members")

    (a, leader, at, roles, since), (b, member, there, none, _) = shown
    assert (a, leader, roles) == ("a", "leader", "roles=entity")
    assert (b, member, none) == ("b", "member", "roles=-")
    assert [at, there] == [first.address, second.address]
    assert re.fullmatch(r"since=\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", since)


async def test_it_lists_the_singletons_and_who_has_them(store: str) -> None:
    async with two_nodes(store) as (first, second):
        await first.spawn(Counter, name="ada", cluster=True)
        scheduler = await second.spawn_singleton(Counter, name="scheduler", role="entity")
        assert await scheduler.ask(Who()) == first.address

        ((name, kind, owner, token),) = await lines(store, "singletons")

    assert (name, owner) == ("scheduler", "owner=a")
    assert kind.endswith("Counter")
    assert re.fullmatch(r"token=\d+", token)


async def test_it_shows_who_owns_a_name(store: str) -> None:
    async with two_nodes(store) as (_, second):
        await second.spawn(Counter, name="ada", cluster=True)

        ((name, _, owner, _),) = await lines(store, "locate", "ada")

    assert (name, owner) == ("ada", "owner=b")


async def test_a_node_that_is_drained_hands_over_what_it_owns(store: str) -> None:
    async with two_nodes(store) as (first, second):
        ada = await first.spawn(Counter, 5, name="ada", cluster=True)

        assert await lines(store, "drain", "a") == [["a", "hands", "over", "what", "it", "owns"]]

        with trio.fail_after(PATIENCE):
            await until_at(ada, second.address)
        assert await ada.ask(Add(1)) == 6
        assert [state for _, state, *_ in await lines(store, "members")] == ["draining", "member"]
        ((_, _, owner, _),) = await lines(store, "locate", "ada")
        assert owner == "owner=b"


async def test_another_cluster_in_the_store_is_another_matter(store: str) -> None:
    async with two_nodes(store):
        assert await lines(store, "--name", "other", "members") == []


@pytest.mark.parametrize(
    ("arguments", "text"),
    [(["locate", "nobody"], "the cluster has no actor 'nobody'"), (["drain", "c"], "the cluster has no member 'c'")],
)
async def test_what_is_not_there_ends_it_with_1(store: str, arguments: list[str], text: str) -> None:
    async with two_nodes(store):
        done = await run(store, *arguments)

    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"trioakt: {text}\n")


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("town.db", "the URL of a store begins with one of"),
        ("redis://127.0.0.1:6379", "the URL of a store begins with one of"),
        ("sqlite://", "the URL of a file is"),
        ("sqlite:///nowhere/town.db", "/nowhere"),
        ("etcd://127.0.0.1:1", "etcd does not answer"),
    ],
)
async def test_a_store_that_cannot_be_reached_ends_it_with_2(url: str, text: str) -> None:
    done = await run(url, "members")

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("trioakt: ")
    assert text in done.stderr
    assert "Traceback" not in done.stderr


async def test_a_file_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    done = await run(f"sqlite://{tmp_path / 'typo.db'}", "members")

    assert (done.returncode, done.stdout) == (2, "")
    assert "typo.db" in done.stderr
    assert not await trio.Path(tmp_path, "typo.db").exists()


@pytest.mark.parametrize("arguments", [[], ["locate"], ["drain"], ["grow"]])
async def test_a_command_that_is_not_whole_ends_it_with_2(store: str, arguments: list[str]) -> None:
    done = await run(store, *arguments)

    assert (done.returncode, done.stdout) == (2, "")
    assert "usage: trioakt cluster" in done.stderr
