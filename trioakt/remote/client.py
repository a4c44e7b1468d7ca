"""Clients: how programs without an actor system reach the actors of one; no wire is loaded before it is used."""

from __future__ import annotations

import math
import re
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterable
from contextlib import asynccontextmanager, contextmanager, suppress
from importlib import import_module
from queue import SimpleQueue
from random import Random
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast, get_args, overload

import attrs
import trio

from trioakt.errors import ConnectionLostError, NodeUnreachableError
from trioakt.lowlevel import Actor, ActorRef, CoreSystem, Request, Settings, check_name
from trioakt.remote.settings import Remote, Tls

if TYPE_CHECKING:
    from trioakt.remote.endpoint import Endpoint
    from trioakt.remote.transport import Transport

T = TypeVar("T")
R = TypeVar("R")

Balancing = Literal["round_robin", "random", "least_loaded"]
"""How a client chooses among several nodes: in turn, by chance, or where it has the fewest requests under way."""

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


class Client:
    """Reaches the actors of a system from outside; get it from ``open_client``.

    Each call goes to one of the nodes. A node that cannot be reached is passed over, and tried again in the background;
    a call is never made twice, so one that is lost on its way raises ``ConnectionLostError``. Refs that come as
    results are good for everything that refs are good for, until the client is closed.
    """

    def __init__(self, endpoint: Endpoint, places: Iterable[str], balancing: Balancing, rng: Random) -> None:
        self._endpoint = endpoint
        self._nodes = [_Node(place) for place in places]
        self._balancing = balancing
        self._rng = rng
        self._closed = False

    def close(self) -> None:
        """Make no more calls."""
        self._closed = True

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
        if self._closed:
            raise RuntimeError("the client is closed")
        errors: list[Exception] = []
        for node in self._in_order():
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

    def _in_order(self) -> list[_Node]:
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
    addresses: Iterable[str],
    *,
    cookie: bytes | str | None = None,
    tls: Tls | None = None,
    balancing: Balancing = "round_robin",
    node: str = "client",
    listen: str | None = None,
    transport: Transport | None = None,
    rng: Random | None = None,
) -> AsyncGenerator[Client]:
    """Reach the actors of a system without being one of its nodes, until the end of the block.

    Nodes answer on connections of their own, so that a client can be reached by them too.

    Args:
        addresses: Of nodes of one system: ``tcp://host:port``, as each calls itself.
        cookie: The secret that the nodes share.
        tls: Certificates, for ``tls+tcp://``.
        balancing: How a node is chosen for each call: ``"round_robin"``, ``"random"`` or ``"least_loaded"``.
        node: The client's name; with TLS, the common name of its certificate.
        listen: Where nodes reach the client; by default at the address of this machine that leads to them, at any port.
        transport: What carries the frames instead of sockets, for tests; with ``listen``.
        rng: Where the chance comes from.

    Raises:
        NodeUnreachableError: None of the nodes can be reached, or none lets the client in.
        ValueError: An address is bad, or the way of balancing.
    """
    found = [_parse(address) for address in addresses]
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
        client = Client(endpoint, dict.fromkeys(match["place"] for match in found), balancing, rng or Random())
        await client.greet()
        try:
            yield client
        finally:
            client.close()


class SyncClient:
    """A ``Client`` for synchronous code, and for any number of threads; get it from ``connect``."""

    def __init__(self, client: Client, token: trio.lowlevel.TrioToken) -> None:
        self._client = client
        self._token = token

    @overload
    def ask(self, path: str, request: Request[R], *, timeout: float = math.inf) -> R: ...
    @overload
    def ask(self, path: str, request: object, *, timeout: float = math.inf) -> Any: ...
    def ask(self, path: str, request: object, *, timeout: float = math.inf) -> Any:
        """Send a request to an actor and wait for the reply, at most ``timeout`` seconds.

        Raises:
            TimeoutError: No reply came in time; the request counts as given up.
            ActorNotFoundError, NodeUnreachableError, ConnectionLostError, ...: As ``Client.ask``.
            RuntimeError: The client is closed.
        """
        return self._run(timeout, lambda client: client.ask(path, request))

    def send(self, path: str, message: object, *, timeout: float = math.inf) -> None:
        """Wait until the mailbox of an actor has taken a message, at most ``timeout`` seconds.

        Raises:
            TimeoutError: It did not in time, and may or may not have taken it.
            ActorNotFoundError, NodeUnreachableError, ConnectionLostError, ...: As ``Client.send``.
            RuntimeError: The client is closed.
        """
        self._run(timeout, lambda client: client.send(path, message))

    def lookup(self, path: str, *, timeout: float = math.inf) -> ActorRef[Any]:
        """Return the actor that lives at a path of a node now, to be sent in messages.

        Raises:
            TimeoutError: No answer came in time.
            ActorNotFoundError, NodeUnreachableError: As ``Client.lookup``.
            RuntimeError: The client is closed.
        """
        return self._run(timeout, lambda client: client.lookup(path))

    def spawn(
        self, kind: type[Actor], *args: object, name: str | None = None, timeout: float = math.inf
    ) -> ActorRef[Any]:
        """Spawn an actor at the top of a node, which must have registered its class.

        Raises:
            TimeoutError: It has not started in time, and may or may not do so.
            StartError, NameTakenError, NodeUnreachableError, ...: As ``Client.spawn``.
            RuntimeError: The client is closed.
        """
        return self._run(timeout, lambda client: client.spawn(kind, *args, name=name))

    def _run(self, seconds: float, call: Callable[[Client], Awaitable[T]]) -> T:
        async def run() -> T:
            with trio.move_on_after(seconds):
                return await call(self._client)
            raise TimeoutError(f"there was no answer within {seconds} s")

        try:
            return trio.from_thread.run(run, trio_token=self._token)
        except trio.RunFinishedError:
            raise RuntimeError("the client is closed") from None


@contextmanager
def connect(
    addresses: Iterable[str],
    *,
    cookie: bytes | str | None = None,
    tls: Tls | None = None,
    balancing: Balancing = "round_robin",
    node: str = "client",
    listen: str | None = None,
) -> Generator[SyncClient]:
    """Do what ``open_client`` does, for scripts: the wire runs in a thread that ends with the block.

    Args:
        addresses: As ``open_client``.
        cookie: As ``open_client``.
        tls: As ``open_client``.
        balancing: As ``open_client``.
        node: As ``open_client``.
        listen: As ``open_client``.

    Raises:
        NodeUnreachableError, ValueError: As ``open_client``.
    """
    told: SimpleQueue[Any] = SimpleQueue()

    async def serve() -> None:
        stop = trio.Event()
        told.put((trio.lowlevel.current_trio_token(), stop))
        client = open_client(addresses, cookie=cookie, tls=tls, balancing=balancing, node=node, listen=listen)
        async with client as opened:
            told.put(opened)
            await stop.wait()

    def run() -> None:
        try:
            trio.run(serve)
        except BaseException as error:
            told.put(error)

    thread = threading.Thread(target=run, name="trioakt client")
    thread.start()
    token, stop = cast("tuple[trio.lowlevel.TrioToken, trio.Event]", told.get())
    try:
        opened: Client | BaseException = told.get()
        if isinstance(opened, BaseException):
            raise opened
        yield SyncClient(opened, token)
    finally:
        with suppress(trio.RunFinishedError):
            token.run_sync_soon(stop.set)
        thread.join()


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
