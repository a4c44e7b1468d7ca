"""The promises of grains under faults at random: a failing seed is told, and does the same again."""

from __future__ import annotations

import os
from contextlib import suppress
from functools import partial
from typing import Any

import attrs
import pytest
import trio

from tests.simulation.estate import Work
from tests.simulation.faults import RELOCATION, ClusterOrdeal, Fault
from tests.simulation.residents import CASTS, Cast, Chronicle, Fail, Forget, Letter, Pay, Remind, Resident
from trioakt import ActorSystem, GrainRef, PoisonPill, TrioaktError
from trioakt.persistence import MemoryJournal
from trioakt.testing import SimulatedNodes, Simulation

SEEDS = int(os.environ.get("TRIOAKT_SEEDS", "200")) // 20
BATCH = 5
IDS = [f"id-{number}" for number in range(4)]
PURSES = IDS[:2]
LONGEST = 5.0
"""Seconds after which a reminder of this scenario is due, at most."""


class Household(ClusterOrdeal):
    """Three nodes, and those who use their grains at random."""

    def __init__(self, sim: SimulatedNodes, chronicle: Chronicle, cast: Cast) -> None:
        super().__init__(sim, chronicle.broken)
        self.chronicle = chronicle
        self.cast = cast
        chronicle.rng = sim.rng
        chronicle.expired = sim.store.expired

    async def open(self) -> None:
        self.nodes += await self.sim.start_nodes(
            3, grains=attrs.astuple(self.cast), extensions=[self.chronicle, MemoryJournal()], stop_grace=4.0
        )

    def kinds(self) -> list[Fault]:
        more = [self.crash_while_draining, self.freeze_while_draining, self.crash_while_another_joins]
        return [*super().kinds(), *more]

    # ---------------------------------------------------------------------- traffic

    async def use(self, steps: int) -> None:
        """Do so many things, one after another."""
        task = f"task-{next(self.chronicle.numbers)}"
        for _ in range(steps):
            await trio.sleep(self.rng.uniform(0.0, 0.8))
            node = self.rng.choice(self.nodes)
            steps_and_weights = {
                self.write: 5,
                self.ask: 5,
                self.meet: 2,
                self.pay: 3,
                self.remind: 2,
                self.attend: 1,
                self.end: 2,
            }
            step = self.rng.choices(list(steps_and_weights), list(steps_and_weights.values()))[0]
            await self.do(node, step, task)

    def choose(self, node: ActorSystem) -> GrainRef[Any]:
        return node.grain(
            self.rng.choice([self.cast.resident, self.cast.resident, self.cast.caretaker]), self.rng.choice(IDS)
        )

    async def write(self, node: ActorSystem, task: str) -> None:
        grain = self.choose(node)
        for _ in range(self.rng.randrange(8)):
            letter = Letter(f"{task} of {node.address}", next(self.chronicle.numbers), self.rng.choice([0.0, 0.05]))
            if self.rng.random() < 0.7:
                grain.tell(letter)
            else:
                await grain.send(letter)

    async def ask(self, node: ActorSystem, task: str) -> None:
        with trio.move_on_after(self.rng.choice([0.1, 5.0, float("inf")])):
            await self.choose(node).ask(Work(self.rng.choice([0.0, 0.1, 2.0])))

    async def meet(self, node: ActorSystem, task: str) -> None:
        """Let all nodes be the first to ask for a grain that is not active."""
        grain = self.cast.resident, f"id-{next(self.chronicle.numbers)}"
        async with trio.open_nursery() as nursery:
            for each in self.nodes:
                nursery.start_soon(self.ask_one, each.grain(*grain))

    async def ask_one(self, grain: GrainRef[Any]) -> None:
        with suppress(TrioaktError):
            await grain.ask(Work(0.1))

    async def pay(self, node: ActorSystem, task: str) -> None:
        identity = self.rng.choice(PURSES)
        paid = self.chronicle.paid
        with trio.move_on_after(self.rng.choice([0.2, 30.0])):
            there = await node.grain(self.cast.purse, identity).ask(Pay(1))
            paid[identity] = max(there, paid.get(identity, 0))

    async def remind(self, node: ActorSystem, task: str) -> None:
        name = f"reminder-{next(self.chronicle.numbers)}"
        delay, every = self.rng.uniform(0.0, LONGEST), self.rng.choice([None, None, 3.0])
        grain = self.choose(node)
        with trio.move_on_after(30.0):
            await grain.ask(Remind(name, delay, every))
            if self.rng.random() < 0.2:
                await grain.ask(Forget(name))
            else:
                self.chronicle.reminded.add(name)

    async def attend(self, node: ActorSystem, task: str) -> None:
        """Wait for the end of an activation, which comes by itself."""
        await node.grain(self.cast.resident, self.rng.choice(IDS)).wait_stopped()

    async def end(self, node: ActorSystem, task: str) -> None:
        grain = self.choose(node)
        match self.rng.randrange(4):
            case 0:
                grain.stop()
            case 1:
                grain.kill()
            case 2:
                grain.tell(PoisonPill())
            case _:
                grain.tell(Fail())

    # --------------------------------------------------------------------- afterwards

    async def recover(self) -> None:
        """See that all nodes are members, that all grains serve them, and that nothing acknowledged is lost."""
        await self.within(RELOCATION, self.check_members)
        async with trio.open_nursery() as nursery:
            for node in self.nodes:
                for kind in (self.cast.resident, self.cast.caretaker):
                    for identity in IDS:
                        nursery.start_soon(self.within, RELOCATION, partial(self.check_service, node, kind, identity))
            for identity in PURSES:
                nursery.start_soon(self.within, RELOCATION, partial(self.check_purse, identity))
            nursery.start_soon(self.within, RELOCATION + LONGEST, self.check_reminders)
        await self.lose_caretakers()

    async def check_service(self, node: ActorSystem, kind: type[Resident], identity: str) -> str:
        try:
            await node.grain(kind, identity).ask(Work(0.0))
        except TrioaktError as error:
            return f"{kind.__name__} {identity} does not serve {node.address}: {error!r}"
        return ""

    async def check_purse(self, identity: str) -> str:
        try:
            there = await self.nodes[0].grain(self.cast.purse, identity).ask(Pay(0))
        except TrioaktError as error:
            return f"the purse {identity} does not answer: {error!r}"
        least = self.chronicle.paid.get(identity, 0)
        return f"{there} are in the purse {identity}, where {least} were" if there < least else ""

    async def check_reminders(self) -> str:
        await trio.lowlevel.checkpoint()
        missing = sorted(self.chronicle.reminded - self.chronicle.rung)
        return f"{missing} have never come" if missing else ""

    async def lose_caretakers(self) -> None:
        """See that the grains that are there at once when their node is lost are so."""
        node = self.rng.choice(self.nodes)
        await trio.sleep(LONGEST)  # what was to end one may have come late
        for identity in IDS:
            await self.within(RELOCATION, partial(self.check_service, node, self.cast.caretaker, identity))
        await trio.sleep(1.0)
        kind = self.cast.caretaker.__name__
        homes = {each: home for each, (home, _) in self.chronicle.at_home.items()}
        crashed = trio.current_time()
        self.nodes.remove(node)
        await self.sim.crash(node)

        async def check() -> str:
            await trio.lowlevel.checkpoint()
            lost = [each for each in IDS if homes[f"{kind}/{each}"] == node.address]
            left = [each for each in lost if self.chronicle.at_home[f"{kind}/{each}"][1] <= crashed]
            return f"the caretakers {left} are not there again" if left else ""

        await self.within(RELOCATION, check)


async def scenario(sim: SimulatedNodes, chronicle: Chronicle, cast: Cast) -> None:
    household = Household(sim, chronicle, cast)
    await household.open()
    async with trio.open_nursery() as nursery:
        for _ in range(4):
            nursery.start_soon(household.use, 14)
        nursery.start_soon(household.suffer, 6)
    await household.recover()


@pytest.mark.parametrize("first", range(0, SEEDS, BATCH))
def test_the_promises_of_grains_hold_under_random_faults(first: int) -> None:
    for seed in range(first, min(first + BATCH, SEEDS)):
        chronicle = Chronicle()
        result = Simulation(seed).run(scenario, chronicle, CASTS[seed % len(CASTS)])
        assert (seed, result.violations, chronicle.broken) == (seed, (), [])
