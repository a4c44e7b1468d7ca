"""Programs that are no node reach the actors of a system: on which node, when nodes fail, and what they are told."""

from __future__ import annotations

import threading
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from tests.cluster.nodes import Add, Counter
from tests.grains.kinds import Plain
from tests.remote.authority import Authority
from tests.remote.nodes import Meet, Net, Ping, Server, Slow, nodes
from trioakt import (
    ActorNotFoundError,
    ActorSystem,
    Client,
    Cluster,
    ConnectionLostError,
    MemoryStore,
    NameTakenError,
    NodeUnreachableError,
    Remote,
    StartError,
    connect,
    open_client,
)
from trioakt.testing import MemoryNetwork

ADA = "/user/ada"


@asynccontextmanager
async def client_of(net: Net, *hosts: str, **settings: Any) -> AsyncGenerator[Client]:
    """Open a client of the nodes on these hosts, which is on a host of its own."""
    addresses = [f"mem://{host}:1" for host in hosts]
    async with open_client(
        addresses, listen="mem://client:1", transport=net.network.transport("client"), **settings
    ) as client:
        yield client


async def crew(net: Net) -> dict[str, list[Any]]:
    """Let an actor live at the same path of each node, and return what each gets."""
    logs: dict[str, list[Any]] = {host: [] for host in net.systems}
    for host, system in net.systems.items():
        await system.spawn(Server, logs[host], name="ada")
    return logs


async def test_an_actor_is_asked_by_its_path(autojump_clock: MockClock) -> None:
    async with nodes("a", cookie="secret") as net, client_of(net, "a", cookie="secret") as client:
        await crew(net)
        assert await client.ask(ADA, Ping("yes")) == "pong yes"
        assert await client.ask("ada", Ping()) == "pong "
        with pytest.raises(ActorNotFoundError):
            await client.ask("/user/nobody", Ping())


async def test_what_is_sent_has_arrived(autojump_clock: MockClock) -> None:
    async with nodes("a") as net, client_of(net, "a") as client:
        logs = await crew(net)
        for number in range(10):
            await client.send(ADA, number)
        await client.ask(ADA, Ping())
        assert logs["a"][:-1] == list(range(10))


async def test_an_actor_is_looked_up_and_watched(autojump_clock: MockClock) -> None:
    async with nodes("a") as net, client_of(net, "a") as client:
        await crew(net)
        ref = await client.lookup(ADA)
        assert ref.address == "trioakt://bank@a:1/user/ada"
        assert await ref.ask(Ping("yes")) == "pong yes"
        ref.stop()
        await ref.wait_stopped()


async def test_registered_kinds_are_spawned(autojump_clock: MockClock) -> None:
    async with nodes("a", kinds=[Server]) as net, client_of(net, "a") as client:
        eve = await client.spawn(Server, name="eve")
        assert await eve.ask(Ping()) == "pong "
        with pytest.raises(NameTakenError):
            await client.spawn(Server, name="eve")
    async with nodes("a") as net, client_of(net, "a") as client:
        with pytest.raises(StartError, match="registered no kind"):
            await client.spawn(Server)


async def test_refs_of_other_nodes_are_good_in_a_client(autojump_clock: MockClock) -> None:
    async with nodes("a", "b") as net, client_of(net, "a") as client:
        await crew(net)
        far = await net.systems["a"].resolve("trioakt://bank@b:1/user/ada")
        echo = await net.systems["a"].spawn_func(lambda ctx, msg: ctx.reply(far), name="echo")
        assert await (await client.ask("/user/echo", "who?")).ask(Ping("far")) == "pong far"
        near = await client.lookup(echo.path)
        assert (await client.ask(ADA, Meet(near))).address == far.address


async def test_requests_go_round(autojump_clock: MockClock) -> None:
    async with nodes("a", "b", "c") as net, client_of(net, "a", "b", "c") as client:
        logs = await crew(net)
        await trio.sleep(1)
        for _ in range(9):
            await client.ask(ADA, Ping())
        assert [len(log) for log in logs.values()] == [3, 3, 3]


