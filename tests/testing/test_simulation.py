"""Simulations: a seed decides about everything, nodes crash and come back, and broken promises are found."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.remote.nodes import Ping, Server, Slow
from tests.simulation.traffic import Note
from trioakt import ActorStoppedError, ActorSystem, ConnectionLostError, NodeUnreachableError
from trioakt.remote.peer import Peer
from trioakt.remote.records import Tell
from trioakt.remote.serving import Serving
from trioakt.testing import SimulatedNodes, Simulation

ROOT = Path(__file__).parents[2]


def at(node: ActorSystem, name: str) -> str:
    return f"{node.address}/user/{name}"


async def busy(sim: SimulatedNodes) -> None:
    """Let three nodes have much to do with each other over a bad network."""
    nodes = await sim.start_nodes(3)
    sim.delay(0.0, 0.2)
    sim.drop(0.01)
    for node in nodes:
        await node.spawn(Server, name="ada")
    async with trio.open_nursery() as nursery:
        for node in nodes:
            nursery.start_soon(use, sim, node, nodes)


async def use(sim: SimulatedNodes, node: ActorSystem, nodes: tuple[ActorSystem, ...]) -> None:
    for number in range(20):
        await trio.sleep(sim.rng.random())
        try:
            ada = await node.resolve(at(sim.rng.choice(nodes), "ada"))
            ada.tell(number)
            await ada.ask(Slow(sim.rng.random() / 10))
        except (ConnectionLostError, NodeUnreachableError):
            continue


def test_the_same_seed_does_the_same_again_and_another_one_something_else() -> None:
    first = Simulation(seed=42).run(busy)
    again = Simulation(seed=42).run(busy)
    assert first == again
    assert len(first.trace) > 100
    assert first.trace_hash != Simulation(seed=43).run(busy).trace_hash


def test_the_same_seed_does_the_same_in_every_process() -> None:
    program = "from tests.testing.test_simulation import *; print(Simulation(42).run(busy).trace_hash)"
    hashes = {
        subprocess.run(
            [sys.executable, "-c", program],
            check=True,
            capture_output=True,
            text=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)},
        ).stdout.strip()
        for hash_seed in ("1", "2")
    }
    assert hashes == {Simulation(42).run(busy).trace_hash}


def test_a_partition_is_noticed_and_heals() -> None:
    async def scenario(sim: SimulatedNodes) -> None:
        a, b, c = await sim.start_nodes(3, kinds=[Server])
        ada = await a.spawn_on(b.address, Server, name="ada")
        sim.partition({a}, {b, c})
        with pytest.raises(ConnectionLostError):
            await ada.ask(Ping())
        assert await (await c.resolve(at(b, "ada"))).ask(Ping("c")) == "pong c"
        sim.heal()
        await trio.sleep(6)
        assert await ada.ask(Ping("a")) == "pong a"

    result = Simulation().run(scenario)
    assert result.violations == ()
    assert result.virtual_seconds == 8.0
    assert {"partition", "LinkSuspected", "LinkLost", "heal", "LinkUp"} <= {entry.kind for entry in result.trace}


def test_a_one_way_partition_cuts_what_the_first_send() -> None:
    async def scenario(sim: SimulatedNodes) -> None:
        a, b = await sim.start_nodes(2)
        log: list[Any] = []
        there, here = await b.spawn(Server, name="ada"), await a.spawn(Server, log, name="eve")
        ada, eve = await a.resolve(there.address), await b.resolve(here.address)
        sim.partition({a}, {b}, one_way=True)
        eve.tell(1)
        with pytest.raises(ConnectionLostError):
            await ada.ask(Ping())
        assert log == [1]

    assert Simulation().run(scenario).violations == ()


def test_a_crashed_node_comes_back_as_another_incarnation() -> None:
    async def scenario(sim: SimulatedNodes) -> None:
        a, b = await sim.start_nodes(2, kinds=[Server])
        old = await a.spawn_on(b.address, Server, name="ada")
        await sim.crash(b)
        with pytest.raises(ConnectionLostError):
            await old.ask(Ping())
        again = await sim.restart(b)
        assert again is not b
        assert again.address == b.address
        await trio.sleep(6)
        new = await a.spawn_on(again.address, Server, name="ada")
        with pytest.raises(ActorStoppedError):
            await old.ask(Ping())
        assert await new.ask(Ping("new")) == "pong new"
        with pytest.raises(ValueError, match="another incarnation"):
            await sim.crash(b)

    assert Simulation().run(scenario).violations == ()


def test_a_node_that_runs_is_shut_down_before_it_is_started_again() -> None:
    async def scenario(sim: SimulatedNodes) -> None:
        a, b = await sim.start_nodes(2)
        ada = await a.resolve((await b.spawn(Server, name="ada")).address)
        await ada.ask(Ping())
        await sim.restart(b)

    result = Simulation().run(scenario)
    assert ("node-1", "node-2:1, its system has ended") in [(entry.node, entry.detail) for entry in result.trace]


def test_losses_and_delays_hold_for_all_links_or_for_one() -> None:
    async def scenario(sim: SimulatedNodes) -> None:
        a, b, c = await sim.start_nodes(3, kinds=[Server])
        slow, quick = [await a.spawn_on(node.address, Server) for node in (b, c)]
        sim.delay(1.0, 1.0, between=(a, b))
        begun = trio.current_time()
        await quick.ask(Ping())
        assert trio.current_time() == begun
        await slow.ask(Ping())
        assert trio.current_time() == begun + 2.0
        sim.drop(1.0, between=(c, a))
        with pytest.raises(ConnectionLostError):
            await quick.ask(Ping())
        await slow.ask(Ping())

    assert Simulation().run(scenario).violations == ()


def test_a_scenario_that_raises_does_so_with_the_seed_in_the_message() -> None:
    async def scenario(sim: SimulatedNodes, error: Exception) -> None:
        await sim.start_nodes(1)
        raise error

    with pytest.raises(ValueError, match=r"^no luck \(simulation seed 7\)$"):
        Simulation(seed=7).run(scenario, ValueError("no luck"))
    with pytest.raises(trio.TooSlowError, match="simulation seed 7"):
        Simulation(seed=7).run(scenario, trio.TooSlowError())


def test_a_node_that_fails_fails_the_simulation() -> None:
    class Doomed(Server):
        def pre_start(self, ctx: Any) -> None:
            ctx.nursery.start_soon(fail)

    async def fail() -> None:
        raise LookupError("no more")

    async def scenario(sim: SimulatedNodes) -> None:
        (a,) = await sim.start_nodes(1)
        await a.spawn(Doomed)
        await trio.sleep_forever()

    with pytest.raises(ExceptionGroup, match="simulation seed 7") as caught:
        Simulation(seed=7).run(scenario)
    assert caught.group_contains(LookupError)


def test_the_scheduler_of_trio_is_left_as_it_was() -> None:
    async def order() -> list[int]:
        ran: list[int] = []

        async def run(number: int) -> None:
            ran.append(number)

        async with trio.open_nursery() as nursery:
            for number in range(10):
                nursery.start_soon(run, number)
        return ran

    async def nothing(sim: SimulatedNodes) -> None:
        assert sorted(await order()) == list(range(10))

    module = vars(sys.modules["trio._core._run"])
    before: list[Any] = [module["_r"], module["_ALLOW_DETERMINISTIC_SCHEDULING"], gc.isenabled()]
    Simulation(seed=1).run(nothing)
    assert [module["_r"], module["_ALLOW_DETERMINISTIC_SCHEDULING"], gc.isenabled()] == before


# ------------------------------------------------------------------- broken promises


def twice(tell: Callable[[Serving, Tell], None]) -> Callable[[Serving, Tell], None]:
    def deliver(serving: Serving, record: Tell) -> None:
        tell(serving, record)
        tell(serving, record)

    return deliver


def swapped(tell: Callable[[Serving, Tell], None]) -> Callable[[Serving, Tell], None]:
    kept: list[Tell] = []

    def deliver(serving: Serving, record: Tell) -> None:
        kept.append(record)
        if len(kept) == 2:
            tell(serving, kept.pop())
            tell(serving, kept.pop())

    return deliver


@pytest.mark.parametrize(("channel", "found"), [(twice, "came twice"), (swapped, "came after one that was sent later")])
def test_a_channel_that_breaks_the_order_is_found(
    monkeypatch: pytest.MonkeyPatch, channel: Callable[[Any], Any], found: str
) -> None:
    async def scenario(sim: SimulatedNodes) -> None:
        a, b = await sim.start_nodes(2, kinds=[Server])
        ada = await a.spawn_on(b.address, Server, name="ada")
        ada.tell(Note(1))
        ada.tell(Note(2))

    monkeypatch.setattr(Serving, "_tell", channel(vars(Serving)["_tell"]))
    violations = Simulation().run(scenario).violations
    assert any(f"to trioakt://simulation@node-2:1/user/ada {found}" in each for each in violations)


def test_an_ask_that_is_forgotten_with_its_link_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(sim: SimulatedNodes) -> None:
        a, b = await sim.start_nodes(2, kinds=[Server])
        ada = await a.spawn_on(b.address, Server, name="ada")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ada.ask, Slow(60))
            await trio.sleep(1)
            await sim.crash(b)
            await trio.sleep(10)
            nursery.cancel_scope.cancel()

    def forget(peer: Peer, reason: str) -> None:
        peer.session = None

    monkeypatch.setattr(Peer, "closed", forget)
    (violation,) = Simulation().run(scenario).violations
    assert violation.startswith("an ask of node-1, Slow, waits for trioakt://simulation@node-2:1/user/ada")


def test_a_message_for_an_earlier_incarnation_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(sim: SimulatedNodes) -> None:
        a, b = await sim.start_nodes(2, kinds=[Server])
        old = await a.spawn_on(b.address, Server, name="ada")
        old.tell(Note(1))
        await trio.sleep(1)
        b = await sim.restart(b)
        await trio.sleep(6)
        await a.spawn_on(b.address, Server, name="ada")
        old.tell(Note(2))
        await trio.sleep(1)

    monkeypatch.setattr("trioakt.remote.recipient.RemoteRecipient.is_alive", True)
    monkeypatch.setattr(Peer, "_put", careless(vars(Peer)["_put"]))
    (violation,) = Simulation().run(scenario).violations
    assert "Note to trioakt://simulation@node-2:1/user/ada was meant for another incarnation" in violation


def careless(put: Callable[..., None]) -> Callable[..., None]:
    def put_for_any(peer: Peer, incarnation: bytes | None, record: Any, letter: Any) -> None:
        put(peer, None, record, letter)

    return put_for_any
