"""The promises of a cluster under faults at random: a failing seed is told, and does the same again."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest
import trio

from tests.simulation.estate import Bell, Register, Tick, Work, Worker
from trioakt import ActorRef, ActorSystem, OneForOne, Placement, PoisonPill, TrioaktError
from trioakt.testing import SimulatedNodes, Simulation

SEEDS = int(os.environ.get("TRIOAKT_SEEDS", "200"))
BATCH = 25
PATIENCE = 90.0
"""Seconds in which everything has to end by itself."""
RELOCATION = 12.0
"""Seconds after the last fault in which every name has an owner again: a lease, two, and some to notice the end."""
SKEW = 30.0
NAMES = [f"name-{number}" for number in range(3)]
SINGLETONS = ["scheduler", "leader"]


class Estate:
    """Three nodes, two of which have a role, and those who use the names of their cluster at random."""

    def __init__(self, sim: SimulatedNodes, register: Register) -> None:
        self.sim = sim
        self.rng = sim.rng
        self.register = register
        self.nodes: list[ActorSystem] = []
        self.down: list[ActorSystem] = []
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
            try:
                with trio.fail_after(PATIENCE):
                    await step(node)
            except TrioaktError:
                pass  # what may be heard while nodes or the store are not there
            except trio.TooSlowError:
                self.register.broken.append(f"{step.__name__} at {node.address} has not ended")

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
            match self.rng.randrange(3):
                case 0:
                    ref.stop()
                case 1:
                    ref.kill()
                case _:
                    ref.tell(PoisonPill())
            with trio.move_on_after(20.0):  # whoever was to stop it may have been lost
                await ref.wait_stopped()
                if node in self.nodes:  # one that has ended itself knows nothing
                    self.register.end(name)

        await self.alone(self.rng.choice([*NAMES, *SINGLETONS]), stop)

    # ------------------------------------------------------------------------ faults

    async def suffer(self, faults: int) -> None:
        """Let so many things go wrong, and some of them right again; in the end all."""
        every = [self.cut, self.cut_off, self.freeze, self.slow, self.expire, self.forget, self.lose]
        every += [self.crash, self.crash, self.restart, self.restart, self.renew, self.drain]
        some = [self.mend, *self.rng.sample(every, self.rng.randint(2, 8))]  # few kinds get deeper than all together
        for _ in range(faults):
            await trio.sleep(self.rng.uniform(0.0, 3.0))
            await self.rng.choice(some)()
        await self.mend()
        while self.down:
            await self.restart()

    async def cut(self) -> None:
        one, *others = self.rng.sample(self.nodes, len(self.nodes))
        self.sim.partition({one}, others, one_way=self.rng.random() < 0.5, store=self.rng.random() < 0.5)

    async def cut_off(self) -> None:
        node = self.host(self.rng.choice(self.nodes))
        self.sim.store.partition(node)
        if self.rng.random() < 0.5:
            await trio.sleep(self.rng.uniform(0.0, 4.0))
            self.sim.store.heal(node)

    async def freeze(self) -> None:
        self.sim.store.freeze()
        await trio.sleep(self.rng.choice([0.5, 3.0, 6.0]))
        self.sim.store.thaw()

    async def slow(self) -> None:
        self.sim.store.delay(0.0, self.rng.choice([0.0, 0.01, 0.2, 1.0]))

    async def expire(self) -> None:
        self.sim.store.expire(self.host(self.rng.choice(self.nodes)))

    async def forget(self) -> None:
        node = self.host(self.rng.choice(self.nodes))
        self.sim.store.partition(node)
        await trio.sleep(self.rng.uniform(0.0, 3.0))
        self.sim.store.forget()
        self.sim.store.heal(node)

    async def lose(self) -> None:
        self.sim.drop(self.rng.choice([0.0, 0.05]))
        self.sim.delay(0.0, self.rng.choice([0.0, 0.01, 0.5]))

    async def mend(self) -> None:
        self.sim.drop(0.0)
        self.sim.delay(0.0, 0.0)
        self.sim.store.delay(0.0, 0.0)
        self.sim.heal()

    async def crash(self) -> None:
        if len(self.nodes) > 1:
            node = self.nodes.pop(self.rng.randrange(len(self.nodes)))
            self.down.append(node)
            await self.sim.crash(node)

    async def restart(self) -> None:
        if self.down:
            await self.start_again(self.down.pop())

    async def renew(self) -> None:
        """Shut a node down in order and start it again."""
        if len(self.nodes) > 1:
            await self.prepare_to_leave()
            await self.start_again(self.nodes.pop(0))
            self.keeps = True

    async def drain(self) -> None:
        """Let a node hand over what it has; some time later it comes back."""
        if len(self.nodes) > 1:
            await self.prepare_to_leave()
            node = self.nodes.pop(0)
            try:
                with trio.fail_after(PATIENCE):
                    await node.cluster.drain()
            except TrioaktError:
                pass
            except trio.TooSlowError:
                self.register.broken.append(f"{node.address} has not drained")
            self.keeps = True
            self.down.append(node)

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

    async def start_again(self, node: ActorSystem) -> None:
        while True:
            try:
                again = await self.sim.restart(node)
            except TrioaktError:
                await self.mend()
            else:
                await self.settle_in(again)
                self.nodes.append(again)
                return

    # --------------------------------------------------------------------- afterwards

    async def recover(self) -> None:
        """See that all nodes are members, and that all that was acknowledged serves them."""
        await self.within(RELOCATION, self.check_members)
        async with trio.open_nursery() as nursery:
            for node in self.nodes:
                for name in self.register.acknowledged:
                    nursery.start_soon(self.within, RELOCATION, partial(self.check_service, node, name))

    async def within(self, seconds: float, check: Callable[[], Awaitable[str]]) -> None:
        """Look again and again until nothing is wrong any more, or for so many seconds."""
        wrong = "something does not end"
        with trio.move_on_after(seconds):
            while True:
                wrong = await check()
                if not wrong:
                    return
                await trio.sleep(0.5)
        self.register.broken.append(wrong)

    async def check_members(self) -> str:
        await trio.lowlevel.checkpoint()
        wrong = [node.address for node in self.nodes if len(node.cluster.members()) != len(self.nodes)]
        return f"{wrong} do not know all members" if wrong else ""

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

    def host(self, node: ActorSystem) -> str:
        return node.endpoint.remote.node or ""


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
