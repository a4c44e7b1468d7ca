"""Nodes of a cluster that are restarted one after the other under load, each asked to leave by SIGTERM."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import attrs
import trio

from tests.multiprocess.cluster_kinds import Add, Ledger, Where
from tests.multiprocess.cluster_node import system_of
from tests.multiprocess.cluster_processes import Nodes, open_nodes
from tests.multiprocess.cluster_stores import Engine, engine
from tests.multiprocess.processes import PATIENCE
from trioakt import ActorRef, ActorSystem

__all__ = ["engine"]

LOCAL = "tcp://127.0.0.1:0"
LEASE = 10 * PATIENCE
"""Longer than the test: whatever moves does so because a node has handed it over."""
CLIENTS = 4
PAUSE = 0.02
"""Seconds between the asks of one client."""


@attrs.define
class Load:
    """Clients that ask for as long as they are wanted, and keep what came of it."""

    refs: list[ActorRef]
    is_over: bool = False
    answered: Counter[str] = attrs.field(factory=Counter[str])
    failures: list[str] = attrs.field(factory=list[str])
    slowest: float = 0.0

    async def ask(self) -> None:
        """Be one client, which asks everybody in turn."""
        while not self.is_over:
            for ref in self.refs:
                asked = trio.current_time()
                try:
                    await ref.ask(Add())
                except Exception as error:
                    self.failures.append(f"{ref.name}: {type(error).__name__}: {error}")
                else:
                    self.answered[ref.name] += 1
                self.slowest = max(self.slowest, trio.current_time() - asked)
                await trio.sleep(PAUSE)


async def found(system: ActorSystem, name: str) -> ActorRef:
    ref = await system.locate(name)
    assert ref is not None
    return ref


async def restart(nodes: Nodes) -> None:
    """Restart one node after the other, each as soon as the one before is a member again."""
    for name in "abc":
        await nodes[name].leave()
        await nodes.start(name)
        await nodes[name].do("wait_members", 4)
        await trio.sleep(0.5)


async def test_three_nodes_are_restarted_under_load_and_no_ask_fails(engine: Engine, tmp_path: Path) -> None:
    path = str(tmp_path / "ledger")
    async with (
        open_nodes(engine.url, *"abc", lease_ttl=LEASE) as nodes,
        system_of(engine.url, "client", LOCAL, LEASE, is_client=True) as system,
    ):
        names = [f"account-{number}" for number in range(6)]
        for name in names:
            await nodes["a"].do("place", name, "eve")
        await nodes["a"].do("keep_books", "books", path)
        load = Load([await found(system, name) for name in [*names, "books"]])

        with trio.fail_after(2 * PATIENCE):
            async with trio.open_nursery() as nursery:
                for _ in range(CLIENTS):
                    nursery.start_soon(load.ask)
                await restart(nodes)
                load.is_over = True

        assert load.failures == []
        assert min(load.answered.values()) > 10
        attempts = Ledger(path).attempts()
        assert len(attempts) == load.answered["books"]
        assert attempts == sorted(attempts)
        assert len({await ref.ask(Where()) for ref in load.refs}) >= 1
