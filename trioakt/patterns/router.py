"""Routers: many actors behind one ref. What a router decides is in routing; here it is an actor with routees."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import attrs
import trio

from trioakt.lowlevel import (
    Actor,
    ActorRef,
    Ask,
    PoisonPill,
    Request,
    Spawner,
    SpawnOptions,
    Terminated,
    TerminationCause,
    message,
)
from trioakt.patterns import handing
from trioakt.patterns.passivation import Never
from trioakt.patterns.routing import Resizer, RoutingStrategy

if TYPE_CHECKING:
    from trioakt.lowlevel import CoreContext

_PERIOD = 1.0
"""Seconds from one look of a resizer to the next."""


@message
class Broadcast(Request[list[Any]]):
    """For every routee of a router, whatever its strategy; who asks gets the list of all replies, in their order."""

    message: Any


@message
class Resize(Request[None]):
    """Change the size of a pool."""

    size: int


@attrs.frozen
class _Send(Request[None]):
    """Send a message to the routees that the strategy chooses, and answer when they have room and have taken it."""

    message: Any
    sender: ActorRef[Any] | None


class GroupRef(ActorRef[Any]):
    """The ref of a router; ``stop()`` stops the router."""

    __slots__ = ()

    async def send(self, message: Any, sender: ActorRef[Any] | None = None) -> None:
        """Hand a message to a routee, waiting until that has room for it: backpressure from the whole way.

        When cancelled while it waits, the message was not sent.

        Raises:
            ActorStoppedError: The router, or the routee that was chosen, has ended.
        """
        if message.__class__ is PoisonPill:
            await super().send(message)
        else:
            await self.ask(_Send(message, sender))


class RouterRef(GroupRef):
    """The ref of a pool; ``stop()`` stops the router and its routees."""

    __slots__ = ()

    async def resize(self, size: int) -> None:
        """Start or stop routees until there are so many; returns when the new ones have started.

        The last ones go first, and each handles what waits in its mailbox before it stops.

        Raises:
            ValueError: The size is not at least 1.
            ActorStoppedError: The router has stopped.
            ActorFailedError: A new routee did not start (the cause); the router has failed.
        """
        await self.ask(Resize(_checked(size)))


@attrs.define
class _Pool:
    """The recipe of a pool's routees, and how many it shall have; it outlives a restart of the router."""

    factory: Callable[..., Actor]
    args: tuple[object, ...]
    options: SpawnOptions
    size: int
    resizer: Resizer | None


class Router(Actor):
    """Hands messages on to its routees; ``self._routees`` has them by the keys that the strategy knows them by."""

    def __init__(self, strategy: RoutingStrategy) -> None:
        self._strategy = strategy
        self._routees: dict[str, ActorRef[Any]] = {}
        self._keys: dict[ActorRef[Any], str] = {}

    async def pre_start(self, ctx: CoreContext) -> None:
        """Prepare the strategy; those who derive from this add their routees."""
        self._chooser = self._strategy.chooser(ctx.system.settings.rng)

    def receive(self, ctx: CoreContext, msg: Any) -> Awaitable[None] | None:
        """Route a message."""
        if isinstance(msg, Terminated):
            return self._ended(ctx, msg)
        if not self._routees:
            handing.refuse(ctx, msg)
        elif isinstance(msg, Broadcast):
            self._broadcast(ctx, msg.message)
        elif isinstance(msg, _Send):
            self._send(ctx, msg)
        else:
            self._route(ctx, msg)
        return None

    def _choose(self, ctx: CoreContext, msg: Any) -> Sequence[str]:
        """Return the keys of the routees for a message; of none, when it has been refused."""
        try:
            return self._chooser.choose(msg, self._depth)
        except Exception as error:  # a message that the user's key function cannot take harms its sender alone
            ctx.log.exception("cannot route a %s", type(msg).__name__)
            handing.refuse(ctx, msg, error)
            return ()

    def _send(self, ctx: CoreContext, msg: _Send) -> None:
        request, inner = ctx.envelope, msg.message
        if isinstance(inner, Broadcast):
            keys, inner = list(self._routees), inner.message
        else:
            keys = list(self._choose(ctx, inner))
        if keys and isinstance(request, Ask):
            sending = handing.Sending([self._routees[key] for key in keys], inner, msg.sender)
            ctx.nursery.start_soon(handing.answer, request, ctx.reply_to, sending)

    def _route(self, ctx: CoreContext, msg: Any) -> None:
        keys = self._choose(ctx, msg)
        request, strategy = ctx.envelope, self._strategy
        if not keys:
            return
        if isinstance(request, Ask) and (len(keys) > 1 or strategy.within < math.inf):
            race = handing.Race([self._routees[key] for key in keys], strategy, ctx.self.path)
            ctx.nursery.start_soon(handing.answer, request, ctx.reply_to, race)
        elif len(keys) == 1 or strategy.interval:
            handing.forward(ctx, msg, self._routees[keys[0]])
        else:  # an envelope is in one mailbox only: its place in a stash is written on it
            for key in keys:
                handing.tell(ctx, self._routees[key], msg)

    def _broadcast(self, ctx: CoreContext, inner: Any) -> None:
        refs = list(self._routees.values())
        request = ctx.envelope
        if isinstance(request, Ask):
            ctx.nursery.start_soon(handing.answer, request, ctx.reply_to, handing.Gathering(refs, inner))
        else:
            for ref in refs:
                handing.tell(ctx, ref, inner)

    def _depth(self, key: str) -> int:
        depth: int = getattr(self._routees[key].recipient, "depth", 0)  # one that lives elsewhere has none here
        return depth

    async def _ended(self, ctx: CoreContext, end: Terminated) -> None:
        self._remove(end.ref)

    def _add(self, ctx: CoreContext, key: str, ref: ActorRef[Any]) -> None:
        self._routees[key] = ref
        self._keys[ref] = key
        ctx.watch(ref)

    def _remove(self, ref: ActorRef[Any]) -> str | None:
        key = self._keys.pop(ref, None)
        if key is not None:
            del self._routees[key]
            self._update()
        return key

    def _update(self) -> None:
        if self._routees:
            self._chooser.update(tuple(self._routees))


