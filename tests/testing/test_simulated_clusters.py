"""Simulations of clusters: nodes share a store that fails when it is told to, and broken promises are found."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.simulation.estate import Register, Work, Worker
from trioakt import ActorSystem, Context, Grain, Never, NoQuorumError
from trioakt.cluster import lease
from trioakt.cluster.handover import HandOver
from trioakt.cluster.holdings import Holding, Holdings
from trioakt.testing import SimulatedNodes, Simulation, SimulationResult

ROOT = Path(__file__).parents[2]


class Clerk(Grain):
    """Answers with the token, and is there again at once."""

    passivation = Never()
    relocation = "eager"

    def receive(self, ctx: Context, msg: object) -> None:
        if isinstance(msg, Work):
            ctx.reply(ctx.fencing_token)


async def start(sim: SimulatedNodes, count: int = 2, **options: Any) -> tuple[ActorSystem, ...]:
    return await sim.start_nodes(count, kinds=[Worker], extensions=[Register()], **options)


def moments(result: SimulationResult, kind: str, subject: str = "") -> list[tuple[float, str]]:
    return [(each.at, each.node) for each in result.trace if each.kind == kind and each.subject.endswith(subject)]


async def worker_of_a_crashed_node(sim: SimulatedNodes) -> None:
    a, b = await start(sim)
    ref = await a.spawn(Worker, 1, 0.0, name="ada", cluster=True)
    before = await ref.ask(Work(0.0))
    found = await b.locate("ada")
    assert found is not None
    await sim.crash(a)
    await trio.sleep(7)
    assert await found.ask(Work(0.0)) > before


def test_an_actor_of_a_crashed_node_is_taken_over_when_the_lease_has_lapsed_and_not_before() -> None:
    result = Simulation().run(worker_of_a_crashed_node)
    assert result.violations == ()
    assert moments(result, "ActorStarted", "/ada") == [(0.0, "node-1"), (5.0, "node-2")]


def test_a_node_that_is_cut_off_from_the_store_too_stops_owning_and_comes_back_when_all_is_healed() -> None:
    async def scenario(sim: SimulatedNodes) -> None:
        a, b = await start(sim)
        await a.spawn(Worker, 1, 0.0, name="ada", cluster=True)
        sim.partition({a}, {b}, store=True)
        await trio.sleep(8)
        with pytest.raises(NoQuorumError):
            await a.locate("nobody")
        sim.heal()
        await a.cluster.wait_members(2)

    result = Simulation().run(scenario)
    assert result.violations == ()
    ((lost, _),) = moments(result, "MembershipLost")
    assert moments(result, "ActorStarted", "/ada")[1][1] == "node-2"
    assert lost < moments(result, "ActorStarted", "/ada")[1][0]


def test_a_crashed_node_that_is_healed_stays_away_until_it_is_started_again() -> None:
    async def scenario(sim: SimulatedNodes) -> None:
        a, b = await start(sim)
        await sim.crash(a)
        sim.heal()
        sim.store.heal()
        await trio.sleep(7)
        assert [member.node for member in b.cluster.members()] == ["node-2"]
        await sim.restart(a)
        await b.cluster.wait_members(2)

    assert Simulation().run(scenario).violations == ()


def test_all_faults_of_the_store_are_in_the_trace_and_end_with_the_scenario() -> None:
    async def scenario(sim: SimulatedNodes) -> None:
        await start(sim)
        sim.store.delay(0.0, 0.1)
        sim.store.expire("node-1")
        sim.store.forget()
        sim.store.partition("node-2")
        sim.store.freeze()

    result = Simulation().run(scenario)
    assert result.violations == ()
    faults = [entry.kind for entry in result.trace if entry.subject == "store"]
    assert faults == ["delay", "expire", "forget", "partition", "freeze", "heal", "thaw", "delay"]


def test_clocks_on_the_wall_differ_by_as_much_as_is_said() -> None:
    async def scenario(sim: SimulatedNodes) -> None:
        for node in await start(sim, 5):
            assert node.settings.wall_clock() == 1_700_000_000.0 + trio.current_time()
        clocks = {node.settings.wall_clock() - trio.current_time() for node in await start(sim, 5, skew=10.0)}
        assert len(clocks) == 5
        assert all(abs(clock - 1_700_000_000.0) <= 10.0 for clock in clocks)

    assert Simulation().run(scenario).violations == ()


async def start_grains(sim: SimulatedNodes, count: int = 2) -> tuple[ActorSystem, ...]:
    nodes = await sim.start_nodes(count, grains=[Clerk])
    for number in range(10):
        await nodes[0].grain(Clerk, str(number)).ask(Work(0.0))
    return nodes


def test_grains_are_active_on_the_nodes_of_a_simulation_and_on_those_that_are_started_again() -> None:
    async def scenario(sim: SimulatedNodes) -> None:
        a, b = await start_grains(sim)
        before = await a.grain(Clerk, "1").ask(Work(0.0))
        assert await b.grain(Clerk, "1").ask(Work(0.0)) == before
        await sim.crash(a)
        await sim.crash(b)
        await trio.sleep(7)
        a = await sim.restart(a)
        assert await a.grain(Clerk, "1").ask(Work(0.0)) > before

    assert Simulation().run(scenario).violations == ()


def test_nodes_without_a_cluster_have_none() -> None:
    async def scenario(sim: SimulatedNodes) -> None:
        (a,) = await start(sim, 1, cluster=False)
        with pytest.raises(RuntimeError, match="no cluster"):
            _ = a.cluster

    assert Simulation().run(scenario).violations == ()


def test_a_cluster_does_the_same_in_every_process() -> None:
    program = "from tests.simulation.test_cluster import *; print(Simulation(105).run(scenario, Register()).trace_hash)"
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
    assert len(hashes) == 1


# ------------------------------------------------------------------- broken promises


def ignore(*_: object) -> None:
    """Do nothing, in the place of a method."""


def test_an_owner_that_goes_on_without_a_lease_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(sim: SimulatedNodes) -> None:
        a, b = await start(sim)
        ref = await a.spawn(Worker, 1, 0.0, name="ada", cluster=True)
        sim.partition({a}, {b}, store=True)
        await trio.sleep(6)
        await ref.ask(Work(0.0))

    monkeypatch.setattr(lease, "_MARGIN", -1.0)
    violations = Simulation().run(scenario).violations
    assert any("ada has two owners: node-1" in each for each in violations)
    assert any("node-1 handles Work for ada with the token" in each for each in violations)


def test_a_grain_that_goes_on_without_a_lease_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(sim: SimulatedNodes) -> None:
        a, b = await start_grains(sim)
        sim.partition({a}, {b}, store=True)
        await trio.sleep(6)
        for number in range(10):
            a.grain(Clerk, str(number)).tell("still there?")

    monkeypatch.setattr(lease, "_MARGIN", -1.0)
    violations = Simulation().run(scenario).violations
    assert any("Clerk/" in each and "has two owners: node-1" in each for each in violations)
    assert any("node-1 handles str for" in each and "Clerk/" in each for each in violations)


def test_a_grain_that_is_active_at_its_next_owner_before_it_has_ended_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scenario(sim: SimulatedNodes) -> None:
        a, _ = await start_grains(sim)
        await a.cluster.drain()

    async def hurry(hand_over: HandOver, holding: Holding) -> None:
        await hand_over.disown(holding)

    monkeypatch.setattr(HandOver, "_end", hurry)
    assert any("has two owners: node-1" in each for each in Simulation().run(scenario).violations)


def test_a_name_that_nobody_takes_over_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(sim: SimulatedNodes) -> None:
        a, _ = await start(sim)
        await a.spawn(Worker, 1, 0.0, name="ada", cluster=True)
        monkeypatch.setattr(Holdings, "_claim_all", ignore)
        await sim.crash(a)

    (violation,) = Simulation().run(scenario).violations
    assert violation.startswith("nobody serves ada, its owner is None")


def test_an_actor_that_outlives_its_name_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(sim: SimulatedNodes) -> None:
        (a,) = await start(sim, 1)
        await a.spawn(Worker, 1, 0.0, name="ada", cluster=True)
        monkeypatch.setattr(Holdings, "hear", ignore)
        token = sim.store.token("trioakt/simulation/default/names/ada")
        assert token is not None
        await sim.store.delete("trioakt/simulation/default/names/ada", token)

    (violation,) = Simulation().run(scenario).violations
    assert violation.startswith("ada lives on at node-1")


def test_a_lease_that_is_left_behind_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    async def forget(*_: object) -> None:
        await trio.lowlevel.checkpoint()

    monkeypatch.setattr("trioakt.cluster.memory._Link.revoke_lease", forget)
    assert any("left behind: 1 leases" in each for each in Simulation().run(one_node).violations)


async def one_node(sim: SimulatedNodes) -> None:
    await start(sim, 1)
