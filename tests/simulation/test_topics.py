"""Topics of other nodes under faults at random: nothing twice, nothing out of order, no gap that is not told."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import count

import pytest
import trio

from trioakt import ActorSystem, ConnectionLostError, Missed, NodeUnreachableError
from trioakt.testing import SimulatedNodes, Simulation

SEEDS = int(os.environ.get("TRIOAKT_SEEDS", "200")) // 10
BATCH = 25


class Readers:
    """Tasks that read what the nodes publish, and what they have found wrong."""

    def __init__(self, sim: SimulatedNodes) -> None:
        self.sim = sim
        self.broken: list[str] = []
        self.read = 0
        self._numbers: dict[ActorSystem, Iterator[int]] = {}

    async def publish(self, node: ActorSystem) -> None:
        """Publish numbers in their order, in bursts."""
        rng = self.sim.rng
        for number in self._numbers.setdefault(node, count()):
            node.topics.publish("numbers", number)
            if rng.random() < 0.3:
                await trio.sleep(rng.uniform(0.0, 0.5))

    async def follow(self, node: ActorSystem, address: str) -> None:
        """Read the numbers of another node, again and again from anew."""
        rng = self.sim.rng
        while True:
            try:
                with trio.move_on_after(rng.choice([1.0, 5.0, 30.0])):
                    await self._read(node, address)
            except (ConnectionLostError, NodeUnreachableError):
                await trio.sleep(rng.uniform(0.0, 1.0))

    async def _read(self, node: ActorSystem, address: str) -> None:
        expected: int | None = None
        async with node.topics.subscribe("numbers", buffer=5, node=address) as numbers:
            async for each in numbers:
                if isinstance(each, Missed):
                    expected = None if expected is None else expected + each.count
                    continue
                if expected not in (None, each):
                    self.broken.append(f"{node.address} read {each} of {address} in the place of {expected}")
                expected = each + 1
                self.read += 1
                await trio.sleep(self.sim.rng.choice([0.0, 0.0, 0.1]))


async def scenario(sim: SimulatedNodes, figures: list[int]) -> None:
    readers = Readers(sim)
    nodes = list(await sim.start_nodes(3))
    addresses = [node.address for node in nodes]
    async with trio.open_nursery() as nursery:
        for node in nodes[:2]:
            for address in addresses:
                if address != node.address:
                    nursery.start_soon(readers.follow, node, address)
            nursery.start_soon(readers.publish, node)
        for _ in range(8):
            async with trio.open_nursery() as publishing:
                publishing.start_soon(readers.publish, nodes[2])
                await trio.sleep(sim.rng.uniform(0.0, 3.0))
                publishing.cancel_scope.cancel()
            await disturb(sim, nodes)
        sim.drop(0.0)
        sim.delay(0.0, 0.0)
        sim.heal()
        read = readers.read
        await trio.sleep(10.0)
        assert readers.read > read, "nobody reads any more"
        nursery.cancel_scope.cancel()
    await trio.sleep(1.0)
    assert readers.broken == []
    left = {node.address: node.endpoint.topics.interests.count() for node in nodes}
    assert set(left.values()) == {0}, left
    figures.append(readers.read)


async def disturb(sim: SimulatedNodes, nodes: list[ActorSystem]) -> None:
    """Let something go wrong, or right again."""
    one, *others = sim.rng.sample(nodes, 3)
    match sim.rng.randrange(6):
        case 0:
            sim.partition({one}, others, one_way=sim.rng.random() < 0.5)
        case 1:
            sim.drop(sim.rng.choice([0.0, 0.01, 0.2]))
        case 2:
            sim.delay(0.0, sim.rng.choice([0.0, 0.05, 0.5]))
        case 3:
            await sim.crash(nodes[2])
            nodes[2] = await sim.restart(nodes[2])
        case 4:
            nodes[2] = await sim.restart(nodes[2])
        case _:
            sim.heal()


@pytest.mark.parametrize("first", range(0, SEEDS, BATCH))
def test_what_is_heard_of_another_node_is_in_order_and_whole_but_for_what_is_told(first: int) -> None:
    for seed in range(first, min(first + BATCH, SEEDS)):
        figures: list[int] = []
        result = Simulation(seed).run(scenario, figures)
        assert result.violations == (), f"seed {seed}"
        assert figures[0] > 0, f"seed {seed}"
