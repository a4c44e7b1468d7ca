"""What once went wrong with grains under faults, each alone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from itertools import count

import attrs
import pytest
import trio

from tests.simulation.estate import Work
from trioakt import ActorStoppedError, ActorSystem, Context, Grain, Never
from trioakt.testing import SimulatedNodes, Simulation, SimulationResult

TTL = 5.0


@attrs.define(eq=False)
class Log:
    """What grains were told, in which order; an extension of all nodes."""

    told: list[str] = attrs.field(factory=list[str])


class Slow(Grain):
    """Takes its time to end, and is there again at once."""

    passivation = Never()
    relocation = "eager"

    async def receive(self, ctx: Context, msg: object) -> None:
        match msg:
            case Work(seconds):
                token = ctx.fencing_token
                await trio.sleep(seconds)
                ctx.reply(token)
            case _:
                ctx.extension(Log).told.append(str(msg))

    async def post_stop(self, ctx: Context) -> None:
        await trio.sleep(0.9)


def simulate(scenario: Callable[[SimulatedNodes, ActorSystem, ActorSystem, Log], Awaitable[None]]) -> SimulationResult:
    """Run a scenario with two nodes, and see that all promises were kept."""

    async def run(sim: SimulatedNodes) -> None:
        log = Log()
        a, b = await sim.start_nodes(2, grains=[Slow], extensions=[log])
        await scenario(sim, a, b, log)

    result = Simulation().run(run)
    assert result.violations == ()
    return result


async def activate_on(node: ActorSystem) -> str:
    """Return who of the grains is active on a node."""
    for number in count():
        grain = node.grain(Slow, str(number))
        await grain.ask(Work(0.0))
        if node.cluster.grains.active(grain.grain) is not None:
            return grain.identity
    raise AssertionError


def test_an_ask_of_a_grain_that_is_stopped_does_not_close_the_way_to_others() -> None:
    async def scenario(sim: SimulatedNodes, a: ActorSystem, b: ActorSystem, log: Log) -> None:
        who = await activate_on(a)
        grain = b.grain(Slow, who)

        async def ask() -> None:
            with pytest.raises(ActorStoppedError):
                await grain.ask(Work(60.0))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            await trio.sleep(0.1)
            a.grain(Slow, who).kill()
        await grain.ask(Work(0.0))

    simulate(scenario)


def test_what_waits_for_a_grain_to_end_comes_before_what_is_told_while_its_node_drains() -> None:
    async def scenario(sim: SimulatedNodes, a: ActorSystem, b: ActorSystem, log: Log) -> None:
        who = await activate_on(a)
        grain = a.grain(Slow, who)
        grain.stop()
        grain.tell("first")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(a.cluster.drain)
            await trio.sleep(0.1)
            grain.tell("second")
        await trio.sleep(1.0)
        assert log.told == ["first", "second"]

    simulate(scenario)


def test_a_grain_whose_node_has_lost_its_lease_ends_before_it_is_active_elsewhere() -> None:
    async def scenario(sim: SimulatedNodes, a: ActorSystem, b: ActorSystem, log: Log) -> None:
        who = await activate_on(a)
        await trio.sleep(0.5)
        sim.store.partition("node-1")
        await trio.sleep_until(TTL - 0.9)  # a fifth is left for what has to end
        sim.store.heal()
        await trio.sleep(TTL)
        await b.grain(Slow, who).ask(Work(0.0))

    simulate(scenario)


def test_what_waits_for_a_hand_over_goes_on_when_the_node_loses_its_lease_meanwhile() -> None:
    async def scenario(sim: SimulatedNodes, a: ActorSystem, b: ActorSystem, log: Log) -> None:
        who = await activate_on(a)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(a.cluster.drain)
            await trio.sleep(0.1)
            sim.store.expire("node-1")
            await trio.sleep(0.1)
            with trio.fail_after(TTL):
                await a.grain(Slow, who).ask(Work(0.0))

    simulate(scenario)
