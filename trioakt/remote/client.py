"""Clients: how programs without an actor system reach the actors of one; no wire is loaded before it is used."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterable
from contextlib import asynccontextmanager, contextmanager, suppress
from importlib import import_module
from random import Random
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args, overload

import attrs
import trio

from trioakt.errors import (
    ActorNotFoundError,
    ConnectionLostError,
    NodeUnreachableError,
    TrioaktError,
    UnhandledMessageError,
)
from trioakt.lowlevel import Actor, ActorRef, CoreSystem, Request, Settings, check_name
from trioakt.remote.directory import Directory
from trioakt.remote.discovery import SeedProvider
from trioakt.remote.distant_grains import DistantGrains
from trioakt.remote.settings import Remote, Tls

if TYPE_CHECKING:
    from trioakt.grains.grain import Grain
    from trioakt.grains.ref import GrainRef
    from trioakt.remote.endpoint import Endpoint
    from trioakt.remote.transport import Transport

T = TypeVar("T")
R = TypeVar("R")

Balancing = Literal["round_robin", "random", "least_loaded"]
"""How a client chooses among several nodes: in turn, by chance, or where it has the fewest requests under way."""

_PAUSE = 1.0
"""Seconds between two questions to a provider."""
_ADDRESS = re.compile(r"(?P<scheme>[a-z+]+)://(?P<place>(?P<host>\[[^]]+\]|[^:/\[\]]+):(?P<port>\d+))")


@attrs.define(eq=False)
class _Node:
    """A node as one client uses it."""

    place: str
    """``host:port``"""
    in_flight: int = 0

    @contextmanager
    def serving(self) -> Generator[None]:
        """Count what is under way."""
        self.in_flight += 1
        try:
            yield
        finally:
            self.in_flight -= 1


@attrs.frozen
class _Listed:
    """A provider that was told the addresses."""

    addresses: tuple[str, ...]

    async def seeds(self) -> tuple[str, ...]:
        return self.addresses


class Client:
    """Reaches the actors of a system from outside; get it from ``open_client``.

    Each call goes to one of the nodes. A node that cannot be reached is passed over, and tried again in the background;
    a call is never made twice, so one that is lost on its way raises ``ConnectionLostError``. Refs that come as
    results are good for everything that refs are good for, until the client is closed.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        places: Iterable[str],
        balancing: Balancing,
        rng: Random,
        provider: SeedProvider | None = None,
    ) -> None:
        self.directory: Directory
        self.grains: DistantGrains | None = None
        self._endpoint = endpoint
        self._nodes = [_Node(place) for place in places]
        self._balancing = balancing
        self._rng = rng
        self._provider = provider
        self._discovery = trio.Lock()
        self._discovered = trio.current_time()
        self._closed = False

    def close(self) -> None:
        """Make no more calls; who waits for a name of the cluster to have an owner is told."""
        self._closed = True
        self.directory.close()

    async def lookup(self, path: str) -> ActorRef[Any]:
        """Return the actor that lives at a path of a node now.

        Args:
            path: ``/user/ada``, or just ``ada``.

        Raises:
            ActorNotFoundError: Nobody lives there, on the node that was chosen.
            NodeUnreachableError: No node can be reached.
            RuntimeError: The client is closed.
        """
        return await self._try(lambda place: self._find(place, path))

    @overload
    async def ask(self, path: str, request: Request[R]) -> R: ...
    @overload
    async def ask(self, path: str, request: object) -> Any: ...
    async def ask(self, path: str, request: object) -> Any:
        """Look an actor up, send it a request and wait for the reply.

        Where many requests go to one actor, ``lookup`` it once and ask the ref. When cancelled, the request is given
        up.

        Raises:
            ActorNotFoundError, NodeUnreachableError, RuntimeError: As ``lookup``.
            ConnectionLostError: The node was lost meanwhile: the request may have been handled.
            ActorFailedError, NoReplyError, ...: As ``ActorRef.ask``.
        """

        async def ask(place: str) -> Any:
            return await (await self._find(place, path)).ask(request)

        return await self._try(ask)

    async def send(self, path: str, message: object) -> None:
        """Look an actor up, and wait until its mailbox has taken a message.

        Raises:
            ActorNotFoundError, NodeUnreachableError, RuntimeError: As ``lookup``.
            ConnectionLostError: The node was lost meanwhile: the message may have arrived.
            ActorStoppedError, CodecError: As ``ActorRef.send``.
        """

        async def send(place: str) -> None:
            await (await self._find(place, path)).send(message)

        await self._try(send)

    async def locate(self, name: str) -> ActorRef[Any] | None:
        """Return the ref of the actor that has a name of the cluster, on whichever node; it outlives relocation.

        The nodes tell this client where the actor is, for as long as the ref is held, and messages go straight there.
        While nobody has the actor they wait here, in order.

        Raises:
            NodeUnreachableError: No member of the cluster can be reached.
            RuntimeError: The client is closed, or the nodes are in no cluster.
            ValueError: It is no name.
        """
        self._check_open()
        try:
            return await self.directory.locate(name)
        except UnhandledMessageError as error:
            raise RuntimeError(f"no cluster to look in: {error}") from None

    def grain(self, kind: type[Grain] | str, identity: str) -> GrainRef[Any]:
        """Return the ref to a grain of the cluster; the first message activates it, on whichever node.

        Messages go straight to the node that owns the grain's shard; the members tell this client which that is. While
        none owns it they wait here, in order. Asking and sending raise ``PlacementError`` when no member takes such
        grains, and what is told then is lost.

        Args:
            kind: Its class, or the name of that as nodes know it: ``"shop.carts.Cart"``.
            identity: Who it is: any text of at most 255 characters.

        Raises:
            TypeError: It is no class of grains, or the identity is no text.
            ValueError: The identity is empty or too long, or the name is none.
            RuntimeError: The client is closed, or was opened without ``cluster=True``.
        """
        self._check_open()
        if self.grains is None:
            raise RuntimeError("the client knows no cluster: open it with cluster=True")
        return self.grains.ref_to(kind, identity)

    async def spawn(self, kind: type[Actor], *args: object, name: str | None = None) -> ActorRef[Any]:
        """Spawn an actor at the top of a node, which must have registered its class.

        Raises:
            StartError: It did not start, or the node has not registered the class.
            NameTakenError: An actor at the top of that node has this name.
            NodeUnreachableError, RuntimeError: As ``lookup``.
            ConnectionLostError: The node was lost meanwhile: the actor may have been spawned.
            CodecError: An argument cannot travel.
            ValueError: It is a bad name.
        """
        if name is not None:
            check_name(name)

        async def spawn(place: str) -> ActorRef[Any]:
            try:
                return await self._endpoint.spawn(place, kind, args, name)
            except NodeUnreachableError as error:
                raise error.__cause__ or error from None

        return await self._try(spawn)

    async def _find(self, place: str, path: str) -> ActorRef[Any]:
        return await self._endpoint.find(place, path if path.startswith("/") else f"/user/{path}")

    async def _try(self, call: Callable[[str], Awaitable[T]]) -> T:
        """Make a call to one node after the other, until one can be reached."""
        self._check_open()
        errors: list[Exception] = []
        for find in (self._in_order, self._discover):
            for node in await find():
                try:
                    with node.serving():
                        return await call(node.place)
                except NodeUnreachableError as error:
                    errors.append(error)
                except ConnectionLostError as error:
                    if error.outcome == "unknown":
                        raise
                    errors.append(error)
        raise _unreachable(errors)

    async def _in_order(self) -> list[_Node]:
        """Return the nodes, those that have a session first, and the one whose turn it is first among them."""
        self._nodes.append(self._nodes.pop(0))
        nodes = self._rng.sample(self._nodes, len(self._nodes)) if self._balancing == "random" else list(self._nodes)
        if self._balancing == "least_loaded":
            nodes.sort(key=lambda node: node.in_flight)
        linked = [node for node in nodes if self._endpoint.is_linked(node.place)]
        others = [node for node in nodes if node not in linked]
        for node in others:
            self._endpoint.connect(node.place)
        return linked + others

    async def _discover(self) -> list[_Node]:
        """Ask the provider for the nodes that are there now, and return those that were not known before."""
        if self._provider is None:
            return []
        known = {node.place: node for node in self._nodes}
        async with self._discovery:
            if trio.current_time() >= self._discovered + _PAUSE:
                with suppress(NodeUnreachableError):  # then those stay that are known
                    places = [match["place"] for match in map(_parse, await self._provider.seeds())]
                    self._nodes = [known.get(place) or _Node(place) for place in dict.fromkeys(places)] or self._nodes
                self._discovered = trio.current_time()
        return [node for node in self._nodes if node.place not in known]

    def _check_open(self) -> None:
        if self._closed:
            raise RuntimeError("the client is closed")

    # ------------------------------------------------------------------ the cluster

    async def inquire(self, question: str) -> str:
        """Ask one member of the cluster after the other, those that have a session first, until one can tell.

        Raises:
            ActorNotFoundError: The answer is that there is no such name.
            UnhandledMessageError: The nodes are in no cluster.
            NodeUnreachableError: None could tell.
        """
        errors: list[Exception] = []
        for find in (self._linked_first, self._discover):
            for node in await find():
                try:
                    return await self._endpoint.inquire(node.place, "cluster", question)
                except (ActorNotFoundError, UnhandledMessageError):
                    raise
                except TrioaktError as error:
                    errors.append(error)
        raise _unreachable(errors)

    async def _linked_first(self) -> list[_Node]:
        return sorted(self._nodes, key=lambda node: not self._endpoint.is_linked(node.place))

    async def update_members(self, known: str = "") -> str:
        """Let the nodes be the members of the cluster, when these are others than is known, and return what is then.

        Raises:
            RuntimeError: The nodes are in no cluster.
            NodeUnreachableError: None could tell.
        """
        try:
            found = await self.inquire(f"members {known}")
        except UnhandledMessageError as error:
            raise RuntimeError(f"no members to follow: {error}") from None
        nodes = {node.place: node for node in self._nodes}
        places = [address.partition("@")[2] for address in found.split(",") if address]
        self._nodes = [nodes.get(place) or _Node(place) for place in places] or self._nodes
        return found

    async def follow_members(self, known: str) -> None:
        """Be the task that keeps the nodes those that are members."""
        while True:
            try:
                known = await self.update_members(known)
            except NodeUnreachableError:
                known = ""
                await trio.sleep(_PAUSE)

    async def learn_home(self) -> None:
        """Find out what the nodes call their own datacenter in refs, if their cluster is one of several."""
        for node in await self._linked_first():
            with suppress(NodeUnreachableError):
                with suppress(UnhandledMessageError):
                    self._endpoint.name_home(await self._endpoint.inquire(node.place, "datacenter", ""))
                return

    async def greet(self) -> None:
        """Wait until there is a session with one of the nodes; sessions with the others may follow.

        Raises:
            NodeUnreachableError: There is none with any.
        """
        errors: list[Exception] = []

        async def greet(node: _Node, greeting: trio.CancelScope) -> None:
            try:
                await self._endpoint.greet(node.place)
                greeting.cancel()
            except NodeUnreachableError as error:
                errors.append(error)

        async with trio.open_nursery() as nursery:
            for node in self._nodes:
                nursery.start_soon(greet, node, nursery.cancel_scope)
        if len(errors) == len(self._nodes):
            raise _unreachable(errors)


