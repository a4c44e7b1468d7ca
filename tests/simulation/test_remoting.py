"""The promises of remoting under faults at random: a failing seed is told, and does the same again."""

from __future__ import annotations

import os
from itertools import count
from typing import Any

import pytest
import trio

from tests.simulation.faults import PATIENCE, Ordeal
from tests.simulation.traffic import (
    Break,
    Citizen,
    Consult,
    Guard,
    Later,
    Note,
    PassOn,
    Truth,
    Wait,
    WaitCancellable,
    Write,
)
from trioakt import ActorRef, ActorSystem, Bounded, OneForOne, PoisonPill
from trioakt.testing import SimulatedNodes, Simulation

SEEDS = int(os.environ.get("TRIOAKT_SEEDS", "200"))
BATCH = 25
RECOVERY = 6.0
"""Seconds after which a node that is reached again is known to be."""


class Town(Ordeal):
    """Three nodes, the refs that are known on each, and those who use them at random."""

    def __init__(self, sim: SimulatedNodes, truth: Truth) -> None:
        super().__init__(sim, truth.broken)
        self.truth = truth
        self.known: dict[ActorSystem, list[ActorRef[Any]]] = {}
        self.numbers = count(1)

    async def open(self) -> None:
        self.nodes += await self.sim.start_nodes(
            3, kinds=[Citizen], cluster=False, extensions=[self.truth], supervision=OneForOne(max_restarts=10_000)
        )
        for node in self.nodes:
            await self.settle_in(node)

    async def settle_in(self, node: ActorSystem) -> None:
        """Let a node, new or started again, have an actor whose name is used again and again, and one with its own."""
        self.known[node] = [await node.spawn(Citizen, name=f"citizen-{next(self.numbers)}")]
        await node.spawn(Citizen, name="ada", mailbox=Bounded(8))

    # ---------------------------------------------------------------------- traffic

    def choose(self, node: ActorSystem) -> ActorRef[Any]:
        """Choose one of the refs that a node has come to know last; whom they name may be gone."""
        return self.rng.choice(self.known[node][-8:])

    async def use(self, steps: int) -> None:
        """Do so many things, one after another."""
        for _ in range(steps):
            await trio.sleep(self.rng.uniform(0.0, 0.6))
            node = self.rng.choice(self.nodes)
            step = self.rng.choices([self.tell, self.ask, self.meet, self.end], [5, 6, 4, 1])[0]
            await self.do(node, step, self.choose(node))

    async def tell(self, node: ActorSystem, ref: ActorRef[Any]) -> None:
        other = self.choose(node)
        match self.rng.randrange(4):
            case 0:
                for number in range(self.rng.randrange(10)):
                    ref.tell(Note(number))
            case 1:
                with trio.move_on_after(self.rng.choice([0.1, 60.0])):
                    for number in range(self.rng.randrange(10)):
                        await ref.send(Note(number))
            case 2:
                ref.tell(Write(other, self.rng.randrange(10)))
            case _:
                if "ada" not in (ref.name, other.name):
                    ref.tell(Guard(other))

    async def ask(self, node: ActorSystem, ref: ActorRef[Any]) -> None:
        other = self.choose(node)
        seconds = self.rng.uniform(0.0, 0.3)
        waits = [Wait(seconds), WaitCancellable(seconds), Later(seconds)]
        request = self.rng.choice([*waits, PassOn(other), Consult(other, self.rng.choice(waits)), Break()])
        with trio.move_on_after(self.rng.choice([0.1, 1.0, float("inf")])):
            await ref.ask(request)

    async def meet(self, node: ActorSystem, ref: ActorRef[Any]) -> None:
        other = self.rng.choice([each for each in (*self.nodes, *self.down) if each is not node])
        match self.rng.randrange(3):
            case 0:
                found = await node.resolve(f"{other.address}/user/ada")
            case 1:
                name = f"citizen-{next(self.numbers)}"
                found = await node.spawn_on(other.address, Citizen, name=name)
            case _:
                name = self.choose(other).name
                found = await node.resolve(f"{other.address}/user/{name}")
        self.known[node].append(found)

    async def end(self, node: ActorSystem, ref: ActorRef[Any]) -> None:
        match self.rng.randrange(3):
            case 0:
                ref.stop()
            case 1:
                ref.kill()
            case _:
                ref.tell(PoisonPill())
        await ref.wait_stopped()

    # --------------------------------------------------------------------- afterwards

    async def recover(self) -> None:
        """See that all nodes reach each other and nobody waits in vain."""
        await trio.sleep(RECOVERY)
        self.truth.check_guards()
        for node in self.nodes:
            self.check_watchers(node)
            for other in self.nodes:
                if other is not node:
                    with trio.fail_after(PATIENCE):
                        await node.spawn_on(other.address, Citizen, name=f"citizen-{next(self.numbers)}")

    def check_watchers(self, node: ActorSystem) -> None:
        """See that an actor has no more watchers for other nodes than there are other nodes."""
        for cell in node.cells():
            watchers = [each for each in cell.watchers or () if type(each).__name__ == "_Watcher"]
            if len(watchers) >= len(self.nodes):
                self.truth.broken.append(f"{cell.address} has {len(watchers)} watchers of other nodes")


async def scenario(sim: SimulatedNodes, truth: Truth) -> None:
    town = Town(sim, truth)
    await town.open()
    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(town.use, 16)
        nursery.start_soon(town.suffer, 6)
    await town.recover()


@pytest.mark.parametrize("first", range(0, SEEDS, BATCH))
def test_the_promises_hold_under_random_faults(first: int) -> None:
    for seed in range(first, min(first + BATCH, SEEDS)):
        truth = Truth()
        result = Simulation(seed).run(scenario, truth)
        assert (seed, result.violations, truth.broken) == (seed, (), [])
