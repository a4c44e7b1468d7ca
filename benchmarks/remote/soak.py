"""Two processes under load, for as long as is wanted: `python -m benchmarks.worker remote.soak soak SECONDS`.

Messages are told and asked for, requests are given up, actors come and go. The memory of both must not grow. As a
program this is the other process.
"""

from __future__ import annotations

from collections import Counter
from itertools import count
from typing import Any

import trio

from benchmarks.memory import resident_bytes
from benchmarks.remote.messages import Arrived, Parcel, Weigh
from benchmarks.remote.servers import begin_as_server, open_servers, serve_until_orphaned
from benchmarks.remote.subject import Server
from benchmarks.savina import check
from benchmarks.workloads import Measured, on_trio
from trioakt import Actor, ActorRef, ActorSystem, Context, Remote, Request, message

NAME = "soak"
ASKERS = 20
BURST = 1000
PATIENCE = 30.0
"""Seconds that a process may be too busy to say that it is alive."""
WARM_UP = 0.25
"""The part of the time after which memory counts."""
SAMPLES = 8
"""Measurements of memory before and after, of which the least counts: what is under way is no growth."""


@message(name="soak.memory")
class Memory(Request[int]):
    """How many bytes does this process hold?"""


@message(name="soak.wait", cancellable=True)
class Wait(Request[None]):
    """Wait for ever."""


class Keeper(Actor):
    """Answers for its process."""

    async def receive(self, ctx: Context, msg: Memory) -> None:
        """Handle one message."""
        ctx.reply(resident_bytes())


class Sleeper(Actor):
    """Answers nobody, and sleeps until its asker gives up."""

    async def receive(self, ctx: Context, msg: Wait) -> None:
        """Handle one message."""
        await trio.sleep_forever()


class Load:
    """What keeps another node busy; each part of it goes on until it is cancelled, and counts."""

    def __init__(self, system: ActorSystem, node: str, done: Counter[str]) -> None:
        self._system = system
        self._node = node
        self._done = done

    async def tell(self) -> None:
        """Tell in bursts."""
        ref = await self._system.spawn_on(self._node, Server)
        for burst in count():
            for number in range(burst * BURST, (burst + 1) * BURST):
                ref.tell(Parcel(number, b"a parcel"))
            check("parcels that arrived", await ref.ask(Arrived()), (burst + 1) * BURST)
            self._done["told"] += BURST

    async def ask(self) -> None:
        """Ask, with bodies of many sizes."""
        ref = await self._system.spawn_on(self._node, Server)
        for number in count():
            size = number * 997 % 50_000
            check("bytes in a request", await ref.ask(Weigh(bytes(size))), size)
            self._done["asked"] += 1

    async def give_up(self) -> None:
        """Ask for what is never answered."""
        ref = await self._system.resolve(f"{self._node}/user/sleeper")
        while True:
            with trio.move_on_after(0.01):
                await ref.ask(Wait())
            self._done["given up"] += 1

    async def come_and_go(self) -> None:
        """Spawn an actor there, watch it, and stop it."""
        while True:
            ref = await self._system.spawn_on(self._node, Server)
            await ref.ask(Arrived())
            ref.stop()
            await ref.wait_stopped()
            self._done["spawned"] += 1


async def soak(seconds: float) -> Measured:
    """Keep two processes busy for so many seconds.

    Returns:
        How often each thing was done, and the bytes that each process has grown by since it had warmed up.
    """
    done: Counter[str] = Counter()
    async with (
        open_servers(__name__, 1, tls=False) as ((node,), _),
        ActorSystem(NAME, remote=Remote(suspicion=PATIENCE)) as system,
        trio.open_nursery() as nursery,
    ):
        keepers = {"here": await system.spawn(Keeper), "there": await system.resolve(f"{node}/user/keeper")}
        load = Load(system, node, done)
        for part in (load.tell, load.give_up, load.come_and_go, *[load.ask] * ASKERS):
            nursery.start_soon(part)
        await trio.sleep(seconds * WARM_UP)
        before = await _least(keepers, seconds * (1 - WARM_UP) / 2)
        after = await _least(keepers, seconds * (1 - WARM_UP) / 2)
        nursery.cancel_scope.cancel()
    return {**done, **{f"grown {where}": after[where] - before[where] for where in keepers}}


async def _least(keepers: dict[str, ActorRef[Any]], seconds: float) -> dict[str, int]:
    """Return the least memory that each process held within so many seconds."""
    samples: list[dict[str, int]] = []
    for _ in range(SAMPLES):
        await trio.sleep(seconds / SAMPLES)
        samples.append({where: await keeper.ask(Memory()) for where, keeper in keepers.items()})
    return {where: min(sample[where] for sample in samples) for where in keepers}


async def serve() -> None:
    """Be the other process."""
    async with ActorSystem(NAME, remote=Remote(kinds=[Server], suspicion=PATIENCE)) as system:
        await system.spawn(Keeper, name="keeper")
        await system.spawn(Sleeper, name="sleeper")
        await serve_until_orphaned(system.address)


WORKLOADS = on_trio({"soak": soak})

if __name__ == "__main__":
    begin_as_server()
    trio.run(serve)
