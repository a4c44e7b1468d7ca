"""Routers over nodes: routees on each member that fits, which come and go with the members.

On each of these members a crew keeps the routees of one router as its children. It ends with them when the router
ends, or when the link to its node is lost; the router then has another one when the member can be reached again.
"""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Awaitable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from itertools import count
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

import attrs
import trio

from trioakt.cluster.settings import check_kind
from trioakt.cluster.view import fit
from trioakt.errors import MailboxFullError, TrioaktError
from trioakt.lowlevel import (
    Actor,
    ActorRef,
    CoreSystem,
    PoisonPill,
    Terminated,
    TerminationCause,
    check_name,
    message,
)
from trioakt.patterns.kinds import kind_name
from trioakt.patterns.passivation import Never
from trioakt.patterns.router import GroupRef, Router
from trioakt.patterns.routing import LeastFull

if TYPE_CHECKING:
    from trioakt.cluster.member import Member
    from trioakt.cluster.node import ClusterNode
    from trioakt.lowlevel import CoreContext, Spawner
    from trioakt.patterns.routing import RoutingStrategy
    from trioakt.remote.endpoint import Endpoint

T = TypeVar("T")

_PERIOD = 0.1
"""Seconds from one message of a crew about what waits to the next."""
_PATIENCE = (0.25, 10.0)
"""Seconds after which a member that has not started its routees is tried again: at first, and at most."""


class ClusteredSystem(Protocol):
    """What routers and crews need of their system."""

    @property
    def cluster(self) -> ClusterNode:
        """Its part in its cluster."""
        ...

    @property
    def endpoint(self) -> Endpoint:
        """Its way to others."""
        ...


@message(name="trioakt.router.roster")
class Roster:
    """The routees of a crew, each in its place; ``None`` where one has been given up."""

    crew: int
    routees: list[ActorRef[Any] | None]


@message(name="trioakt.router.depths")
class Depths:
    """How many messages wait for the routees of a crew, each in its place."""

    crew: int
    depths: list[int]


@message(name="trioakt.router.retire")
class Retire:
    """Let the routees finish what waits for them, and end."""


class Crews:
    """How many crews live on this node; one that leaves waits until their routers have let them go."""

    def __init__(self, system: CoreSystem) -> None:
        self._number = 0
        self._none = trio.Event()

    @asynccontextmanager
    async def one_more(self) -> AsyncGenerator[None]:
        """Count one while the block lasts."""
        self._number += 1
        try:
            yield
        finally:
            self._number -= 1
            if not self._number:
                self._none.set()
                self._none = trio.Event()

    async def wait_none(self) -> None:
        """Return when there is none."""
        await trio.lowlevel.checkpoint()
        if self._number:
            await self._none.wait()