async def test_requests_go_anywhere(autojump_clock: MockClock) -> None:
    async with nodes("a", "b") as net, client_of(net, "a", "b", balancing="random", rng=Random(7)) as client:
        logs = await crew(net)
        await trio.sleep(1)
        for number in range(100):
            await client.ask(ADA, Ping(str(number)))
        assert all(len(log) > 30 for log in logs.values())
        assert [int(ping.text) % 2 for ping in logs["a"]] != [int(logs["a"][0].text) % 2] * len(logs["a"])


async def test_requests_go_where_the_fewest_are_under_way(autojump_clock: MockClock) -> None:
    async with nodes("a", "b") as net, client_of(net, "a", "b", balancing="least_loaded") as client:
        logs = await crew(net)
        await trio.sleep(1)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.ask, ADA, Slow(60))
            await trio.sleep(0.1)
            for _ in range(10):
                await client.ask(ADA, Ping())
        assert sorted(len(log) for log in logs.values()) == [2, 10]


async def test_a_node_that_is_gone_is_passed_over_and_used_again_when_it_is_back(autojump_clock: MockClock) -> None:
    async with nodes("a", "b") as net, client_of(net, "a", "b") as client:
        await crew(net)
        await trio.sleep(1)
        net.crash("a")
        await trio.sleep(5)
        for _ in range(10):
            begun = trio.current_time()
            assert await client.ask(ADA, Ping()) == "pong "
            assert trio.current_time() - begun < 0.1
        again = await net.start("a")
        log: list[Any] = []
        await again.spawn(Server, log, name="ada")
        for _ in range(10):
            await trio.sleep(1)
            await client.ask(ADA, Ping())
        assert len(log) >= 2


async def test_a_client_opens_as_long_as_one_node_is_there(autojump_clock: MockClock) -> None:
    async with nodes("b") as net, client_of(net, "nowhere", "b", "elsewhere") as client:
        await crew(net)
        for _ in range(6):
            assert await client.ask(ADA, Ping()) == "pong "


async def test_without_any_node_or_the_cookie_there_is_no_client(autojump_clock: MockClock) -> None:
    async with nodes("a", cookie="secret") as net:
        for hosts, reason in (
            (["x", "y"], "nobody listens at mem://x:1|nobody listens at mem://y:1"),
            (["a"], "the link to a:1 was lost"),
        ):
            with pytest.raises(NodeUnreachableError, match=reason):
                async with client_of(net, *hosts, cookie="guess"):
                    pass


async def test_a_request_that_may_have_been_handled_is_not_made_again(autojump_clock: MockClock) -> None:
    async with nodes("a", "b") as net, client_of(net, "a", "b") as client:
        logs = await crew(net)
        await trio.sleep(1)

        async def crash() -> None:
            await trio.sleep(0.1)
            net.crash("a" if logs["a"] else "b")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(crash)
            with pytest.raises(ConnectionLostError) as caught:
                await client.ask(ADA, Slow(60))
        assert caught.value.outcome == "unknown"
        assert sum(len([each for each in log if isinstance(each, Slow)]) for log in logs.values()) == 1


async def test_a_request_given_up_is_given_up_there_too(autojump_clock: MockClock) -> None:
    async with nodes("a") as net, client_of(net, "a") as client:
        logs = await crew(net)
        with trio.move_on_after(1):
            await client.ask(ADA, Slow(5))
        with trio.move_on_after(1):
            await client.ask(ADA, Ping("too late"))
        await trio.sleep(10)
        assert logs["a"] == [Slow(5), "awake"]


async def test_a_client_belongs_to_the_system_that_it_met_first(autojump_clock: MockClock) -> None:
    network = MemoryNetwork()
    here, there = (
        Remote("mem://a:1", transport=network.transport("a")),
        Remote("mem://b:1", transport=network.transport("b")),
    )
    async with (
        ActorSystem("bank", remote=here) as bank,
        ActorSystem("shop", remote=there) as shop,
        open_client(["mem://a:1", "mem://b:1"], listen="mem://c:1", transport=network.transport("c")) as client,
    ):
        logs: list[list[Any]] = [[], []]
        for system, log in zip((bank, shop), logs, strict=True):
            await system.spawn(Server, log, name="ada")
        for _ in range(10):
            await client.ask(ADA, Ping())
            await trio.sleep(1)
        assert sorted(map(len, logs)) == [0, 10]