class _Group(Router):
    """Routes to actors that others have spawned; one that ends is removed."""

    def __init__(self, strategy: RoutingStrategy, routees: tuple[ActorRef[Any], ...]) -> None:
        super().__init__(strategy)
        self._members = routees

    async def pre_start(self, ctx: CoreContext) -> None:
        await super().pre_start(ctx)
        for ref in self._members:
            self._add(ctx, ref.address, ref)
        self._update()


class _PoolRouter(Router):
    """Routes to its children; they are known by their places, which their successors take over."""

    def __init__(self, strategy: RoutingStrategy, pool: _Pool) -> None:
        super().__init__(strategy)
        self._pool = pool
        self._spawned = 0

    async def pre_start(self, ctx: CoreContext) -> None:
        await super().pre_start(ctx)
        await self._resize(ctx)
        if self._pool.resizer is not None:
            ctx.nursery.start_soon(self._adjust, ctx, self._pool.resizer)

    def receive(self, ctx: CoreContext, msg: Any) -> Awaitable[None] | None:
        if isinstance(msg, Resize):
            return self._obey(ctx, msg.size)
        return super().receive(ctx, msg)

    async def _obey(self, ctx: CoreContext, size: int) -> None:
        self._pool.size = size
        await self._resize(ctx)
        if ctx.asked:
            ctx.reply(None)

    async def _resize(self, ctx: CoreContext) -> None:
        for key, ref in list(self._routees.items())[self._pool.size :]:
            ctx.unwatch(ref)
            del self._routees[key], self._keys[ref]
            ref.tell(PoisonPill())
        missing = self._pool.size - len(self._routees)
        free = [key for key in map(str, range(1, self._pool.size + 1)) if key not in self._routees]
        await self._spawn(ctx, free[:missing])

    async def _spawn(self, ctx: CoreContext, keys: Sequence[str]) -> None:
        for key in keys:
            self._spawned += 1
            pool = self._pool
            ref = await ctx.spawn(pool.factory, *pool.args, name=f"routee-{self._spawned}", **pool.options)
            self._add(ctx, key, ref)
        self._routees = dict(sorted(self._routees.items(), key=lambda item: int(item[0])))
        self._update()

    async def _ended(self, ctx: CoreContext, end: Terminated) -> None:
        key = self._remove(end.ref)
        if key is None:  # of an earlier life of this router
            return
        if end.cause == TerminationCause.FAILED:  # its supervision has given it up
            self._pool.size = max(self._pool.size - 1, 1)
        else:
            await self._spawn(ctx, [key])

    async def _adjust(self, ctx: CoreContext, resizer: Resizer) -> None:
        while True:
            await trio.sleep(_PERIOD)
            size = resizer.size(len(self._routees), sum(map(self._depth, self._routees)))
            if size != len(self._routees):
                ctx.self.tell(Resize(size))


async def spawn_pool(
    spawner: Spawner,
    factory: Callable[..., Actor],
    args: tuple[object, ...],
    *,
    size: int,
    strategy: RoutingStrategy,
    resizer: Resizer | None,
    name: str | None,
    options: SpawnOptions,
) -> RouterRef:
    """Start a router with a pool of routees; see ``ActorSystem.spawn_router``."""
    if not callable(factory):
        raise TypeError(f"spawn_router takes an Actor class or a callable that returns an actor, got {factory!r}")
    size = _checked(size) if resizer is None else resizer.clamp(_checked(size))
    pool = _Pool(factory, args, options, size, resizer)

    def router() -> Actor:
        return _PoolRouter(strategy, pool)

    # The init_timeout of each routee bounds the start.
    ref = await spawner.spawn(router, name=name, passivation=Never(), init_timeout=math.inf)
    return RouterRef(ref.recipient)


async def spawn_group(
    spawner: Spawner, routees: Iterable[ActorRef[Any]], *, strategy: RoutingStrategy, name: str | None
) -> GroupRef:
    """Start a router to existing actors; see ``ActorSystem.spawn_group_router``."""
    members = tuple(dict.fromkeys(routees))

    def router() -> Actor:
        return _Group(strategy, members)

    ref = await spawner.spawn(router, name=name, passivation=Never())
    return GroupRef(ref.recipient)


def _checked(size: int) -> int:
    if size < 1:
        raise ValueError(f"a pool has at least one routee, got size {size}")
    return size