class Crew(Actor):
    """Keeps the routees of a router on one node, and tells the router of them.

    Args:
        router: Whose routees they are.
        number: By what the router knows this crew.
        kind: The name of their class.
        args: Their arguments.
        size: How many they are.
        tells_depths: Whether the router wants to know how many messages wait for each.
    """

    def __init__(
        self, router: ActorRef[Any], number: int, kind: str, args: tuple[Any, ...], size: int, tells_depths: bool
    ) -> None:
        self._router = router
        self._number = number
        self._kind = kind
        self._args = args
        self._routees: list[ActorRef[Any] | None] = [None] * size
        self._tells_depths = tells_depths
        self._retires = False

    async def pre_start(self, ctx: CoreContext) -> None:
        """Start the routees."""
        await ctx.enter(ctx.system.service(Crews).one_more())
        ctx.watch(self._router)
        await self._start_all(ctx)
        self._report(ctx)
        if self._tells_depths:
            ctx.nursery.start_soon(self._tell_depths, ctx)

    async def receive(self, ctx: CoreContext, msg: object) -> None:
        """Replace a routee that has ended; end with the router, or when it says so."""
        match msg:
            case Terminated(ref) if ref == self._router:
                ctx.stop()
            case Terminated(ref, cause):
                await self._ended(ctx, ref, cause)
            case Retire():
                self._retire(ctx)
            case _:
                ctx.unhandled()

    async def _start_all(self, ctx: CoreContext) -> None:
        errors: list[TrioaktError] = []

        async def start(place: int) -> None:
            try:
                await self._start(ctx, place)
            except TrioaktError as error:
                errors.append(error)

        async with trio.open_nursery() as nursery:
            for place in range(len(self._routees)):
                nursery.start_soon(start, place)
        if errors:
            raise errors[0]

    async def _start(self, ctx: CoreContext, place: int) -> None:
        kind = cast("ClusteredSystem", ctx.system).cluster.names.kind_called(self._kind)
        treated = ctx.system.settings.supervision
        ref = self._routees[place] = await ctx.spawn(kind, *self._args, supervision=treated)
        ctx.watch(ref)

    async def _ended(self, ctx: CoreContext, ref: ActorRef[Any], cause: TerminationCause) -> None:
        if ref not in self._routees:  # of an earlier life of this crew
            return
        place = self._routees.index(ref)
        self._routees[place] = None
        if self._retires:
            self._stop_when_alone(ctx)
            return
        if cause == TerminationCause.FAILED:  # its supervision has given it up
            ctx.log.warning("the router %s has one routee less here: %s", self._router.address, cause)
        else:
            await self._start(ctx, place)
        self._report(ctx)

    def _report(self, ctx: CoreContext) -> None:
        self._router.tell(Roster(self._number, list(self._routees)), ctx.self)

    async def _tell_depths(self, ctx: CoreContext) -> None:
        """Tell the router what waits, whenever something has come or has been handled."""
        told: list[tuple[int, int]] = []
        while True:
            await trio.sleep(_PERIOD)
            statistics = [None if ref is None else ref.statistics() for ref in self._routees]
            figures = [(0, 0) if each is None else (each.depth, each.handled) for each in statistics]
            if figures != told:
                with suppress(MailboxFullError):  # the link has more to do: next time
                    self._router.tell(Depths(self._number, [depth for depth, _ in figures]), ctx.self)
                    told = figures

    def _retire(self, ctx: CoreContext) -> None:
        self._retires = True
        for routee in self._routees:
            if routee is not None:
                routee.tell(PoisonPill())
        self._stop_when_alone(ctx)

    def _stop_when_alone(self, ctx: CoreContext) -> None:
        if not any(self._routees):
            ctx.stop()


@attrs.frozen
class _Recipe:
    """What a router over nodes is made of; it outlives a restart of the router."""

    kind: str
    args: tuple[Any, ...]
    role: str
    size: int
    tells_depths: bool
    numbers: count[int] = attrs.field(factory=lambda: count(1))


@attrs.define(eq=False)
class _Post:
    """A member that has, or is to have, a crew."""

    member: Member
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    tried: trio.Event = attrs.field(factory=trio.Event)
    """Set when the first attempt has had an outcome."""
    number: int = 0
    """By what its crew is known."""
    crew: ActorRef[Any] | None = None
    error: TrioaktError | None = None


