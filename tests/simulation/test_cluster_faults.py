"""What once went wrong in a cluster under faults, each alone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio

from tests.simulation.estate import Register, Work, Worker
from trioakt import Actor, ActorRef, ActorStoppedError, ActorSystem, Context
from trioakt.cluster.events import RelocationFailed
from trioakt.testing import SimulatedNodes, Simulation, SimulationResult

TTL = 5.0


class Late(Actor):
    """Starts at the beginning, and then only after half a minute."""

    def pre_start(self, ctx: Context) -> None:
        if 0 < trio.current_time() < 30:
            raise LookupError("not yet")

    def receive(self, ctx: Context, msg: object) -> None:
        ctx.unhandled()


def simulate(scenario: Callable[[SimulatedNodes, ActorSystem, ActorSystem], Awaitable[None]]) -> SimulationResult:
    """Run a scenario with two nodes, and see that all promises were kept."""

    async def run(sim: SimulatedNodes) -> None:
        a, b = await sim.start_nodes(2, kinds=[Worker, Late], extensions=[Register()])
        await scenario(sim, a, b)

    result = Simulation().run(run)
    assert result.violations == ()
    return result


async def located(node: ActorSystem, name: str) -> ActorRef[Any]:
    ref = await node.locate(name)
    assert ref is not None
    return ref


def test_a_node_that_was_cut_off_from_the_store_does_not_stop_what_it_owns_for_what_is_long_past() -> None:
    async def scenario(sim: SimulatedNodes, a: ActorSystem, b: ActorSystem) -> None:
        first = await a.spawn(Worker, 1, 0.0, name="ada", cluster=True)
        first.stop()
        await first.wait_stopped()
        second = await a.spawn(Worker, 2, 0.0, name="ada", cluster=True)
        before = await second.ask(Work(0.0))
        sim.store.partition("node-1")
        await trio.sleep(3)
        sim.store.heal()
        await trio.sleep(TTL)
        assert await second.ask(Work(0.0)) == before

    simulate(scenario)


def test_an_actor_that_is_stopped_while_it_starts_never_works() -> None:
    async def scenario(sim: SimulatedNodes, a: ActorSystem, b: ActorSystem) -> None:
        with trio.move_on_after(0.1):
            await a.spawn(Worker, 1, 2.0, name="ada", cluster=True)
        ref = await located(b, "ada")
        ref.stop()
        await ref.wait_stopped()
        await trio.sleep(TTL)
        assert a.actor("ada") is None

    assert "ActorStarted" not in [entry.kind for entry in simulate(scenario).trace if entry.subject.endswith("/ada")]


def test_the_end_of_an_actor_whose_node_is_cut_off_from_the_store_is_waited_for() -> None:
    async def scenario(sim: SimulatedNodes, a: ActorSystem, b: ActorSystem) -> None:
        with trio.move_on_after(0.1):
            await a.spawn(Worker, 1, 2.0, name="ada", cluster=True)
        sim.store.partition("node-1")
        ref = await located(b, "ada")
        ref.stop()
        await ref.wait_stopped()
        assert trio.current_time() >= TTL
        actor = a.actor("ada")
        assert actor is None or not actor.is_alive

    simulate(scenario)


def test_an_actor_whose_lease_is_lost_while_it_starts_does_not_live_on_beside_the_next_one() -> None:
    async def scenario(sim: SimulatedNodes, a: ActorSystem, b: ActorSystem) -> None:
        with trio.move_on_after(0.1):
            await a.spawn(Worker, 1, 3.0, name="ada", cluster=True)
        sim.store.expire("node-1")
        await trio.sleep(3 * TTL)
        await (await located(a, "ada")).ask(Work(0.0))
        assert [node.actor("ada") is None for node in (a, b)] in ([True, False], [False, True])

    simulate(scenario)


def test_a_spawn_that_is_cancelled_leaves_an_actor_that_serves_or_none() -> None:
    async def scenario(sim: SimulatedNodes, a: ActorSystem, b: ActorSystem) -> None:
        with trio.move_on_after(0.5) as patience:
            await a.spawn(Worker, 1, 1.0, name="ada", cluster=True)
        assert patience.cancelled_caught
        ref = await b.locate("ada")
        if ref is not None:
            await ref.ask(Work(0.0))

    simulate(scenario)


def test_what_cannot_start_is_tried_again_at_a_bounded_rate() -> None:
    async def scenario(sim: SimulatedNodes, a: ActorSystem, b: ActorSystem) -> None:
        await a.spawn(Late, name="ada", cluster=True)
        await sim.crash(a)
        await trio.sleep_until(30)

    result = simulate(scenario)
    assert 3 < len([entry for entry in result.trace if entry.kind == RelocationFailed.__name__]) < 12


def test_an_ask_that_waits_for_an_owner_ends_with_its_node() -> None:
    async def scenario(sim: SimulatedNodes, a: ActorSystem, b: ActorSystem) -> None:
        with trio.move_on_after(0.1):
            await a.spawn(Worker, 1, 3.0, name="ada", cluster=True)
        ref = await located(b, "ada")

        async def ask() -> None:
            with pytest.raises(ActorStoppedError):
                await ref.ask(Work(0.0))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            await trio.sleep(0.1)
            await sim.crash(b)

    simulate(scenario)


def test_an_actor_that_is_stopped_finishes_its_message_before_its_node_lets_go_of_it_and_moves_nowhere() -> None:
    async def scenario(sim: SimulatedNodes, a: ActorSystem, b: ActorSystem) -> None:
        ref = await a.spawn(Worker, 1, 0.0, name="ada", cluster=True)
        ref.tell(Work(2.0))
        await trio.sleep(0.1)
        ref.stop()
        await a.cluster.drain()
        assert trio.current_time() >= 2.0
        await ref.wait_stopped()
        assert await b.locate("ada") is None

    simulate(scenario)


def test_an_ask_of_a_name_that_came_and_went_unseen_by_its_node_ends() -> None:
    async def scenario(sim: SimulatedNodes, a: ActorSystem, b: ActorSystem) -> None:
        sim.store.partition("node-2")
        await trio.sleep(1.1)  # its watch has given up, and pauses
        sim.store.heal()
        ref = await a.spawn(Worker, 1, 0.0, name="ada", cluster=True)
        found = await located(b, "ada")

        async def ask() -> None:
            with trio.fail_after(TTL), pytest.raises(ActorStoppedError):
                await found.ask(Work(0.0))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            await trio.sleep(0.1)
            ref.stop()
            await ref.wait_stopped()
            sim.store.forget()

    simulate(scenario)
