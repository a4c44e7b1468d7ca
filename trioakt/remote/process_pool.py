"""Process pools: a router whose routees are in process nodes, so that they work on several processors at once."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Sequence
from typing import TYPE_CHECKING, Any, cast

import attrs
import trio

from trioakt.errors import CodecError
from trioakt.lowlevel import Actor, ActorRef, PoisonPill, Request, SpawnOptions, Terminated, TerminationCause, kind_of
from trioakt.patterns.router import Resize, Router, RouterRef
from trioakt.patterns.routing import LeastFull, RoutingStrategy
from trioakt.remote.process_nodes import Child, Plan, ProcessActor, RemoteSystem, make_plan, place_of
from trioakt.supervision import Strategy

if TYPE_CHECKING:
    from trioakt.lowlevel import CoreContext, CoreSystem, Spawner

_INIT_TIMEOUT = 60.0
"""Seconds within which a process has to start, when many do so at once."""
_GRACE = 5.0
_SUSPICION = 60.0


@attrs.frozen
class _Joined:
    """A routee has started in a process, for this place in the pool."""

    key: str
    ref: ActorRef[Any]


@attrs.frozen
class _Fill(Request[None]):
    """Spawn routees for these places, if the process is still this one; a later one has spawned all of them."""

    child: Child | None
    keys: Sequence[str]


@attrs.define(eq=False)
class _Pool:
    """What is to be spawned in how many processes, and how many of it; it outlives a restart of the router."""

    kind: type[Actor]
    args: tuple[Any, ...]
    plans: list[Plan]
    size: int
    supervision: Strategy | None

    def keys(self, process: int) -> list[str]:
        """Return the places in the pool whose routees are in this process."""
        return [str(key) for key in range(process + 1, self.size + 1, len(self.plans))]

    def process(self, key: str) -> int:
        """Return the process of a place."""
        return (int(key) - 1) % len(self.plans)


class PoolProcess(ProcessActor):
    """Keeps one of the processes, and tells the router of its routees."""

    def __init__(self, pool: _Pool, number: int) -> None:
        super().__init__(pool.plans[number])
        self._pool = pool
        self._number = number

    async def pre_start(self, ctx: CoreContext) -> None:
        """Start a process and the routees in it."""
        await super().pre_start(ctx)
        await self._fill(ctx, self._pool.keys(self._number))

    async def receive(self, ctx: CoreContext, msg: object) -> None:
        """Spawn more routees."""
        match msg:
            case _Fill(child, keys):
                if child is self.plan.child:
                    await self._fill(ctx, keys)
                if ctx.asked:
                    ctx.reply(None)
            case _:
                await super().receive(ctx, msg)

    async def _fill(self, ctx: CoreContext, keys: Sequence[str]) -> None:
        child, router = self.plan.child, ctx.parent
        assert child is not None
        assert router is not None
        for key in keys:
            ref = await self.plan.endpoint.spawn(child.node, self._pool.kind, self._pool.args, None)
            router.tell(_Joined(key, ref))


class _ProcessRouter(Router):
    """Routes to actors in the processes that its children keep; they join when they have started."""

    def __init__(self, strategy: RoutingStrategy, pool: _Pool) -> None:
        super().__init__(strategy)
        self._pool = pool
        self._processes: dict[int, ActorRef[Any]] = {}

    async def pre_start(self, ctx: CoreContext) -> None:
        await super().pre_start(ctx)
        errors: list[Exception] = []
        async with trio.open_nursery() as nursery:
            for number in range(len(self._pool.plans)):
                nursery.start_soon(self._start, ctx, number, errors)
        if errors:
            raise errors[0]

    async def _start(self, ctx: CoreContext, number: int, errors: list[Exception]) -> None:
        options = SpawnOptions(init_timeout=_INIT_TIMEOUT, stop_grace=_GRACE)
        if self._pool.supervision is not None:
            options["supervision"] = self._pool.supervision
        try:
            process = await ctx.spawn(PoolProcess, self._pool, number, name=f"process-{number + 1}", **options)
        except Exception as error:
            errors.append(error)
        else:
            self._processes[number] = process

    def receive(self, ctx: CoreContext, msg: Any) -> Awaitable[None] | None:
        match msg:
            case _Joined(key, ref):
                self._join(ctx, key, ref)
            case Resize(size):
                return self._resize(ctx, size)
            case _:
                try:
                    return super().receive(ctx, msg)
                except CodecError as error:  # a message that cannot travel harms its sender alone
                    self._refuse(ctx, error)
        return None

    def _join(self, ctx: CoreContext, key: str, ref: ActorRef[Any]) -> None:
        former = self._routees.get(key)
        if former is not None:
            ctx.unwatch(former)
            del self._keys[former]
        self._add(ctx, key, ref)
        self._routees = dict(sorted(self._routees.items(), key=lambda item: int(item[0])))
        self._update()

    def _refuse(self, ctx: CoreContext, error: CodecError) -> None:
        if ctx.asked:
            ctx.reply_to.end(error)
        else:
            ctx.log.error("cannot route a message: %s", error)
            ctx.unhandled()

    async def _ended(self, ctx: CoreContext, end: Terminated) -> None:
        key = self._remove(end.ref)
        if key is not None and end.cause not in (TerminationCause.NODE_LOST, TerminationCause.FAILED):
            number = self._pool.process(key)
            self._processes[number].tell(_Fill(self._pool.plans[number].child, [key]))

    async def _resize(self, ctx: CoreContext, size: int) -> None:
        pool = self._pool
        before, pool.size = pool.size, size
        for key, ref in list(self._routees.items()):
            if int(key) > size:
                ctx.unwatch(ref)
                self._remove(ref)
                ref.tell(PoisonPill())
        for number, process in self._processes.items():
            missing = [key for key in pool.keys(number) if int(key) > before]
            if missing and process.is_alive:
                await process.ask(_Fill(pool.plans[number].child, missing))
        if ctx.asked:
            ctx.reply(None)


async def spawn_process_pool(
    spawner: Spawner,
    system: CoreSystem,
    factory: Any,
    args: tuple[Any, ...],
    *,
    size: int | None,
    processes: int,
    strategy: RoutingStrategy,
    name: str | None,
    options: SpawnOptions,
) -> RouterRef:
    """Start a router with routees in process nodes; see ``ActorSystem.spawn_router``."""
    endpoint = cast("RemoteSystem", system).endpoint
    place = place_of(factory)
    size = processes if size is None else size
    if not 1 <= processes <= size:
        raise ValueError(f"each process has at least one routee, got {processes} processes for size {size}")
    if isinstance(strategy, LeastFull):
        raise ValueError("LeastFull() cannot see the mailboxes of other processes")
    supervision = options.pop("supervision", None)
    if options:
        raise ValueError(f"{min(options)!r} is no option of routees in other processes")
    endpoint.check(args)
    plans = [
        make_plan(system, endpoint, f"{name or kind_of(factory)}-{number}", [place], suspicion=_SUSPICION, grace=_GRACE)
        for number in range(1, processes + 1)
    ]
    pool = _Pool(factory, args, plans, size, supervision)

    def router() -> Actor:
        return _ProcessRouter(strategy, pool)

    ref = await spawner.spawn(router, name=name, init_timeout=math.inf)  # that of each process bounds it
    return RouterRef(ref.recipient)
