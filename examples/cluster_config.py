"""Configuration for a whole cluster: changed in one place, read on each node without asking anybody."""

from collections.abc import Mapping

import attrs
import trio
import trio.testing

from trioakt import (
    Actor,
    ActorNotFoundError,
    ActorRef,
    ActorSystem,
    Cluster,
    ConnectionLostError,
    Context,
    MemoryStore,
    NodeUnreachableError,
    Remote,
    Request,
    Terminated,
    message,
)
from trioakt.testing import MemoryNetwork

NETWORK, STORE = MemoryNetwork(), MemoryStore()  # in production: tcp://... and, for example, etcd://...


@message(name="config.edition")
class Edition(Request[bool]):
    """All of the configuration, as an owner has put it out; is it taken?"""

    token: int
    number: int
    values: dict[str, str] = attrs.field(factory=dict[str, str])

    @property
    def rank(self) -> tuple[int, int]:
        """Later owners come after earlier ones, and the editions of one owner in their order."""
        return self.token, self.number


@message(name="config.change")
class Change(Request[int]):
    """Answered when all nodes have it, by how many those are."""

    values: dict[str, str]


@message(name="config.subscribe")
class Subscribe:
    cache: ActorRef


@message(name="config.read")
class Read(Request[Edition]):
    """What is the newest edition you know?"""


@message
class Renew:
    pass


class Cache(Actor):
    """One on each node: keeps the newest edition, for all on this node to read."""

    def __init__(self, owner: ActorRef) -> None:
        self.owner = owner
        self.edition = Edition(0, 0)

    def pre_start(self, ctx: Context) -> None:
        ctx.self.tell(Renew())
        ctx.schedule_every(10.0, Renew())  # in case the owner has lost sight of this node

    def receive(self, ctx: Context, msg: object) -> None:
        match msg:
            case Edition():
                is_news = msg.rank > self.edition.rank
                if is_news:  # and not the word of an owner of the past
                    self.edition = msg
                if ctx.asked:
                    ctx.reply(is_news)
            case Read():
                ctx.reply(self.edition)
            case Renew():
                self.owner.tell(Subscribe(ctx.self))
            case _:
                ctx.unhandled()


class Owner(Actor):
    """One in the cluster: makes the editions. What it knows, a new owner learns from the caches."""

    def __init__(self) -> None:
        self.edition = Edition(0, 0)
        self.caches: set[ActorRef] = set()

    async def pre_start(self, ctx: Context) -> None:
        known = Edition(0, 0)
        for member in ctx.system.cluster.members():
            try:
                cache = await ctx.system.resolve(f"{member.address}/user/config-cache")
                known = max(known, await cache.ask(Read()), key=lambda edition: edition.rank)
            except (ActorNotFoundError, NodeUnreachableError, ConnectionLostError):
                continue
            self.add(ctx, cache)
        self.edition = Edition(ctx.fencing_token, 0, known.values)

    async def receive(self, ctx: Context, msg: object) -> None:
        match msg:
            case Subscribe(cache):
                self.add(ctx, cache)
                cache.tell(self.edition)
            case Change(values):
                ctx.reply(await self.put_out({**self.edition.values, **values}))
            case Terminated(cache):
                self.caches.discard(cache)
            case _:
                ctx.unhandled()

    def add(self, ctx: Context, cache: ActorRef) -> None:
        self.caches.add(cache)
        ctx.watch(cache)

    async def put_out(self, values: Mapping[str, str]) -> int:
        self.edition = Edition(self.edition.token, self.edition.number + 1, dict(values))
        taken = 0
        for cache in tuple(self.caches):
            try:
                taken += await cache.ask(self.edition)
            except ConnectionLostError:
                continue  # it renews its subscription when its node is back
        return taken


@attrs.frozen
class Node:
    system: ActorSystem
    owner: ActorRef
    cache: ActorRef


async def run_node(node: str, *, task_status: trio.TaskStatus[Node]) -> None:
    """Be one process of the service."""
    remote = Remote(f"mem://{node}:1", node=node, transport=NETWORK.transport(node))
    async with ActorSystem("service", remote=remote, cluster=Cluster(STORE.view(node), kinds=[Owner])) as system:
        owner = await system.spawn_singleton(Owner, name="config-owner")
        cache = await system.spawn(Cache, owner, name="config-cache")
        task_status.started(Node(system, owner, cache))
        await trio.sleep_forever()


async def show(nodes: Mapping[str, Node]) -> None:
    for name, node in nodes.items():
        edition: Edition = await node.cache.ask(Read())
        print(f"  {name} reads {edition.values}")


async def main() -> None:
    async with trio.open_nursery() as nursery:
        nodes: dict[str, Node] = {name: await nursery.start(run_node, name) for name in "abc"}
        await trio.sleep(1)
        print("changed on", await nodes["b"].owner.ask(Change({"greeting": "hello"})), "nodes")
        await show(nodes)
        early: Edition = await nodes["b"].cache.ask(Read())

        leaving = next(name for name, node in nodes.items() if node.system.actor("config-owner"))
        print(f"{leaving} leaves, with the owner; d comes")
        nodes.pop(leaving).system.shutdown()
        nodes["d"] = await nursery.start(run_node, "d")
        await trio.sleep(1)
        print("changed on", await nodes["d"].owner.ask(Change({"color": "blue"})), "nodes")
        await show(nodes)

        late = Edition(early.token, early.number + 100, {"greeting": "goodbye"})
        print("is the word of the first owner taken?", await nodes["d"].cache.ask(late))
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))  # virtual time: seconds cost nothing
