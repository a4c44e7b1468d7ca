"""Nodes in real processes over real sockets: killed, frozen, started again, and cut off from each other."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

from tests.core.actors import collected
from tests.multiprocess.namespaces import add_or_skip, inside, need_ip, remove, run
from tests.multiprocess.processes import PATIENCE, NodeProcess, node
from tests.remote.nodes import Ping, SlowCancellable
from trioakt import (
    ActorRef,
    ActorSystem,
    ConnectionLostError,
    LinkLost,
    NodeUnreachableError,
    Remote,
    TerminationCause,
)
from trioakt.testing import Probe

LOCAL = "tcp://127.0.0.1:0"


def here() -> ActorSystem:
    """Make the system of the test itself."""
    return ActorSystem("bank", remote=Remote(LOCAL, node="test", cookie="tests", heartbeat=0.2, suspicion=2.0))


@asynccontextmanager
async def met() -> AsyncGenerator[tuple[NodeProcess, ActorSystem, ActorRef]]:
    """Start a node, and meet the actor that lives there."""
    async with node("serve", LOCAL, "b") as there, here() as system:
        ref = await system.resolve(f"{await there.line()}/user/ada")
        assert await ref.ask(Ping("yes")) == "pong yes"
        with trio.fail_after(PATIENCE):
            yield there, system, ref


async def test_who_waits_for_a_killed_node_hears_of_it_at_once() -> None:
    async with met() as (there, system, ref):
        probe = await Probe.spawn(system)
        probe.watch(ref)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(kill_soon, there)
            with pytest.raises(ConnectionLostError):
                await ref.ask(SlowCancellable(3600))
        ended = await probe.expect_terminated(ref, within=PATIENCE)
        assert ended.cause == TerminationCause.NODE_LOST
        with pytest.raises((NodeUnreachableError, ConnectionLostError)):
            await system.resolve(ref.address)


async def kill_soon(there: NodeProcess) -> None:
    await trio.sleep(0.2)
    await there.kill()


async def test_a_frozen_node_is_given_up_and_found_again_when_it_goes_on() -> None:
    async with met() as (there, system, ref):
        with collected(system, LinkLost) as lost:
            there.send(signal.SIGSTOP)
            with pytest.raises(ConnectionLostError):
                await ref.ask(SlowCancellable(3600))
            assert "nothing was heard" in lost[0].reason
            for number in range(1000):
                ref.tell(number)
            there.send(signal.SIGCONT)
            await until_answered(ref)


async def until_answered(ref: ActorRef) -> None:
    while True:
        try:
            assert await ref.ask(Ping()) == "pong "
        except ConnectionLostError:
            await trio.sleep(0.05)
        else:
            return


async def test_a_node_that_starts_again_at_its_old_address_is_another_one() -> None:
    async with met() as (there, system, ref):
        await there.kill()
        url = f"tcp://{ref.address.partition('@')[2].partition('/')[0]}"
        async with node("serve", url, "b") as again:
            assert (await again.line()) in ref.address
            new = await found(system, ref.address)
            assert new != ref
            assert await new.ask(Ping("new")) == "pong new"
            assert not ref.is_alive


async def found(system: ActorSystem, address: str) -> ActorRef:
    while True:
        try:
            return await system.resolve(address)
        except (NodeUnreachableError, ConnectionLostError):
            await trio.sleep(0.05)


async def test_a_flood_of_messages_arrives_in_order_and_once() -> None:
    async with met() as (_, _, ref):
        for number in range(20_000):
            ref.tell(number)
            if number % 500 == 0:
                await ref.ask(Ping())
        await ref.ask(Ping())


# ---------------------------------------------------------------------------------------------------- namespaces


class Wire:
    """Two network namespaces with a wire between them that can be cut, in one direction or both."""

    def __init__(self) -> None:
        self.spaces = [f"trioakt-{os.getpid()}-a", f"trioakt-{os.getpid()}-b"]
        self.addresses = ["10.213.7.1", "10.213.7.2"]

    def open(self) -> None:
        for space in self.spaces:
            add_or_skip(space)
        near, far = self.spaces
        run("ip", "-n", near, "link", "add", "wire", "type", "veth", "peer", "name", "wire", "netns", far)
        for space, address in zip(self.spaces, self.addresses, strict=True):
            run("ip", "-n", space, "address", "add", f"{address}/24", "dev", "wire")
            run("ip", "-n", space, "link", "set", "wire", "up")
            run("ip", "-n", space, "link", "set", "lo", "up")

    def close(self) -> None:
        for space in self.spaces:
            remove(space)

    def cut(self, source: int) -> None:
        """Let vanish what one side sends: it goes to a machine that is not there."""
        other = self.addresses[1 - source]
        run("ip", "-n", self.spaces[source], "neighbor", "replace", other, "lladdr", "02:00:00:00:00:99", "dev", "wire")

    def heal(self) -> None:
        for source in (0, 1):
            other = self.addresses[1 - source]
            run("ip", "-n", self.spaces[source], "neighbor", "delete", other, "dev", "wire", check=False)

    def inside(self, side: int) -> list[str]:
        """What to put in front of a command, to run it on one side."""
        return inside(self.spaces[side])


@pytest.fixture
def wire() -> Generator[Wire]:
    need_ip()
    wire = Wire()
    wire.close()
    try:
        wire.open()
        yield wire
    finally:
        wire.close()


@pytest.mark.parametrize("sides", [(0,), (1,), (0, 1)], ids=["to", "from", "both ways"])
async def test_a_partition_is_noticed_on_both_sides_and_heals(wire: Wire, sides: tuple[int, ...]) -> None:
    async with node("serve", f"tcp://{wire.addresses[1]}:4041", "b", prefix=wire.inside(1)) as there:
        address = await there.line()
        visiting: Any = node("visit", f"tcp://{wire.addresses[0]}:4041", "a", address, prefix=wire.inside(0))
        async with visiting as visitor:
            await visitor.expect("up", "yes")
            await there.expect("up")
            for side in sides:
                wire.cut(side)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(visitor.expect, "lost", "no")
                nursery.start_soon(there.expect, "lost")
            wire.heal()
            await visitor.expect("yes")