@asynccontextmanager
async def open_client(
    addresses: Iterable[str] | SeedProvider,
    *,
    cookie: bytes | str | None = None,
    tls: Tls | None = None,
    balancing: Balancing = "round_robin",
    node: str = "client",
    listen: str | None = None,
    cluster: bool = False,
    transport: Transport | None = None,
    rng: Random | None = None,
) -> AsyncGenerator[Client]:
    """Reach the actors of a system without being one of its nodes, until the end of the block.

    Nodes answer on connections of their own, so that a client can be reached by them too.

    Args:
        addresses: Of nodes of one system: ``tcp://host:port``, as each calls itself. Or a provider that finds them,
            such as ``DnsSrvSeeds``; it is asked again when no node can be reached any more.
        cookie: The secret that the nodes share.
        tls: Certificates, for ``tls+tcp://``.
        balancing: How a node is chosen for each call: ``"round_robin"``, ``"random"`` or ``"least_loaded"``.
        node: The client's name; with TLS, the common name of its certificate.
        listen: Where nodes reach the client; by default at the address of this machine that leads to them, at any port.
        cluster: Whether calls go to all members of the cluster that these nodes are in, those that join later too, and
            its grains are reached.
        transport: What carries the frames instead of sockets, for tests; with ``listen``.
        rng: Where the chance comes from.

    Raises:
        NodeUnreachableError: None of the nodes can be found or reached, or none lets the client in.
        RuntimeError: The nodes are in no ``cluster``.
        ValueError: An address is bad, or the way of balancing.
    """
    provider = addresses if isinstance(addresses, SeedProvider) else _Listed(tuple(addresses))
    found = [_parse(address) for address in await provider.seeds()]
    if len({match["scheme"] for match in found}) != 1:
        raise ValueError("a client needs the addresses of one node or more, all of one scheme")
    if balancing not in get_args(Balancing):
        raise ValueError(f"balancing must be one of {', '.join(get_args(Balancing))}, got {balancing!r}")
    listen = listen or f"{found[0]['scheme']}://{await _own_host(found)}:0"
    remote = Remote(listen, node=node, cookie=cookie, tls=tls, transport=transport)
    system = CoreSystem("client", Settings())
    endpoint = import_module("trioakt.remote.opening").endpoint(system, remote, guest=True)
    async with system:
        await system.nursery.start(endpoint.run)
        places = dict.fromkeys(match["place"] for match in found)
        client = Client(endpoint, places, balancing, rng or Random(), provider)
        await client.greet()
        await client.learn_home()
        async with _open_nursery() as nursery:
            client.directory = Directory(system, endpoint, client.inquire, nursery)
            endpoint.identities["cluster"] = client.directory.ref_to
            if cluster:
                nursery.start_soon(client.follow_members, await client.update_members())
                client.grains = DistantGrains(client.directory, int(await client.inquire("shards")))
                endpoint.identities["grain"] = client.grains.read
                endpoint.name_home(await client.inquire("home"))
            try:
                yield client
            finally:
                client.close()


