"""Nodes that a simulation is hard on: what can go wrong with them, and how they are when it is over."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any

import trio

from trioakt import ActorSystem, TrioaktError
from trioakt.testing import SimulatedNodes

PATIENCE = 90.0
"""Seconds in which everything has to end by itself."""
NOTICING = 1.0
"""Seconds after which a node that is thawed has seen how late it is, and is a member again if it can."""
RELOCATION = 12.0
"""Seconds after the last fault in which every name has an owner again: a lease, two, and some to notice the end."""


Fault = Callable[[], Awaitable[None]]


class Ordeal:
    """Nodes, those that are down, and what befalls them.

    Args:
        sim: What runs them.
        broken: What went wrong that should not.
    """

    def __init__(self, sim: SimulatedNodes, broken: list[str]) -> None:
        self.sim = sim
        self.rng = sim.rng
        self.broken = broken
        self.nodes: list[ActorSystem] = []
        self.down: list[ActorSystem] = []

    async def settle_in(self, node: ActorSystem) -> None:
        """Make a node that has started ready."""

    async def do(self, node: ActorSystem, step: Callable[..., Coroutine[Any, Any, None]], *args: object) -> None:
        """Let a node do something that has to end by itself."""
        try:
            with trio.fail_after(PATIENCE):
                await self.sim.run_on(node, step, node, *args)
        except TrioaktError:
            pass  # what may be heard while nodes or the store are not there
        except trio.TooSlowError:
            self.broken.append(f"{step.__name__} at {node.address} has not ended")

    # ------------------------------------------------------------------------ faults

    def kinds(self) -> list[Fault]:
        """Return what can go wrong."""
        often = [self.freeze, self.crash, self.restart]
        return [*often, *often, self.freeze, self.cut, self.lose, self.renew]

    async def suffer(self, faults: int) -> None:
        """Let so many things go wrong, and some of them right again; in the end all."""
        kinds = self.kinds()
        some = [self.mend, *self.rng.sample(kinds, self.rng.randint(2, 8))]  # few kinds get deeper than all together
        standstills = self.rng.choice([0.0, 0.0, 0.5])
        for _ in range(faults):
            await trio.sleep(self.rng.uniform(0.0, 3.0))
            await (self.stop_or_continue if self.rng.random() < standstills else self.rng.choice(some))()
        await self.mend()
        while self.down:
            await self.restart()

    async def cut(self) -> None:
        one, *others = self.rng.sample(self.nodes, len(self.nodes))
        self.sim.partition({one}, others, one_way=self.rng.random() < 0.5, store=self.rng.random() < 0.5)

    async def freeze(self) -> None:
        """Let a node stand still, maybe for longer than its lease lasts, maybe until all is mended."""
        node = self.rng.choice(self.nodes)
        self.sim.freeze(node)
        if self.rng.random() < 0.6:
            await trio.sleep(self.rng.choice([0.5, 3.0, 4.5, 7.0, 7.0]))
            self.sim.thaw(node)

    async def stop_or_continue(self) -> None:
        node = self.rng.choice(self.nodes)
        self.rng.choice([self.sim.freeze, self.sim.thaw])(node)
        await trio.lowlevel.checkpoint()

    async def lose(self) -> None:
        self.sim.drop(self.rng.choice([0.0, 0.01, 0.05, 0.5]))
        self.sim.delay(0.0, self.rng.choice([0.0, 0.01, 0.2, 1.5]))

    async def mend(self) -> None:
        self.sim.drop(0.0)
        self.sim.delay(0.0, 0.0)
        self.sim.heal()
        for node in self.nodes:
            self.sim.thaw(node)
        await trio.sleep(NOTICING)

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
            await self.start_again(self.nodes.pop(0))

    async def start_again(self, node: ActorSystem) -> None:
        again = await self.sim.restart(node)
        await self.settle_in(again)
        self.nodes.append(again)


class ClusterOrdeal(Ordeal):
    """The nodes of one cluster, and what befalls them and its store."""

    async def prepare_to_leave(self) -> None:
        """Do what is to be done before a node leaves in order."""

    def has_left(self) -> None:
        """Do what is to be done afterwards."""

    # ------------------------------------------------------------------------ faults

    def kinds(self) -> list[Fault]:
        return [*super().kinds(), self.cut_off, self.freeze_store, self.slow, self.expire, self.forget, self.drain]

    async def cut_off(self) -> None:
        node = self.host(self.rng.choice(self.nodes))
        self.sim.store.partition(node)
        if self.rng.random() < 0.5:
            await trio.sleep(self.rng.uniform(0.0, 4.0))
            self.sim.store.heal(node)

    async def freeze_store(self) -> None:
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
        self.sim.store.delay(0.0, 0.0)
        await super().mend()

    async def renew(self) -> None:
        if len(self.nodes) > 1:
            await self.prepare_to_leave()
            await super().renew()
            self.has_left()

    async def drain(self) -> None:
        """Let a node hand over what it has; some time later it comes back."""
        if len(self.nodes) > 1:
            await self.prepare_to_leave()
            node = self.nodes.pop(0)
            self.sim.thaw(node)
            try:
                with trio.fail_after(PATIENCE):
                    await node.cluster.drain()
            except TrioaktError:
                pass
            except trio.TooSlowError:
                self.broken.append(f"{node.address} has not drained")
            self.has_left()
            self.down.append(node)

    async def fail_while_draining(self, fault: Callable[[ActorSystem], Awaitable[None]]) -> None:
        """Let something go wrong with a node that is about to hand over what it has."""
        if len(self.nodes) > 1:
            node = self.nodes.pop(0)
            self.down.append(node)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._try_to_drain, node)
                await trio.sleep(self.rng.uniform(0.0, 1.0))
                await fault(node)
                nursery.cancel_scope.cancel()

    async def crash_while_draining(self) -> None:
        await self.fail_while_draining(self.sim.crash)

    async def freeze_while_draining(self) -> None:
        async def freeze(node: ActorSystem) -> None:
            self.sim.freeze(node)
            await trio.sleep(self.rng.choice([0.5, 3.0, 7.0]))
            self.sim.thaw(node)
            await trio.sleep(self.rng.uniform(0.0, 3.0))

        await self.fail_while_draining(freeze)

    async def _try_to_drain(self, node: ActorSystem) -> None:
        with suppress(TrioaktError):
            await self.sim.run_on(node, node.cluster.drain)

    async def crash_while_another_joins(self) -> None:
        if self.down:
            await self.restart()
            await trio.sleep(self.rng.uniform(0.0, 1.0))
            await self.crash()

    async def start_again(self, node: ActorSystem) -> None:
        while True:
            try:
                return await super().start_again(node)
            except TrioaktError:
                await self.mend()

    # --------------------------------------------------------------------- afterwards

    async def within(self, seconds: float, check: Callable[[], Awaitable[str]]) -> None:
        """Look again and again until nothing is wrong any more, or for so many seconds."""
        wrong = "something does not end"
        with trio.move_on_after(seconds):
            while True:
                wrong = await check()
                if not wrong:
                    return
                await trio.sleep(0.5)
        self.broken.append(wrong)

    async def check_members(self) -> str:
        await trio.lowlevel.checkpoint()
        wrong = [node.address for node in self.nodes if len(node.cluster.members()) != len(self.nodes)]
        return f"{wrong} do not know all members" if wrong else ""

    def host(self, node: ActorSystem) -> str:
        return node.endpoint.remote.node or ""
