"""The promises of a cluster under faults at random: a failing seed is told, and does the same again."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest
import trio

from tests.simulation.estate import Bell, Register, Tick, Work, Worker
from tests.simulation.faults import RELOCATION, ClusterOrdeal
from trioakt import ActorRef, ActorSystem, OneForOne, Placement, PoisonPill, TrioaktError
from trioakt.testing import SimulatedNodes, Simulation

SEEDS = int(os.environ.get("TRIOAKT_SEEDS", "200"))
BATCH = 25
SKEW = 30.0
NAMES = [f"name-{number}" for number in range(3)]
SINGLETONS = ["scheduler", "leader"]


class Estate(ClusterOrdeal):
    """Three nodes, two of which have a role, and those who use the names of their cluster at random."""

    def __init__(self, sim: SimulatedNodes, register: Register) -> None:
        super().__init__(sim, register.broken)
        self.register = register
        self.busy: set[str] = set()
        self.keeps = True

    async def open(self) -> None:
        for count, roles in ((2, ["entity"]), (1, [])):
            self.nodes += await self.sim.start_nodes(
                count,
                kinds=[Worker],
                roles=roles,
                skew=SKEW,
                extensions=[self.register],
                supervision=OneForOne(max_restarts=10_000),
            )
        for node in self.nodes:
            await self.settle_in(node)

    async def settle_in(self, node: ActorSystem) -> None:
        bell = await node.spawn(Bell, name="bell")
        node.scheduler.cron("* * * * *", bell, Tick(), name="minutes", cluster=True)

    # ---------------------------------------------------------------------- traffic

    async def use(self, steps: int) -> None:
        """Do so many things, one after another."""
        for _ in range(steps):
            await trio.sleep(self.rng.uniform(0.0, 1.0))
            node = self.rng.choice(self.nodes)
            step = self.rng.choices([self.spawn, self.summon, self.ask, self.tell, self.end], [4, 1, 6, 1, 2])[0]
            await self.do(node, step)

    async def alone(self, name: str, step: Callable[[str], Awaitable[None]]) -> None:
        """Do something with a name that nobody else starts or ends meanwhile."""
        if name not in self.busy:
            self.busy.add(name)
            try:
                await step(name)
            finally:
                self.busy.discard(name)

    async def spawn(self, node: ActorSystem) -> None:
        role = self.rng.choice(["", "entity"])
        choose = [Placement.local, Placement.random, Placement.round_robin, Placement.least_load]
        placement = self.rng.choice(choose)(role=role)
        dawdles = self.rng.choice([0.0, 0.0, self.rng.uniform(0.0, 3.0)])
        relocate = self.rng.random() < 0.8

        async def start(name: str) -> None:
            attempt = self.register.attempt(name)
            with trio.move_on_after(self.rng.choice([0.3, 30.0, 30.0])):
                await node.spawn_on(placement, Worker, attempt, dawdles, name=name, relocate=relocate)
                if relocate:
                    self.acknowledge(name, attempt)

        await self.alone(self.rng.choice(NAMES), start)

    async def summon(self, node: ActorSystem) -> None:
        async def start(name: str) -> None:
            attempt = self.register.attempt(name)
            with trio.move_on_after(30.0):  # while nobody with the role is there, nobody can take it
                await node.spawn_singleton(Worker, attempt, 0.0, name=name, role="entity")
                self.acknowledge(name, attempt)

        await self.alone(self.rng.choice(SINGLETONS), start)

    def acknowledge(self, name: str, attempt: int) -> None:
        if self.keeps:
            self.register.acknowledged.setdefault(name, attempt)

    async def choose(self, node: ActorSystem) -> ActorRef[Any] | None:
        return await node.locate(self.rng.choice([*NAMES, *SINGLETONS]))

    async def ask(self, node: ActorSystem) -> None:
        ref = await self.choose(node)
        if ref is not None:
            with trio.move_on_after(self.rng.choice([0.1, 5.0, float("inf")])):
                await ref.ask(Work(self.rng.choice([0.0, 0.1, 2.0])))

    async def tell(self, node: ActorSystem) -> None:
        ref = await self.choose(node)
        if ref is not None:
            for _ in range(self.rng.randrange(10)):
                ref.tell(Work(0.01))

    async def end(self, node: ActorSystem) -> None:
        async def stop(name: str) -> None:
            ref = await node.locate(name)
            if ref is None:
                return
            self.register.acknowledged.pop(name, None)
            known = node.cluster.view.names.get(name)
            present = self.sim.store.token(f"{node.cluster.view.prefix}names/{name}")
            match self.rng.randrange(3):
                case 0:
                    ref.stop()
                case 1:
                    ref.kill()
                case _:
                    ref.tell(PoisonPill())
            with trio.move_on_after(20.0):  # whoever was to stop it may have been lost
                await ref.wait_stopped()
                is_fresh = known is not None and known.token == present  # otherwise it has stopped one of the past
                if node in self.nodes and is_fresh:  # one that has ended itself knows nothing
                    self.register.end(name)

        await self.alone(self.rng.choice([*NAMES, *SINGLETONS]), stop)

    async def prepare_to_leave(self) -> None:
        """See that others can take over what a node has, or expect nothing to stay."""
        if self.rng.random() < 0.5:
            self.keeps = False
            self.register.acknowledged.clear()
            return
        while self.down:
            await self.restart()
        await self.mend()
        await self.within(RELOCATION, self.check_members)

    def has_left(self) -> None:
        self.keeps = True

    # --------------------------------------------------------------------- afterwards

    async def recover(self) -> None:
        """See that all nodes are members, and that all that was acknowledged serves them."""
        await self.within(RELOCATION, self.check_members)
        async with trio.open_nursery() as nursery:
            for node in self.nodes:
                for name in self.register.acknowledged:
                    nursery.start_soon(self.within, RELOCATION, partial(self.check_service, node, name))

    async def check_service(self, node: ActorSystem, name: str) -> str:
        """Return what is wrong about a name as a node sees it."""
        try:
            ref = await node.locate(name)
            if ref is None:
                return f"{name} was acknowledged, and {node.address} does not find it"
            await ref.ask(Work(0.0))
        except TrioaktError as error:
            return f"{name} does not serve {node.address}: {error!r}"
        return ""


async def scenario(sim: SimulatedNodes, register: Register) -> None:
    estate = Estate(sim, register)
    await estate.open()
    async with trio.open_nursery() as nursery:
        for _ in range(4):
            nursery.start_soon(estate.use, 12)
        nursery.start_soon(estate.suffer, 6)
    await estate.recover()
    minutes = (trio.current_time() + 2 * SKEW) // 60 + 1
    if len(register.ticks) > minutes:
        register.broken.append(f"{len(register.ticks)} ticks in {minutes} minutes: {register.ticks}")


@pytest.mark.parametrize("first", range(0, SEEDS, BATCH))
def test_the_promises_hold_under_random_faults(first: int) -> None:
    for seed in range(first, min(first + BATCH, SEEDS)):
        register = Register()
        result = Simulation(seed).run(scenario, register)
        assert (seed, result.violations, register.broken) == (seed, (), [])
