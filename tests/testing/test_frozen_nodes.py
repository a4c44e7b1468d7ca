"""Frozen nodes of a simulation: nothing of them runs, all else goes on, and what they miss is there when they thaw."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio

from tests.remote.nodes import Ping, Server, Slow
from trioakt import ActorSystem, ConnectionLostError, Context
from trioakt.cluster import lease
from trioakt.testing import SimulatedNodes, Simulation, SimulationResult


class Ticker(Server):
    """Notes the seconds in a task of its own."""

    def pre_start(self, ctx: Context) -> None:
        ctx.nursery.start_soon(self.tick)

    async def tick(self) -> None:
        while True:
            self.log.append(trio.current_time())
            await trio.sleep(1)


def simulate(
    scenario: Callable[[SimulatedNodes, ActorSystem, ActorSystem], Awaitable[None]], seed: int = 0
) -> SimulationResult:
    """Run a scenario with two nodes, and see that all promises were kept."""

    async def run(sim: SimulatedNodes) -> None:
        a, b = await sim.start_nodes(2, kinds=[Server])
        await scenario(sim, a, b)

    result = Simulation(seed).run(run)
    assert result.violations == ()
    return result


def test_nothing_of_a_frozen_node_runs_and_what_has_become_due_happens_once_it_thaws() -> None:
    log: list[Any] = []

    async def scenario(sim: SimulatedNodes, a: ActorSystem, b: ActorSystem) -> None:
        await a.spawn(Ticker, log)
        await trio.sleep(1.5)
        sim.freeze(a)
        await trio.sleep(2.2)
        assert log == [0.0, 1.0]
        sim.thaw(a)
        await trio.sleep(1.5)

    simulate(scenario)
    assert log[:4] == pytest.approx([0.0, 1.0, 3.7, 4.7])


def test_messages_for_a_frozen_node_wait_and_come_in_their_order() -> None:
    log: list[Any] = []

    async def scenario(sim: SimulatedNodes, a: ActorSystem, b: ActorSystem) -> None:
        ada = await b.resolve((await a.spawn(Server, log, name="ada")).address)
        sim.freeze(a)
        for number in range(5):
            ada.tell(number)
            await trio.sleep(0.1)
        assert log == []
        sim.thaw(a)
        assert await ada.ask(Ping()) == "pong "
        assert log[:5] == [0, 1, 2, 3, 4]

    simulate(scenario)


def test_a_node_that_is_frozen_for_long_is_given_up_by_others_and_reached_again_after_the_thaw() -> None:
    async def scenario(sim: SimulatedNodes, a: ActorSystem, b: ActorSystem) -> None:
        ada = await b.resolve((await a.spawn(Server, name="ada")).address)
        sim.freeze(a)
        with pytest.raises(ConnectionLostError):
            await ada.ask(Ping())
        assert trio.current_time() == 2.0
        await trio.sleep(1)
        sim.thaw(a)
        await trio.sleep(6)
        assert await ada.ask(Ping()) == "pong "

    result = simulate(scenario)
    assert [entry.node for entry in result.trace if entry.kind == "LinkLost"][:2] == ["node-2", "node-1"]


def test_what_is_cancelled_or_fails_while_its_node_is_frozen_ends_as_ever_after_the_thaw() -> None:
    async def scenario(sim: SimulatedNodes, a: ActorSystem, b: ActorSystem) -> None:
        async def ask() -> None:
            with trio.move_on_after(0.5) as patience:
                await ada.ask(Slow(60))
            assert patience.cancelled_caught
            assert trio.current_time() == 1.0
            raise LookupError("no more")

        async def stand_still() -> None:
            await trio.sleep(0.1)
            sim.freeze(a)
            await trio.sleep(0.9)
            sim.thaw(a)

        ada = await a.spawn(Server, name="ada")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stand_still)
            with pytest.raises(LookupError, match="no more"):
                await sim.run_on(a, ask)

    simulate(scenario)


def test_what_the_scenario_runs_on_a_node_is_frozen_with_it_and_so_are_the_tasks_that_it_starts() -> None:
    async def scenario(sim: SimulatedNodes, a: ActorSystem, b: ActorSystem) -> None:
        woken: list[float] = []

        async def sleep() -> None:
            await trio.sleep(0.5)
            woken.append(trio.current_time())

        async def sleep_twice() -> None:
            async with trio.open_nursery() as inner:
                inner.start_soon(sleep)
                inner.start_soon(sleep)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(sim.run_on, a, sleep_twice)
            nursery.start_soon(sleep)
            await trio.sleep(0.1)
            sim.freeze(a)
            await trio.sleep(0.9)
            sim.thaw(a)
        assert woken == [0.5, 1.0, 1.0]

    simulate(scenario)


def test_a_frozen_node_that_crashes_ends_and_one_that_is_started_again_does_too() -> None:
    async def scenario(sim: SimulatedNodes, a: ActorSystem, b: ActorSystem) -> None:
        sim.freeze(a)
        await sim.crash(a)
        again = await sim.restart(a)
        sim.freeze(b)
        await trio.sleep(1)
        await sim.restart(b)
        await again.cluster.wait_members(2)
        for call in (sim.freeze, sim.thaw):
            with pytest.raises(ValueError, match="does not run any more"):
                call(a)

    simulate(scenario)


def test_a_node_that_is_still_frozen_when_the_scenario_ends_is_thawed() -> None:
    async def scenario(sim: SimulatedNodes, a: ActorSystem, b: ActorSystem) -> None:
        sim.thaw(a)
        sim.freeze(a)
        sim.freeze(a)
        await trio.sleep(1)

    trace = simulate(scenario).trace
    assert [entry.kind for entry in trace if entry.subject == "node-1"] == ["start", "freeze", "thaw"]


def test_a_scenario_that_raises_while_a_node_is_frozen_ends() -> None:
    async def scenario(sim: SimulatedNodes, a: ActorSystem, b: ActorSystem) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(sim.run_on, a, trio.sleep_forever)
            await trio.sleep(1)
            sim.freeze(a)
            await trio.sleep(1)
            raise ValueError("no luck")

    with pytest.raises(ExceptionGroup) as caught:
        simulate(scenario)
    assert caught.group_contains(ValueError, match="no luck")


async def freeze_the_owner(sim: SimulatedNodes, a: ActorSystem, b: ActorSystem) -> None:
    await a.spawn(Server, name="ada", cluster=True)
    ref = await b.locate("ada")
    assert ref is not None
    sim.delay(0.0, 0.1)
    for number in range(10):
        ref.tell(number)
    await trio.sleep(0.5)
    sim.freeze(a)
    ref.tell("more")
    await trio.sleep(7)
    sim.thaw(a)
    await trio.sleep(2)


def test_the_same_seed_freezes_and_thaws_in_the_same_way() -> None:
    hashes = [simulate(freeze_the_owner, seed).trace_hash for seed in (1, 1, 2)]
    assert hashes[0] == hashes[1] != hashes[2]


def test_an_owner_that_does_not_notice_how_long_it_was_frozen_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    async def notice_nothing(*_: object) -> None:
        await trio.sleep_forever()

    async def scenario(sim: SimulatedNodes) -> None:
        a, b = await sim.start_nodes(2, kinds=[Server])
        monkeypatch.setattr(lease, "_expire", notice_nothing)
        monkeypatch.setattr(lease, "_renew", notice_nothing)
        a = await sim.restart(a)
        await freeze_the_owner(sim, a, b)
        ada = a.actor("ada")
        assert ada is not None
        ada.tell("still there?")

    violations = Simulation().run(scenario).violations
    assert any(each.startswith("node-1, thawed at 7.5") and "still owns ada" in each for each in violations)
    assert any(each.startswith("node-1 handles str for ada with the token") for each in violations)