class _ClusterRouter(Router):
    """Routes to the routees of its crews, known by their nodes and places; a successor takes its place over."""

    def __init__(self, strategy: RoutingStrategy, recipe: _Recipe, cluster: ClusterNode, endpoint: Endpoint) -> None:
        super().__init__(strategy)
        self._recipe = recipe
        self._cluster = cluster
        self._endpoint = endpoint
        self._posts: dict[str, _Post] = {}
        self._depths: dict[str, int] = {}

    async def pre_start(self, ctx: CoreContext) -> None:
        await super().pre_start(ctx)
        ctx.nursery.start_soon(self._follow, ctx, self._adjust(ctx))
        posts = tuple(self._posts.values())
        for post in posts:
            await post.tried.wait()
        failed = [post.error for post in posts if post.error is not None]
        if failed and len(failed) == len(posts):
            raise failed[0]
        if not posts:
            ctx.log.warning("%s has no routees yet: no live member can take a %s", ctx.self.path, self._recipe.kind)

    def receive(self, ctx: CoreContext, msg: Any) -> Awaitable[None] | None:
        if not isinstance(msg, Roster | Depths):
            return super().receive(ctx, msg)
        post = next((each for each in self._posts.values() if each.number == msg.crew), None)
        if post is None:
            if ctx.sender is not None:
                ctx.sender.tell(Retire())
        elif isinstance(msg, Roster):
            self._enlist(ctx, post, msg.routees)
        else:
            self._depths.update(_by_place(post, msg.depths))
        return None

    def _choose(self, ctx: CoreContext, msg: Any) -> Sequence[str]:
        keys = super()._choose(ctx, msg)
        if self._recipe.tells_depths:
            for key in keys:
                self._depths[key] = self._depth(key) + 1
        return keys

    def _depth(self, key: str) -> int:
        """Return what waited when the crew last told, and what was sent since."""
        return self._depths.get(key, 0)

    # --------------------------------------------------------------- where the members are

    async def _follow(self, ctx: CoreContext, members: tuple[Member, ...]) -> None:
        while True:
            await self._cluster.wait_other_members(members)
            members = self._adjust(ctx)

    def _adjust(self, ctx: CoreContext) -> tuple[Member, ...]:
        """Let there be a post at each member that fits, and return the members."""
        members = self._cluster.members()
        fitting = {member.run: member for member in fit(members, self._recipe.kind, self._recipe.role)}
        for run in [run for run in self._posts if run not in fitting]:
            self._give_up(ctx, self._posts.pop(run), is_member=any(member.run == run for member in members))
        for run, member in fitting.items():
            if run not in self._posts:
                self._posts[run] = post = _Post(member)
                ctx.nursery.start_soon(self._keep, ctx, post)
        return members

    def _give_up(self, ctx: CoreContext, post: _Post, *, is_member: bool) -> None:
        """Send nothing there any more; a crew whose node only drains finishes what waits for it."""
        self._enlist(ctx, post, ())
        if is_member and post.crew is not None:
            post.crew.tell(Retire())
            post.crew = None
        post.scope.cancel()

    async def _keep(self, ctx: CoreContext, post: _Post) -> None:
        """Have a crew at a member, one after the other, until cancelled."""
        pause, longest = _PATIENCE
        try:
            with post.scope:
                while True:
                    if await self._man(ctx, post):
                        pause = _PATIENCE[0]
                    await trio.sleep(pause)
                    pause = min(2 * pause, longest)
        finally:
            post.tried.set()
            if post.crew is not None:
                post.crew.stop()

    async def _man(self, ctx: CoreContext, post: _Post) -> bool:
        """Have one crew for as long as it lasts; return whether it has started."""
        recipe, post.number = self._recipe, next(self._recipe.numbers)
        args = (ctx.self, post.number, recipe.kind, recipe.args, recipe.size, recipe.tells_depths)
        try:
            post.crew = await self._endpoint.spawn_on(post.member.address, Crew, args, None)
        except TrioaktError as error:
            post.error = error
            ctx.log.warning("%s has no routees on %s yet: %s", ctx.self.path, post.member.node, error)
            return False
        finally:
            post.tried.set()
        await post.crew.wait_stopped()
        post.crew = None
        self._enlist(ctx, post, ())
        return True

    def _enlist(self, ctx: CoreContext, post: _Post, routees: Sequence[ActorRef[Any] | None]) -> None:
        """Let these be the routees at a post."""
        node = post.member.node
        present = {key: ref for key, ref in _by_place(post, routees) if ref is not None}
        for key, ref in list(self._routees.items()):
            if key.rpartition("/")[0] == node and present.get(key) != ref:
                ctx.unwatch(ref)
                del self._routees[key], self._keys[ref]
                self._depths.pop(key, None)
        for key, ref in present.items():
            if key not in self._routees:
                self._add(ctx, key, ref)
        self._routees = dict(sorted(self._routees.items(), key=lambda item: _in_order(item[0])))
        self._update()


def _by_place(post: _Post, figures: Sequence[T]) -> Iterator[tuple[str, T]]:
    """Yield what a crew has said of each of its places, with the key of the place."""
    for place, figure in enumerate(figures, 1):
        yield f"{post.member.node}/{place}", figure


def _in_order(key: str) -> tuple[int, str]:
    """Sort by place first, so that turns go from node to node."""
    node, _, place = key.rpartition("/")
    return int(place), node


async def spawn_cluster_router(
    spawner: Spawner,
    system: CoreSystem,
    kind: type[Actor],
    args: tuple[Any, ...],
    *,
    role: str,
    per_node: int,
    strategy: RoutingStrategy,
    name: str | None,
) -> GroupRef:
    """Start a router with routees on the members of the cluster; see ``ActorSystem.spawn_cluster_router``."""
    cluster, endpoint = cast("ClusteredSystem", system).cluster, cast("ClusteredSystem", system).endpoint
    check_kind(kind)
    if role:
        check_name(role)
    if per_node < 1:
        raise ValueError(f"each node has at least one routee, got per_node {per_node}")
    endpoint.check(args)
    recipe = _Recipe(kind_name(kind), args, role, per_node, isinstance(strategy, LeastFull))

    def router() -> Actor:
        return _ClusterRouter(strategy, recipe, cluster, endpoint)

    # The init_timeout of each routee bounds the start.
    ref = await spawner.spawn(router, name=name, passivation=Never(), init_timeout=math.inf)
    return GroupRef(ref.recipient)
