"""Clients for synchronous code: the wire runs in a thread of its own, and any thread may call."""

from __future__ import annotations

import math
import threading
from collections.abc import Awaitable, Callable, Generator, Iterable
from contextlib import contextmanager, suppress
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar, cast, overload

import trio

from trioakt.lowlevel import Actor, ActorRef, Request
from trioakt.remote.client import Balancing, Client, open_client
from trioakt.remote.discovery import SeedProvider
from trioakt.remote.settings import Tls

if TYPE_CHECKING:
    from trioakt.grains.grain import Grain
    from trioakt.grains.ref import GrainRef

T = TypeVar("T")
R = TypeVar("R")


class SyncClient:
    """A ``Client`` for synchronous code, and for any number of threads; get it from ``connect``."""

    def __init__(self, client: Client, token: trio.lowlevel.TrioToken) -> None:
        self._client = client
        self._token = token

    @overload
    def ask(self, path: str | ActorRef[Any], request: Request[R], *, timeout: float = math.inf) -> R: ...
    @overload
    def ask(self, path: str | ActorRef[Any], request: object, *, timeout: float = math.inf) -> Any: ...
    def ask(self, path: str | ActorRef[Any], request: object, *, timeout: float = math.inf) -> Any:
        """Send a request to an actor and wait for the reply, at most ``timeout`` seconds.

        Args:
            path: Of the actor, or its ref.
            request: What is sent.
            timeout: Seconds.

        Raises:
            TimeoutError: No reply came in time; the request counts as given up.
            ActorNotFoundError, NodeUnreachableError, ConnectionLostError, ...: As ``Client.ask``.
            RuntimeError: The client is closed.
        """
        if isinstance(path, str):
            return self._run(timeout, lambda client: client.ask(path, request))
        return self._run(timeout, lambda client: path.ask(request))

    def send(self, path: str | ActorRef[Any], message: object, *, timeout: float = math.inf) -> None:
        """Wait until the mailbox of an actor has taken a message, at most ``timeout`` seconds.

        Args:
            path: Of the actor, or its ref.
            message: What is sent.
            timeout: Seconds.

        Raises:
            TimeoutError: It did not in time, and may or may not have taken it.
            ActorNotFoundError, NodeUnreachableError, ConnectionLostError, ...: As ``Client.send``.
            RuntimeError: The client is closed.
        """
        if isinstance(path, str):
            self._run(timeout, lambda client: client.send(path, message))
        else:
            self._run(timeout, lambda client: path.send(message))

    def lookup(self, path: str, *, timeout: float = math.inf) -> ActorRef[Any]:
        """Return the actor that lives at a path of a node now, to be sent in messages.

        Raises:
            TimeoutError: No answer came in time.
            ActorNotFoundError, NodeUnreachableError: As ``Client.lookup``.
            RuntimeError: The client is closed.
        """
        return self._run(timeout, lambda client: client.lookup(path))

    def locate(self, name: str, *, timeout: float = math.inf) -> ActorRef[Any] | None:
        """Return the ref of the actor that has a name of the cluster, to be asked and sent to by this client.

        Raises:
            TimeoutError: No answer came in time.
            NodeUnreachableError, RuntimeError, ValueError: As ``Client.locate``.
        """
        return self._run(timeout, lambda client: client.locate(name))

    def grain(self, kind: type[Grain] | str, identity: str) -> GrainRef[Any]:
        """Return the ref to a grain of the cluster, to be asked and sent to by this client.

        Raises:
            TypeError, ValueError, RuntimeError: As ``Client.grain``.
        """

        async def grain(client: Client) -> GrainRef[Any]:
            return client.grain(kind, identity)

        return self._run(math.inf, grain)

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
    addresses: Iterable[str] | SeedProvider,
    *,
    cookie: bytes | str | None = None,
    tls: Tls | None = None,
    balancing: Balancing = "round_robin",
    node: str = "client",
    listen: str | None = None,
    cluster: bool = False,
) -> Generator[SyncClient]:
    """Do what ``open_client`` does, for scripts: the wire runs in a thread that ends with the block.

    Args:
        addresses: As ``open_client``.
        cookie: As ``open_client``.
        tls: As ``open_client``.
        balancing: As ``open_client``.
        node: As ``open_client``.
        listen: As ``open_client``.
        cluster: As ``open_client``.

    Raises:
        NodeUnreachableError, RuntimeError, ValueError: As ``open_client``.
    """
    told: SimpleQueue[Any] = SimpleQueue()

    async def serve() -> None:
        stop = trio.Event()
        told.put((trio.lowlevel.current_trio_token(), stop))
        client = open_client(
            addresses, cookie=cookie, tls=tls, balancing=balancing, node=node, listen=listen, cluster=cluster
        )
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
