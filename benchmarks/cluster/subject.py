"""trioakt's cluster: `python -m benchmarks.worker cluster.subject takeover 10`."""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import attrs
import trio

from benchmarks.cluster.homes import Home, Mayfly, Twin, Who, settings
from trioakt import ActorRef, ActorSystem, Cluster, Idle, Placement, Remote, TrioaktError

TTL = 2.0
"""Seconds to live of the leases."""

Measured = dict[str, float]


@attrs.define
class Homes:
    """Three node processes, one of which is ended and started again and again."""

    store: str
    nodes: dict[int, tuple[str, trio.Process]] = attrs.field(factory=dict[int, tuple[str, trio.Process]])

    async def start(self, name: str) -> None:
        """Start a node, and return when it is a member."""
        command = [sys.executable, "-m", "benchmarks.cluster.node", self.store, name, str(TTL)]
        process = await trio.lowlevel.open_process(command, stdout=subprocess.PIPE)
        assert process.stdout is not None
        await process.stdout.receive_some(16)
        self.nodes[process.pid] = name, process

    async def end(self, pid: int, number: int) -> str:
        """Send a signal to a node, wait for its end and return its name."""
        name, process = self.nodes.pop(pid)
        process.send_signal(number)
        await process.wait()
        return name


@asynccontextmanager
async def open_homes() -> AsyncGenerator[tuple[ActorSystem, Homes]]:
    """Have three nodes, and one here that owns nothing and asks."""
    with TemporaryDirectory() as folder:
        homes = Homes(f"sqlite://{Path(folder) / 'homes.db'}")
        for name in "abc":
            await homes.start(name)
        cluster = Cluster(homes.store, lease_ttl=TTL)
        async with ActorSystem("homes", remote=Remote("tcp://127.0.0.1:0", node="asker"), cluster=cluster) as system:
            try:
                yield system, homes
            finally:
                for pid in tuple(homes.nodes):
                    with trio.CancelScope(shield=True):
                        await homes.end(pid, signal.SIGKILL)


async def _owner(ref: ActorRef, but: int) -> int:
    """Ask until another process answers, and return which."""
    while True:
        with trio.move_on_after(0.5):
            try:
                found: int = await ref.ask(Who())
            except TrioaktError:
                await trio.sleep(0.01)
                continue
            if found != but:
                return found


async def _moves(number: int, rounds: int) -> Measured:
    seconds: list[float] = []
    async with open_homes() as (system, homes):
        ref = await system.spawn_on(Placement.random(role="home"), Home, name="home")
        owner = await ref.ask(Who())
        for _ in range(rounds):
            began = trio.current_time()
            name = ""

            async def end(pid: int = owner) -> None:
                nonlocal name
                name = await homes.end(pid, number)

            async with trio.open_nursery() as nursery:
                nursery.start_soon(end)
                owner = await _owner(ref, owner)
                seconds.append(trio.current_time() - began)
            await homes.start(name)
    ordered = sorted(seconds)
    return {"median": statistics.median(ordered), "least": ordered[0], "most": ordered[-1], "rounds": rounds}


async def _names(number: int, nodes: int) -> Measured:
    """Spawn named actors one by one and 16 at a time, and ask one by its name and by its plain ref."""
    with TemporaryDirectory() as folder:
        store = f"sqlite://{Path(folder) / 'homes.db'}"
        async with open_systems(store, nodes) as systems:
            system = systems[0]
            await system.cluster.wait_members(nodes)
            began = trio.current_time()
            for index in range(number):
                await system.spawn(Home, name=f"one-{index}", cluster=True)
            alone = trio.current_time() - began
            began = trio.current_time()
            async with trio.open_nursery() as nursery:
                for index in range(number):
                    nursery.start_soon(partial(system.spawn, Home, name=f"many-{index}", cluster=True))
            together = trio.current_time() - began
            named = await system.locate("one-0")
            plain = system.actor("one-0")
            assert named is not None
            assert plain is not None
            return {
                "spawns": number / alone,
                "spawns at once": number / together,
                "asks by name": await _asks(named),
                "asks": await _asks(plain),
            }


async def _grains(number: int) -> Measured:
    """Ask so many grains on three nodes, 100 at a time, for the first and for the second time."""
    async with open_homes() as (system, homes):
        await system.cluster.wait_members(4)
        await _ask_each(system, 2_000)  # all shards have their owners then
        before = sum(map(_resident, homes.nodes))
        first = await _ask_each(system, number)
        grown = sum(map(_resident, homes.nodes)) - before
        second = await _ask_each(system, number)
        named = await system.spawn_on(Placement.random(role="home"), Home, name="home")
        return {
            "first asks": first,
            "second asks": second,
            "bytes": grown / number,
            "asks, far grain": await _asks(system.grain(Twin, "a0")),
            "asks, far name": await _asks(named),
        }


async def _ask_each(system: ActorSystem, number: int) -> float:
    left = iter(range(number))

    async def ask() -> None:
        for index in left:
            await system.grain(Twin, f"a{index}").ask(Who())

    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        for _ in range(100):
            nursery.start_soon(ask)
    return number / (trio.current_time() - began)


def _resident(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE")


async def _grain_asks() -> Measured:
    """Ask a grain and an actor that may rest likewise, without a cluster and in one."""
    measured: Measured = {}
    async with ActorSystem("alone") as alone:
        measured["asks, actor"] = await _asks(await alone.spawn(Home, passivation=Idle(600.0)))
        measured["asks, grain"] = await _asks(alone.grain(Twin, "ada"))
    with TemporaryDirectory() as folder:
        async with open_systems(f"sqlite://{Path(folder) / 'homes.db'}", 1) as (system,):
            measured["asks, grain of a cluster"] = await _asks(system.grain(Twin, "ada"))
    return measured


async def _mayflies(number: int) -> Measured:
    """Ask so many grains, each once, which are passivated soon; tell how the process has grown between tenths."""
    sizes: list[int] = []
    async with ActorSystem("alone") as system:
        began = trio.current_time()
        for index in range(number):
            await system.grain(Mayfly, str(index)).ask(Who())
            if (index + 1) % (number // 10) == 0:
                sizes.append(_resident(os.getpid()))
        seconds = trio.current_time() - began
    return {"asks": number / seconds, "at a tenth": sizes[0], "at half": sizes[4], "at the end": sizes[-1]}


async def _asks(ref: ActorRef) -> float:
    began = trio.current_time()
    for _ in range(5_000):
        await ref.ask(Who())
    return 5_000 / (trio.current_time() - began)


@asynccontextmanager
async def open_systems(store: str, count: int) -> AsyncGenerator[list[ActorSystem]]:
    """Have several nodes in this process."""
    systems: list[ActorSystem] = []

    async def run(name: str, *, task_status: trio.TaskStatus[None]) -> None:
        remote = Remote("tcp://127.0.0.1:0", node=name)
        async with ActorSystem("homes", remote=remote, cluster=settings(store, 5.0)) as system:
            systems.append(system)
            task_status.started()
            await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        for number in range(count):
            await nursery.start(run, f"n{number}")
        yield systems
        nursery.cancel_scope.cancel()


WORKLOADS: dict[str, Callable[..., Measured]] = {
    "takeover": lambda rounds: trio.run(_moves, signal.SIGKILL, rounds),
    "handover": lambda rounds: trio.run(_moves, signal.SIGTERM, rounds),
    "names": lambda number, nodes: trio.run(_names, number, nodes),
    "grains": lambda number: trio.run(_grains, number),
    "grain-asks": lambda: trio.run(_grain_asks),
    "mayflies": lambda number: trio.run(_mayflies, number),
}