@asynccontextmanager
async def _open_nursery() -> AsyncGenerator[trio.Nursery]:
    """Have tasks that end with the block; what the block raises leaves it as it is, not inside a group."""
    failed: Exception | None = None
    async with trio.open_nursery() as nursery:
        try:
            yield nursery
        except Exception as error:
            failed = error
        nursery.cancel_scope.cancel()
    if failed is not None:
        raise failed


def _parse(address: str) -> re.Match[str]:
    match = _ADDRESS.fullmatch(address)
    if match is None:
        raise ValueError(f"{address!r} is no address like tcp://127.0.0.1:4041")
    return match


async def _own_host(found: Iterable[re.Match[str]]) -> str:
    """Return the address of this machine that leads to the first node whose name is known; nothing is sent."""
    errors: list[Exception] = []
    for match in found:
        try:
            places = await trio.socket.getaddrinfo(
                match["host"].strip("[]"), int(match["port"]), type=trio.socket.SOCK_DGRAM
            )
            family, kind, _, _, place = places[0]
            with trio.socket.socket(family, kind) as way:
                await way.connect(place)
                host: str = way.getsockname()[0]
        except OSError as error:
            errors.append(error)
        else:
            return f"[{host}]" if ":" in host else host
    raise _unreachable(errors)


def _unreachable(errors: Iterable[Exception]) -> NodeUnreachableError:
    return NodeUnreachableError(f"no node can be reached: {'; '.join(map(str, errors))}")
