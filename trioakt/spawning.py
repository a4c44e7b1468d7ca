"""What the facade adds to spawning: the ways to start actors that are made of patterns."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVarTuple, Unpack

from trioakt.lowlevel import Spawner, SpawnOptions
from trioakt.patterns.router import RouterRef, spawn_group, spawn_pool
from trioakt.patterns.routing import Resizer, RoundRobin, RoutingStrategy
from trioakt.patterns.tasks import TaskRestart, spawn_task
from trioakt.remote.process_pool import spawn_process_pool

if TYPE_CHECKING:
    from trioakt.lowlevel import Actor, ActorRef

Ts = TypeVarTuple("Ts")


class PatternSpawner(Spawner):
    """A spawner that also starts supervised tasks and routers."""

    __slots__ = ()

    async def spawn_task(
        self,
        fn: Callable[[Unpack[Ts]], Awaitable[object]],
        *args: *Ts,
        restart: TaskRestart = "permanent",
        name: str | None = None,
        **options: Unpack[SpawnOptions],
    ) -> ActorRef:
        """Run a plain async function as a supervised task in the tree; it needs no messages.

        Args:
            fn: Run as ``await fn(*args)``, and again at each restart.
            *args: Its arguments.
            restart: ``"permanent"``: whenever it ends, it is a failure; ``"transient"``: only what it raises is one,
                and when it returns the actor stops; ``"temporary"``: it is never restarted. (The words are OTP's.)
            name: Unique among its siblings; without one, a name is made.
            **options: As ``spawn``; ``supervision`` goes with permanent and transient tasks only.

        Raises:
            NameTakenError, ActorStoppedError, TypeError, ValueError: As ``spawn``.
        """
        return await spawn_task(self, fn, args, restart=restart, name=name, options=options)

    async def spawn_router(
        self,
        factory: Callable[[Unpack[Ts]], Actor],
        *args: *Ts,
        size: int | None = None,
        processes: int | None = None,
        strategy: RoutingStrategy = RoundRobin(),  # noqa: B008 - plain frozen data
        resizer: Resizer | None = None,
        name: str | None = None,
        **options: Unpack[SpawnOptions],
    ) -> RouterRef:
        """Start a pool of actors of one kind behind one ref; they are the children of the router.

        A routee that ends is replaced, but one that its supervision stops because it failed is removed. A message that
        a full routee rejects is a dead letter; one that was asked ends with ``MailboxFullError``.

        With ``processes`` the routees are in so many process nodes, and work on as many processors at once; the
        system needs ``remote=``. A process that dies is replaced, with its routees; what they had in hand is lost.

        Args:
            factory: The recipe of each routee; with ``processes``, an actor class at the top of a module.
            *args: Its arguments; with ``processes``, they travel like the fields of a message.
            size: How many routees there are; by default one, or one in each process.
            processes: How many processes there are; without it, the routees are in this one.
            strategy: ``RoundRobin()``, ``Random()``, ``LeastFull()``, ``ConsistentHash(key)``, ``Broadcasting()``,
                ``ScatterGatherFirst(within)`` or ``TailChopping(within, interval)``.
            resizer: Changes the size, within its bounds, by what waits in the mailboxes of the routees.
            name: Of the router, unique among its siblings; without one, a name is made.
            **options: As ``spawn``, for each routee; ``supervision`` is how the router treats those that fail. With
                ``processes`` there is only this one, for processes that die.

        Raises:
            StartError: A routee or a process did not start.
            CodecError: An argument cannot travel to another process.
            RuntimeError: ``processes`` without ``remote=``.
            NameTakenError, ActorStoppedError, TypeError, ValueError: As ``spawn``.
        """
        if processes is None:
            return await spawn_pool(
                self,
                factory,
                args,
                size=1 if size is None else size,
                strategy=strategy,
                resizer=resizer,
                name=name,
                options=options,
            )
        if resizer is not None:
            raise ValueError("a resizer cannot see the mailboxes of other processes: use ref.resize(size)")
        return await spawn_process_pool(
            self,
            self._parent().system,
            factory,
            args,
            size=size,
            processes=processes,
            strategy=strategy,
            name=name,
            options=options,
        )

    async def spawn_cluster_router(
        self,
        kind: type[Actor],
        *args: object,
        role: str = "",
        per_node: int = 1,
        strategy: RoutingStrategy = RoundRobin(),  # noqa: B008 - plain frozen data
        name: str | None = None,
    ) -> ActorRef[Any]:
        """Start a router with routees on each member of the cluster that has a role and takes the kind.

        They follow the members: one that joins gets its routees, and to one that leaves, drains or is lost nothing goes
        any more. Routees on a node that drains finish what waits for them. Each node treats its routees as its
        actors at the top; one that ends is replaced, but one that is stopped because it failed is not. What was under
        way to a node that is lost ends with ``ConnectionLostError``. While no member has routees, what comes is a dead
        letter, and asks raise ``ActorStoppedError``. The router is an actor of this node, and its routees end with it.

        Args:
            kind: The actor class; members take those of ``Cluster(kinds=...)``.
            *args: Its arguments; they travel like the fields of a message.
            role: Only members with this role get routees; empty for all.
            per_node: How many routees each of them gets.
            strategy: As ``spawn_router``; ``LeastFull()`` goes by what the nodes tell ten times a second.
            name: Of the router, unique among its siblings; without one, a name is made.

        Raises:
            StartError: There are members that fit, and none of them could start its routees.
            CodecError: An argument cannot travel.
            RuntimeError: This system has no ``cluster=``.
            NameTakenError, ActorStoppedError, TypeError, ValueError: As ``spawn``.
        """
        spawn: Callable[..., Awaitable[ActorRef[Any]]] = import_module("trioakt.cluster.router").spawn_cluster_router
        return await spawn(
            self, self._parent().system, kind, args, role=role, per_node=per_node, strategy=strategy, name=name
        )

    async def spawn_group_router(
        self,
        routees: Iterable[ActorRef[Any]],
        *,
        strategy: RoutingStrategy = RoundRobin(),  # noqa: B008 - plain frozen data
        name: str | None = None,
    ) -> ActorRef[Any]:
        """Start a router to actors that are there already; one that ends is removed.

        Args:
            routees: Their refs; they stay whose children they are, and live on when the router stops.
            strategy: As ``spawn_router``.
            name: Of the router, unique among its siblings; without one, a name is made.

        Raises:
            NameTakenError, ActorStoppedError, TypeError, ValueError: As ``spawn``.
        """
        return await spawn_group(self, routees, strategy=strategy, name=name)
