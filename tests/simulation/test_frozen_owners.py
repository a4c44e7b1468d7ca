"""Owners whose nodes are frozen: for less than others suspect it, for more, and for longer than their lease."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any

import attrs
import pytest
import trio

from tests.simulation.estate import Work
from trioakt import Actor, ActorRef, ActorSystem, ConnectionLostError, Context, Grain, GrainRef, LeaseLostError, Never
from trioakt.testing import SimulatedNodes, Simulation, SimulationResult

TTL = 5.0
FOR_A_MOMENT, FOR_LONGER, FOR_TOO_LONG, BEYOND_THE_LEASE = 0.8, 3.0, 4.6, 7.0
"""Less than half of the time after which others give a node up; more than all of it; more than the node itself counts
on its lease; more than the store does."""


@attrs.define(eq=False)
class Log:
    """What the actors of all nodes have done; an extension of each."""

    done: list[str] = attrs.field(factory=list[str])


async def work(ctx: Context, msg: object) -> None:
    """Sleep in three parts, and say after each whether it may still write."""
    log = ctx.extension(Log).done
    match msg:
        case Work(seconds):
            token = ctx.fencing_token
            for part in range(3):
                log.append(f"{part} by {ctx.system.node}")
                await trio.sleep(seconds / 3)
                try:
                    _ = ctx.fencing_token
                except LeaseLostError:
                    log.append(f"refused to {ctx.system.node}")
            ctx.reply(token)
        case _:
            log.append(str(msg))


class Scheduler(Actor):
    async def receive(self, ctx: Context, msg: object) -> None:
        await work(ctx, msg)


class Clerk(Grain):
    passivation = Never()
    relocation = "eager"

    async def receive(self, ctx: Context, msg: object) -> None:
        await work(ctx, msg)

    async def post_stop(self, ctx: Context) -> None:
        await trio.sleep(0.9)


Scenario = Callable[[SimulatedNodes, ActorSystem, ActorSystem, Log], Awaitable[None]]


def simulate(scenario: Scenario) -> SimulationResult:
    """Run a scenario with two nodes, and see that all promises were kept."""

    async def run(sim: SimulatedNodes) -> None:
        log = Log()
        a, b = await sim.start_nodes(2, kinds=[Scheduler], grains=[Clerk], extensions=[log])
        await scenario(sim, a, b, log)

    result = Simulation().run(run)
    assert result.violations == ()
    return result


async def singleton(a: ActorSystem, b: ActorSystem) -> ActorRef[Any]:
    """Return the ref that the second node has to a singleton of the first."""
    await a.spawn_singleton(Scheduler, name="scheduler")
    ref = await b.locate("scheduler")
    assert ref is not None
    return ref


async def grain(a: ActorSystem, b: ActorSystem) -> GrainRef[Any]:
    """Return the ref that the second node has to a grain that is active on the first."""
    for number in count():
        ref = a.grain(Clerk, str(number))
        await ref.ask(Work(0.0))
        if a.cluster.grains.active(ref.grain) is not None:
            return b.grain(Clerk, str(number))
    raise AssertionError


class Brief(Actor):
    """Ends at a certain moment, so many steps of the scheduler after a second."""

    async def receive(self, ctx: Context, msg: object) -> None:
        assert isinstance(msg, int)
        await trio.sleep(1)
        for _ in range(msg):
            await trio.lowlevel.cancel_shielded_checkpoint()
        ctx.self.kill()


OWNED = pytest.mark.parametrize("owned", [singleton, grain])
Owned = Callable[[ActorSystem, ActorSystem], Awaitable[ActorRef[Any]]]


async def stand_still(sim: SimulatedNodes, node: ActorSystem, seconds: float) -> None:
    sim.freeze(node)
    await trio.sleep(seconds)
    sim.thaw(node)


@OWNED
def test_an_owner_that_is_frozen_for_a_moment_goes_on_as_if_nothing_had_been(owned: Owned) -> None:
    async def scenario(sim: SimulatedNodes, a: ActorSystem, b: ActorSystem, log: Log) -> None:
        ref = await owned(a, b)
        before = await ref.ask(Work(0.0))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stand_still, sim, a, FOR_A_MOMENT)
            assert await ref.ask(Work(0.0)) == before
        assert await ref.ask(Work(0.0)) == before

    assert "LinkSuspected" not in kinds(simulate(scenario))


@OWNED
def test_an_owner_that_is_frozen_until_others_give_it_up_and_not_beyond_its_lease_stays_the_owner(owned: Owned) -> None:
    async def scenario(sim: SimulatedNodes, a: ActorSystem, b: ActorSystem, log: Log) -> None:
        ref = await owned(a, b)
        before = await ref.ask(Work(0.0))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stand_still, sim, a, FOR_LONGER)
            with pytest.raises(ConnectionLostError):
                await ref.ask(Work(0.0))
        await trio.sleep(TTL)
        assert await ref.ask(Work(0.0)) == before

    assert "MembershipLost" not in kinds(simulate(scenario))


@OWNED
@pytest.mark.parametrize("seconds", [FOR_TOO_LONG, BEYOND_THE_LEASE])
def test_an_owner_that_is_frozen_for_too_long_ends_at_once_and_another_takes_over(owned: Owned, seconds: float) -> None:
    async def scenario(sim: SimulatedNodes, a: ActorSystem, b: ActorSystem, log: Log) -> None:
        ref = await owned(a, b)
        before = await ref.ask(Work(0.0))
        await stand_still(sim, a, seconds)
        await trio.sleep(TTL)
        assert await ref.ask(Work(0.0)) > before
        await a.cluster.wait_members(2)

    assert [entry.node for entry in simulate(scenario).trace if entry.kind == "MembershipLost"] == ["node-1"]


@OWNED
def test_a_handler_that_was_frozen_beyond_the_lease_gets_no_further_than_to_its_next_wait(owned: Owned) -> None:
    async def scenario(sim: SimulatedNodes, a: ActorSystem, b: ActorSystem, log: Log) -> None:
        ref = await owned(a, b)
        log.done.clear()
        ref.tell(Work(3.0))
        ref.tell("never at the first")
        await trio.sleep(0.5)
        await stand_still(sim, a, BEYOND_THE_LEASE)
        await trio.sleep(TTL)
        by_first = [entry for entry in log.done if entry.endswith("node-1:1")]
        assert by_first in (
            ["0 by node-1:1"],
            ["0 by node-1:1", "refused to node-1:1"],
            ["0 by node-1:1", "refused to node-1:1", "1 by node-1:1"],
        )
        assert "never at the first" not in log.done

    simulate(scenario)


@pytest.mark.parametrize("seconds", [FOR_A_MOMENT, FOR_LONGER, FOR_TOO_LONG, BEYOND_THE_LEASE])
@pytest.mark.parametrize("frozen", [0, 1])
def test_a_node_that_is_frozen_while_a_shard_moves_lets_no_grain_be_active_twice_or_get_lost(
    seconds: float, frozen: int
) -> None:
    async def scenario(sim: SimulatedNodes, a: ActorSystem, b: ActorSystem, log: Log) -> None:
        ref = await grain(a, b)
        await ref.ask(Work(0.0))
        log.done.clear()
        ref.tell(Work(0.6))
        ref.tell("before")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(sim.run_on, a, a.cluster.drain)
            await trio.sleep(0.3)
            ref.tell("meanwhile")
            await stand_still(sim, (a, b)[frozen], seconds)
        await trio.sleep(2 * TTL)
        await ref.ask(Work(0.0))
        assert a.cluster.grains.active(ref.grain) is None
        told = [entry for entry in log.done if entry in ("before", "meanwhile")]
        assert told == sorted(set(told))

    simulate(scenario)


@pytest.mark.parametrize("steps", range(8))
def test_an_actor_that_ends_at_the_moment_at_which_its_node_has_lost_the_lease_harms_nobody(steps: int) -> None:
    async def scenario(sim: SimulatedNodes) -> None:
        a, _ = await sim.start_nodes(2, kinds=[Brief])
        brief = await a.spawn(Brief, name="brief", cluster=True)
        brief.tell(steps)
        await trio.sleep(0.5)
        await stand_still(sim, a, BEYOND_THE_LEASE)

    for seed in range(5):
        assert Simulation(seed).run(scenario).violations == ()


def kinds(result: SimulationResult) -> set[str]:
    """Return which kinds of events have been seen before the end."""
    names = [entry.kind for entry in result.trace]
    return set(names[: names.index("end")])
