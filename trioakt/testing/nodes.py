"""The nodes of a simulation, the network between them and their store: what a scenario is given, and can do to them."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from functools import partial
from random import Random
from typing import Any, TypeVar, TypeVarTuple, Unpack, cast

import attrs
import trio

from trioakt import Actor, ActorSystem, Cluster, Grain, Remote
from trioakt.remote.memory import MemoryNetwork
from trioakt.testing.gates import Gate, Gates
from trioakt.testing.invariants import Invariants, Observer

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_SYSTEM = "simulation"
_EPOCH = 1_700_000_000.0
"""What the clocks on the wall show when a simulation begins, in seconds since 1970."""
_SETTLING = 5.0
"""Seconds after which every loss has been noticed."""
_RELOCATION = 7.0
"""Seconds more after which somebody serves each name again: a lease, and two."""


@attrs.frozen
class _Setup:
    """How a node is started, each time."""

    kinds: tuple[type[Actor], ...]
    grains: tuple[type[Grain], ...]
    roles: tuple[str, ...]
    cluster: bool
    skew: float
    options: dict[str, Any]


@attrs.define(eq=False)
class _Node:
    """One run of a node."""

    host: str
    setup: _Setup
    system: ActorSystem
    observer: Observer
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    gate: Gate = attrs.field(factory=Gate)
    started: bool = False
    ended: trio.Event = attrs.field(factory=trio.Event)

    async def live(self, task_status: trio.TaskStatus[None]) -> None:
        """Run until its end."""
        with self.scope, self.system.events.listen(self.observer.hear):
            async with self.system:
                self.started = True
                task_status.started()
                await trio.sleep_forever()


class SimulatedNodes:
    """The nodes of one system in a simulation; a scenario is given them as ``sim``.

    A node is the ``ActorSystem`` that ``start_nodes`` or ``restart`` has returned.

    Attributes:
        rng: Where a scenario takes its own chance from, so that the seed decides about it too.
        store: What the cluster of the nodes is kept in, with faults to call for: ``freeze``, ``thaw``, ``delay``,
            ``expire``, ``forget``. Nodes are called there as they are here, ``node-1`` and so on.
    """

    def __init__(self, nursery: trio.Nursery, seeds: Random, invariants: Invariants, gates: Gates) -> None:
        self.rng = Random(seeds.getrandbits(64))
        self._seeds = seeds
        self._entropy = Random(seeds.getrandbits(64)).randbytes
        self._network = MemoryNetwork(Random(seeds.getrandbits(64)))
        self.store = invariants.store
        self._nursery = nursery
        self._invariants = invariants
        self._gates = gates
        self._nodes: dict[str, _Node] = {}
        self._hosts: dict[ActorSystem, str] = {}
        self._scenario = trio.CancelScope()
        self._failure: Exception | None = None

    # ------------------------------------------------------------------------- nodes

    async def start_nodes(
        self,
        count: int,
        *,
        kinds: Iterable[type[Actor]] = (),
        grains: Iterable[type[Grain]] = (),
        roles: Iterable[str] = (),
        cluster: bool = True,
        skew: float = 0.0,
        **options: Any,
    ) -> tuple[ActorSystem, ...]:
        """Start nodes, each in a task of its own; they are called ``node-1``, ``node-2`` and so on.

        Args:
            count: How many.
            kinds: Actor classes that other nodes may spawn there.
            grains: Classes of grains that may be active there.
            roles: What the nodes are good for in their cluster.
            cluster: Whether they are in a cluster.
            skew: By how many seconds, at most, the clock on the wall of each goes fast or slow.
            **options: As ``ActorSystem``.
        """
        setup = _Setup(tuple(kinds), tuple(grains), tuple(roles), cluster, skew, options)
        first = len(self._nodes) + 1
        return tuple([await self._start(f"node-{number}", setup) for number in range(first, first + count)])

    async def crash(self, node: ActorSystem) -> None:
        """End a node without any goodbye, and return when nothing of it runs any more.

        Others and the store hear nothing from it from now on, and its lease lapses in its time; its own ``post_stop``
        hooks do run, as they run in this process.

        Raises:
            ValueError: It does not run.
        """
        run = self._running(node)
        self._invariants.note("crash", run.host)
        run.observer.crashed()
        self.store.crash(run.host)
        run.scope.cancel()
        self._network.crash(run.host)
        run.gate.open()
        await run.ended.wait()

    async def restart(self, node: ActorSystem) -> ActorSystem:
        """Start a node once more, as it was started first, and return its successor: a new incarnation.

        One that still runs, frozen or not, is shut down in order before that.
        """
        host = self._host(node)
        run = self._nodes[host]
        if not run.gate.is_open:
            self.thaw(run.system)
        self._invariants.note("restart", host)
        run.system.shutdown()
        await run.ended.wait()
        self.store.restart(host)
        return await self._start(host, run.setup)

    def freeze(self, node: ActorSystem) -> None:
        """Let nothing of a node run until ``thaw``, as ``SIGSTOP`` does; what comes for it waits, and time goes on.

        What the scenario itself does with the node's refs is not held up: let ``run_on`` do it.

        Raises:
            ValueError: It does not run.
        """
        run = self._running(node)
        if run.gate.is_open:
            self._invariants.note("freeze", run.host)
            self._invariants.owners.freeze(run.host)
            run.gate.close()

    def thaw(self, node: ActorSystem) -> None:
        """Let a node run again; all that has become due meanwhile happens now, in an order that the seed decides.

        Raises:
            ValueError: It does not run.
        """
        run = self._running(node)
        if not run.gate.is_open:
            self._invariants.note("thaw", run.host)
            self._invariants.owners.thaw(run.host)
            self._nursery.start_soon(self._invariants.owners.check_thawed, run.host)
            run.gate.open()

    async def run_on(self, node: ActorSystem, fn: Callable[[Unpack[Ts]], Coroutine[Any, Any, T]], *args: *Ts) -> T:
        """Run ``await fn(*args)`` as something that the node does: while the node is frozen it does not go on.

        Raises:
            ValueError: It does not run.
        """
        return await self._gates.run(self._running(node).gate, fn, *args)

    # ----------------------------------------------------------------------- network

    def partition(
        self,
        nodes: Iterable[ActorSystem],
        others: Iterable[ActorSystem],
        *,
        one_way: bool = False,
        store: bool = False,
    ) -> None:
        """Cut nodes off from others until ``heal``.

        Args:
            nodes: Those on one side.
            others: Those on the other side.
            one_way: Cut only what the first send to the others.
            store: Cut the first off from the store too.
        """
        here, there = (sorted(map(self._host, side)) for side in (nodes, others))
        self._invariants.note("partition", f"{', '.join(here)} {'>' if one_way else '|'} {', '.join(there)}")
        self._network.partition(here, there, one_way=one_way)
        if store:
            self.store.partition(*here)

    def heal(self) -> None:
        """End all partitions."""
        self._invariants.note("heal")
        self._network.heal()
        self.store.heal()

    def drop(self, probability: float, *, between: tuple[ActorSystem, ActorSystem] | None = None) -> None:
        """Lose single frames from now on, of all links or of those between two nodes."""
        hosts = self._between(between)
        self._invariants.note("drop", " ".join(hosts or ()), str(probability))
        self._network.drop(probability, between=hosts)

    def delay(self, low: float, high: float, *, between: tuple[ActorSystem, ActorSystem] | None = None) -> None:
        """Let frames take so many seconds from now on, on all links or on those between two nodes."""
        hosts = self._between(between)
        self._invariants.note("delay", " ".join(hosts or ()), f"{low} to {high}")
        self._network.delay(low, high, between=hosts)

    # ---------------------------------------------------------------- what runs it

    async def play(self, scenario: Any, args: tuple[object, ...]) -> float:
        """Run a scenario, then end all nodes in order, and check the promises.

        Returns:
            The seconds that the scenario has taken.

        Raises:
            Exception: What the scenario has raised, or a node that has failed.
        """
        seconds = 0.0
        with self._scenario:
            await scenario(self, *args)
            seconds = trio.current_time()
            await self._settle()
            await self._close()
        if self._failure is not None:
            raise self._failure
        return seconds

    async def _settle(self) -> None:
        self.drop(0.0)
        self.delay(0.0, 0.0)
        self.heal()
        self.store.mend()
        for run in self._nodes.values():
            if not run.gate.is_open:
                self.thaw(run.system)
        await trio.sleep(_SETTLING)
        for observer in self._invariants.observers:
            observer.check_asks()
        member = next((node for node in self._nodes.values() if node.setup.cluster and not node.ended.is_set()), None)
        if member is not None:
            await self._invariants.check_owners(member.system, _RELOCATION)

    async def _close(self) -> None:
        self._invariants.note("end")
        for node in self._nodes.values():
            node.system.shutdown()
        for node in self._nodes.values():
            await node.ended.wait()
        for observer in self._invariants.observers:
            observer.check_end()
        left = self._network.statistics()
        if left.listeners or left.links:
            self._invariants.report(f"left behind: {left.listeners} listeners, {left.links} links")
        stored = self.store.statistics()
        if stored.leases or stored.watches:
            self._invariants.report(f"left behind: {stored.leases} leases, {stored.watches} watches")

    async def _start(self, host: str, setup: _Setup) -> ActorSystem:
        remote = Remote(
            f"mem://{host}:1",
            node=host,
            kinds=setup.kinds,
            transport=self._network.transport(host),
            entropy=self._entropy,
        )
        observer = self._invariants.observe(host, f"{host}:1")
        options: dict[str, Any] = {**setup.options, "extensions": (observer, *setup.options.get("extensions", ()))}
        if setup.cluster:
            options["cluster"] = Cluster(
                self.store.view(host), roles=setup.roles, kinds=setup.kinds, grains=setup.grains
            )
        rng = Random(self._seeds.getrandbits(64))
        offset = rng.uniform(-setup.skew, setup.skew) if setup.skew else 0.0
        system = ActorSystem(_SYSTEM, remote=remote, rng=rng, wall_clock=partial(_wall_clock, offset), **options)
        node = self._nodes[host] = _Node(host, setup, system, observer)
        self._hosts[system] = host
        self._invariants.note("start", host)
        await self._nursery.start(self._run, node, name=host)
        return system

    async def _run(self, node: _Node, *, task_status: trio.TaskStatus[None]) -> None:
        """Be the task of a node."""
        try:
            await self._gates.run(node.gate, node.live, task_status)
        except Exception as error:
            if not node.started:
                raise
            self._failed(node, error)
        finally:
            node.ended.set()

    def _failed(self, node: _Node, error: Exception) -> None:
        """End the scenario, as a node has failed; one that crashes may see its listener closed before it is gone."""
        if node.scope.cancel_called and all(isinstance(each, trio.ClosedResourceError) for each in _members(error)):
            return
        self._failure = self._failure or error
        self._scenario.cancel()

    # ----------------------------------------------------------------------- names

    def _host(self, node: ActorSystem) -> str:
        host = self._hosts.get(node)
        if host is None:
            raise ValueError(f"not a node of this simulation: {node!r}")
        return host

    def _running(self, node: ActorSystem) -> _Node:
        run = self._nodes[self._host(node)]
        if run.system is not node or run.ended.is_set():
            raise ValueError(f"{run.host} does not run any more, or another incarnation does")
        return run

    def _between(self, nodes: tuple[ActorSystem, ActorSystem] | None) -> tuple[str, str] | None:
        return None if nodes is None else (self._host(nodes[0]), self._host(nodes[1]))


def _members(error: BaseException) -> list[BaseException]:
    """Return the exceptions in a group, and in the groups in it."""
    if not isinstance(error, BaseExceptionGroup):
        return [error]
    group = cast("BaseExceptionGroup[BaseException]", error)
    return [member for each in group.exceptions for member in _members(each)]


def _wall_clock(offset: float) -> float:
    return _EPOCH + offset + trio.current_time()