async def test_a_closed_client_makes_no_more_calls(autojump_clock: MockClock) -> None:
    async with nodes("a") as net:
        async with client_of(net, "a") as client:
            pass
        with pytest.raises(RuntimeError, match="closed"):
            await client.ask(ADA, Ping())


@pytest.mark.parametrize("addresses", [[], ["127.0.0.1:4041"], ["tcp://here"], ["tcp://a:1", "tls+tcp://b:1"]])
async def test_bad_addresses_are_refused(addresses: list[str]) -> None:
    with pytest.raises(ValueError, match="address"):
        async with open_client(addresses):
            pass


async def test_a_bad_way_of_balancing_is_refused() -> None:
    bad: Any = "sometimes"
    with pytest.raises(ValueError, match="round_robin, random, least_loaded"):
        async with open_client(["tcp://127.0.0.1:1"], balancing=bad):
            pass


async def test_a_script_reaches_a_system_over_real_sockets() -> None:
    def script() -> list[Any]:
        with connect([f"tcp://{system.node}"], cookie="secret") as client:
            client.send(ADA, "nothing")
            eve = client.spawn(Server, name="eve")
            answers = [client.ask(ADA, Ping("script")), client.ask("eve", Ping()), client.lookup("eve") == eve]
            with pytest.raises(TimeoutError):
                client.ask(ADA, Slow(60), timeout=0.05)
        with pytest.raises(RuntimeError, match="closed"):
            client.ask(ADA, Ping())
        return answers

    async with ActorSystem("bank", remote=Remote(cookie="secret", kinds=(Server,))) as system:
        ada = await system.spawn(Server, name="ada")
        assert await trio.to_thread.run_sync(script) == ["pong script", "pong ", True]
        ada.kill()


async def test_a_client_with_a_certificate_is_let_in_under_its_name(authority: Authority) -> None:
    remote = Remote("tls+tcp://127.0.0.1:0", node="b", tls=authority.tls("b", "127.0.0.1"))
    tls = authority.tls("web", "127.0.0.1")
    async with ActorSystem("bank", remote=remote) as system:
        await system.spawn(Server, name="ada")
        address = f"tls+tcp://{system.node}"
        async with open_client([address], tls=tls, node="web") as client:
            assert await client.ask(ADA, Ping()) == "pong "
        with pytest.raises(NodeUnreachableError):
            async with open_client([address], tls=tls, node="somebody"):
                pass


async def test_a_script_asks_an_actor_that_has_a_name_in_the_cluster() -> None:
    def script(address: str) -> int:
        with connect([address], cluster=True) as client:
            ada = client.locate("ada", timeout=10)
            assert ada is not None
            client.send(ada, Add(1), timeout=10)
            assert client.locate("eve", timeout=10) is None
            return client.ask(ada, Add(1), timeout=10)

    cluster = Cluster(MemoryStore(), kinds=[Counter])
    async with ActorSystem("bank", remote=Remote(), cluster=cluster) as system:
        await system.spawn(Counter, 5, name="ada", cluster=True)
        assert await trio.to_thread.run_sync(script, f"tcp://{system.node}") == 7


async def test_a_script_asks_a_grain() -> None:
    def script(address: str) -> Any:
        with connect([address], cluster=True) as client:
            ada = client.grain(Plain, "ada")
            client.send(ada, "hello", timeout=10)
            return client.ask(ada, "hello", timeout=10)

    async with ActorSystem("bank", remote=Remote(), cluster=Cluster(MemoryStore(), grains=[Plain])) as system:
        assert await trio.to_thread.run_sync(script, f"tcp://{system.node}") == ("ada", "hello")


def test_a_script_is_told_that_nobody_is_there() -> None:
    with pytest.raises(NodeUnreachableError), connect(["tcp://127.0.0.1:1"]):
        pass
    assert not any(thread.name == "trioakt client" for thread in threading.enumerate())
