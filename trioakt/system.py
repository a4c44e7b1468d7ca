"""The actor system that users see: the kernel's, with the patterns as methods."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager
from importlib import import_module
from random import Random
from typing import TYPE_CHECKING, Any, ClassVar, TypeVarTuple, Unpack, cast

from trioakt.cluster.placement import Placement
from trioakt.cluster.settings import Cluster, check_kind
from trioakt.context import Context
from trioakt.grains.grain import Grain
from trioakt.grains.local import LocalGrains
from trioakt.grains.ref import GrainRef
from trioakt.lowlevel import (
    Actor,
    ActorRef,
    CoreContext,
    CoreSystem,
    Options,
    RestPolicy,
    Settings,
    ShutdownHook,
    SpawnOptions,
    Strategy,
)
from trioakt.patterns.schedule import Scheduler
from trioakt.patterns.topics import Topics, TopicStream
from trioakt.remote.process_nodes import ProcessNode, open_process_node
from trioakt.remote.settings import Remote
from trioakt.spawning import PatternSpawner
from trioakt.supervision import OneForOne

if TYPE_CHECKING:
    from types import TracebackType

    from trioakt.cluster.node import ClusterNode
    from trioakt.datacenter.abroad import Abroad
    from trioakt.remote.endpoint import Endpoint

Ts = TypeVarTuple("Ts")

_DRAINING = 60.0
"""Seconds that handing over may take when a node of a cluster shuts down."""


class ActorSystem(CoreSystem, PatternSpawner):
    """Owns a tree of actors; an async context manager that can be entered once, and leaves nothing behind.

    Leaving the block normally, or after ``shutdown()``, runs the coordinated shutdown: the hooks in their order, then
    the actors, children before their parents. Leaving it by an exception or a cancellation stops everything at once;
    ``post_stop`` hooks still get their grace. A failure escalated past the root leaves the block in an exception
    group.

    Args:
        name: Letters, digits, ``-``, ``_`` and ``.``, at most 255.
        supervision: How the actors at the top are treated when they fail.
        init_timeout: Seconds that a ``pre_start`` may take, where a spawn does not say otherwise.
        stop_grace: Seconds that each part of an actor's end may take, likewise.
        shutdown_timeout: Seconds after which the coordinated shutdown cancels every actor.
        turn: Messages that an actor handles before others get their turn.
        eviction: How the number of actors is kept down; without it, it is not.
        extensions: Objects that ``extension(Type)`` finds by their type.
        shutdown_hooks: Steps of the coordinated shutdown, in order.
        remote: How this system reaches others, and they it; without it, it does not.
        cluster: Which nodes this system owns actors together with; it needs ``remote``.
        rng: Where all chance comes from; seed it to repeat a run.
        wall_clock: Tells the time for schedules by cron expression, in seconds since 1970; for tests.
    """

    context_class: ClassVar[type[CoreContext]] = Context

    def __init__(
        self,
        name: str,
        *,
        supervision: Strategy = OneForOne(),  # noqa: B008 - frozen
        init_timeout: float = 5.0,
        stop_grace: float = 5.0,
        shutdown_timeout: float = 60.0,
        turn: int = 64,
        eviction: RestPolicy | None = None,
        extensions: Iterable[object] = (),
        shutdown_hooks: Iterable[ShutdownHook] = (),
        remote: Remote | None = None,
        cluster: Cluster | None = None,
        rng: Random | None = None,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        if cluster is not None:
            if remote is None:
                raise ValueError("the nodes of a cluster reach each other: give remote=Remote(...) too")
            shutdown_hooks = (*shutdown_hooks, ShutdownHook(_drain, timeout=_DRAINING))
        settings = Settings(
            supervision=supervision,
            actors=Options(init_timeout=init_timeout, stop_grace=stop_grace),
            shutdown_timeout=shutdown_timeout,
            turn=turn,
            eviction=eviction,
            extensions=extensions,
            shutdown_hooks=shutdown_hooks,
            rng=Random() if rng is None else rng,
            wall_clock=wall_clock,
        )
        super().__init__(name, settings)
        self._endpoint: Endpoint | None = None
        if remote is not None:
            self._endpoint = import_module("trioakt.remote.opening").endpoint(self, remote)
        self._cluster: ClusterNode | None = None
        self._is_open = False
        if cluster is not None:
            self._cluster = import_module("trioakt.cluster.opening").cluster_node(self, cluster, self._endpoint)
            if cluster.datacenter is not None:
                import_module("trioakt.datacenter.opening").join(
                    self, self._cluster, cluster.datacenter, self._endpoint
                )

    @property
    def is_open(self) -> bool:
        """Whether it has started, and no end of it has begun."""
        return self._is_open and not self._body.cancel_called

    @property
    def topics(self) -> Topics:
        """Publish and subscribe."""
        return self.service(Topics)

    @property
    def scheduler(self) -> Scheduler:
        """Messages told later."""
        return self.service(Scheduler)

    # ------------------------------------------------------------------ other nodes

    @property
    def endpoint(self) -> Endpoint:
        """What this system has to do with other nodes, for those who write patterns over several.

        Raises:
            RuntimeError: This system has no ``remote=``.
        """
        if self._endpoint is None:
            raise RuntimeError(f"the system {self.name!r} reaches no other: give it remote=Remote(...)")
        return self._endpoint

    async def resolve(self, address: str) -> ActorRef[Any]:
        """Return the ref of the actor that lives at an address now, on whichever node of the system.

        Raises:
            ActorNotFoundError: Nobody lives there.
            NodeUnreachableError: There is no session with that node, and none comes about.
            ValueError: It is no address of this system.
            RuntimeError: This system has no ``remote=``.
        """
        return await self.endpoint.resolve(address)

    async def spawn(  # pyright: ignore[reportIncompatibleMethodOverride] - no option has the name of one of these
        self,
        factory: Callable[[Unpack[Ts]], Actor],
        *args: *Ts,
        name: str | None = None,
        cluster: bool = False,
        relocate: bool = True,
        **options: Unpack[SpawnOptions],
    ) -> ActorRef:
        """Start an actor at the top of this node and return its ref when its ``pre_start`` is done.

        Args:
            factory: As ``Context.spawn``; with ``cluster``, an actor class.
            *args: Arguments of the factory; with ``cluster``, they travel like the fields of a message.
            name: Unique among its siblings; without one, a name is made.
            cluster: Whether the name is one of the whole cluster, as that of ``spawn_on`` with a placement.
            relocate: Whether another node starts the actor anew when this one is lost or leaves; with ``cluster``.
            **options: As ``Context.spawn``; with ``cluster``, as ``spawn_on``.

        Raises:
            StartError, NameTakenError, ActorStoppedError, TypeError, ValueError: As ``Context.spawn``.
            NoQuorumError, LeaseLostError, CodecError, RuntimeError: With ``cluster``, as ``spawn_on``.
        """
        if not cluster:
            return await super().spawn(factory, *args, name=name, **options)
        check_kind(factory)
        kind = cast("type[Actor]", factory)
        return await self._spawn_in_cluster(Placement.local(), kind, args, name, relocate=relocate, options=options)

    async def spawn_on(
        self,
        where: str | Placement,
        kind: type[Actor],
        *args: object,
        name: str | None = None,
        relocate: bool = True,
        **options: Unpack[SpawnOptions],
    ) -> ActorRef[Any]:
        """Spawn an actor at the top of another node, or of one of the cluster's that a placement chooses.

        With an address, the node must have registered the class, and the ref is that of the actor there. With a
        placement, the actor gets a name of the whole cluster: it is durable before this returns, each node finds it
        with ``locate``, and when its node is lost another one starts the actor anew. The ref means the name. Where the
        placement names another datacenter, a node there does all this in its own cluster.

        Args:
            where: The address of the node, ``trioakt://bank@10.0.0.5:4041``, or a ``Placement``.
            kind: The actor class.
            *args: Its arguments; they travel like the fields of a message.
            name: As ``spawn``; with a placement it is needed.
            relocate: With a placement: whether another node starts the actor anew when its own is lost or leaves.
            **options: With a placement: ``init_timeout``, ``stash_capacity`` and ``stop_grace``, as ``spawn``.

        Raises:
            StartError: It did not start, or the node has not registered the class.
            NameTakenError: An actor at the top of that node, or of the cluster, has this name.
            PlacementError: No live member can take it.
            NoQuorumError: The store cannot be reached; whether it was started is not known.
            LeaseLostError: This node is no member of its cluster now.
            DatacenterError: The other datacenter takes nothing new, or as ``grain``.
            ConnectionLostError: The link to the other datacenter was lost: the actor may have been started.
            NodeUnreachableError, ValueError, RuntimeError: As ``resolve``.
            CodecError: An argument cannot travel.
        """
        if isinstance(where, str):
            return await self.endpoint.spawn_on(where, kind, args, name)
        return await self._spawn_in_cluster(where, kind, args, name, relocate=relocate, options=options)

    async def _spawn_in_cluster(
        self,
        placement: Placement,
        kind: type[Actor],
        args: tuple[object, ...],
        name: str | None,
        *,
        relocate: bool,
        options: SpawnOptions,
    ) -> ActorRef[Any]:
        if name is None:
            raise TypeError("an actor of the cluster needs a name=")
        there = self._abroad(placement.datacenter, placing=True)
        spawn = self.cluster.spawn if there is None else there.spawn
        return await spawn(kind, args, name, placement=placement, relocate=relocate, options=options)

    def _abroad(self, datacenter: str, *, placing: bool = False) -> Abroad | None:
        """Return the way into another datacenter; ``None`` if it is the one that this node is in."""
        return self.cluster.datacenter_federation().abroad(datacenter, placing=placing) if datacenter else None

    def grain(self, kind: type[Grain], identity: str, *, datacenter: str = "") -> GrainRef[Any]:
        """Return the ref to a grain; nothing is started until the first message.

        In a cluster, sending to it raises ``PlacementError`` when no live member takes such grains.

        Args:
            kind: Its class.
            identity: Who it is: any text of at most 255 characters.
            datacenter: In which one, where there are several: the same identity in two of them is two grains.

        Raises:
            TypeError: It is no class of grains, or has a bad option; or the identity is no text.
            ValueError: The identity is empty or too long, or an option is out of range.
            DatacenterError: That datacenter is unknown or inactive, or nothing has been heard of any for too long.
            RuntimeError: With ``datacenter``: this system's cluster is none of several.
        """
        there = self._abroad(datacenter)
        if there is not None:
            return there.grains.ref_to(kind, identity)
        grains = self.service(LocalGrains) if self._cluster is None else self._cluster.grains
        return grains.ref_to(kind, identity)

    def remote_events(
        self, address: str, *kinds: type[Any], buffer: int = 10_000
    ) -> AbstractAsyncContextManager[TopicStream]:
        """Subscribe a task to events of another node: ``async with system.remote_events(address, DeadLetter) as them``.

        It reads what happens there from the beginning of the block on. Refs in an event mean the same actors; a failure
        comes as text; ``at`` is by that node's clock. In place of an event that cannot travel, as its message cannot,
        comes ``Missed(1)``. ``ConnectionLostError`` ends the iteration when the link is lost.

        Args:
            address: The address of the node.
            *kinds: Event classes, subclasses included; none means all.
            buffer: Events kept for a slow reader; beyond it the oldest make way and ``Missed(count)`` tells so.

        Raises:
            TypeError: A kind is no event class.
            CodecError: The node knows no such class.
            NodeUnreachableError, MailboxFullError, ValueError, RuntimeError: As ``Topics.subscribe``.
        """
        return self.endpoint.topics.events(address, kinds, buffer)

    def register(self, kind: type[Actor]) -> None:
        """Let other nodes spawn actors of this class here, as ``Remote(kinds=...)`` does.

        Raises:
            RuntimeError: This system has no ``remote=``.
        """
        self.endpoint.register(kind)

    # ------------------------------------------------------------------ the cluster

    @property
    def cluster(self) -> ClusterNode:
        """This node's part in its cluster.

        Raises:
            RuntimeError: This system has no ``cluster=``.
        """
        if self._cluster is None:
            raise RuntimeError(f"the system {self.name!r} is in no cluster: give it cluster=Cluster(...)")
        return self._cluster

    async def spawn_singleton(self, kind: type[Actor], *args: object, name: str, role: str = "") -> ActorRef[Any]:
        """Return the ref of the one actor of this name in the cluster, which is started if it is not there.

        Every node may call this, and each that does can be given the actor. When its node leaves or is lost, another
        one starts it anew; the ref means whoever has it.

        Args:
            kind: The actor class.
            *args: Its arguments; they travel like the fields of a message. Those of the first call hold.
            name: Unique in the cluster.
            role: Only nodes with this role are given it.

        Raises:
            NameTakenError: An actor of another kind, or one that is no singleton, has this name.
            PlacementError: No live member has this role, or all that have it drain.
            StartError, NoQuorumError, LeaseLostError, CodecError, ValueError, RuntimeError: As ``spawn_on``.
        """
        return await self.cluster.spawn_singleton(kind, args, name, role)

    async def locate(self, name: str, *, datacenter: str = "") -> ActorRef[Any] | None:
        """Return the ref of the actor that has a name of the cluster, on whichever node; it outlives relocation.

        Args:
            name: Which.
            datacenter: In which one, where there are several; by default in that of this node.

        Raises:
            NoQuorumError: This node has not heard of the name, and the store cannot be reached.
            NodeUnreachableError: No node of the other datacenter can be reached.
            DatacenterError: As ``grain``.
            ValueError, RuntimeError: It is no name, or this system has no ``cluster=``, or as ``grain``.
        """
        there = self._abroad(datacenter)
        if there is not None:
            return await there.directory.locate(name)
        return await self.cluster.locate(name)

    def open_process_node(
        self,
        name: str,
        *,
        kinds: Iterable[type[Actor]],
        supervision: Strategy | None = None,
        init_timeout: float = 30.0,
        stop_grace: float = 5.0,
        suspicion: float = 60.0,
    ) -> AbstractAsyncContextManager[ProcessNode]:
        """Start a node of this system in a process of its own, until the block ends.

        The process is kept by an actor at the top of this system: when it dies, that actor fails, and a restart is
        a new process. It ends with the actor and with this program, in whichever way that ends. It shares the
        settings of ``remote=``, listens on the same host, and writes to the same standard output and error.

        Args:
            name: Of the actor, and of the node.
            kinds: The actor classes that can be spawned there. The process imports them by name; a program that
                defines them in its main module starts its work below ``if __name__ == "__main__":``.
            supervision: What becomes of it when the process dies; by default as this system says.
            init_timeout: Seconds within which the process has to start.
            stop_grace: Seconds that the actors there have to end; then the process is killed.
            suspicion: Seconds for which it may be too busy to give a sign of life; then it is killed.

        Raises:
            StartError: The process did not start; the cause says why.
            NameTakenError: An actor at the top has this name.
            TypeError, ValueError: A kind is no actor class that can be imported by its name, or an option is bad.
            RuntimeError: This system has no ``remote=``.
        """
        options = SpawnOptions(init_timeout=init_timeout, stop_grace=stop_grace)
        if supervision is not None:
            options["supervision"] = supervision
        return open_process_node(self, self.endpoint, name, kinds=kinds, suspicion=suspicion, options=options)

    async def _open(self) -> None:
        await super()._open()
        if self._cluster is not None and self._cluster.federation is not None:
            await self.nursery.start(self._cluster.federation.run)  # first, as messages may have to do with it
        if self._endpoint is not None:
            await self.nursery.start(self._endpoint.run)
        if self._cluster is not None:
            await self.nursery.start(self._cluster.run)
        self._is_open = True

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        """Shut down in order after a normal end or ``shutdown()``; after an exception, stop everything at once."""
        self._is_open = False
        return await super().__aexit__(kind, error, traceback)

    def _close(self) -> None:
        super()._close()
        self.topics.close()


async def _drain(system: ActorSystem) -> None:
    await system.cluster.drain()
