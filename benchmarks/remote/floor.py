"""What nng and the codec allow: frames of up to 64 messages over bare sockets, driven by their descriptors.

No session, no heartbeat, no actor: what comes is handled where it is read. As a program it is one of the servers.
"""

from __future__ import annotations

from collections import deque
from contextlib import asynccontextmanager
from itertools import count
from typing import TYPE_CHECKING, Any

import msgspec
import outcome
import pynng  # pyright: ignore[reportMissingTypeStubs]
import trio

from benchmarks.remote.messages import Depot
from benchmarks.remote.servers import NODE, begin_as_server, open_servers, serve_until_orphaned
from benchmarks.remote.workloads import between_processes
from trioakt import message
from trioakt.codec import Codec

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from pathlib import Path

_nng: Any = pynng  # it has no types

FRAME = 64
"""Messages in one frame, at most."""
ROOM = 16
"""Frames that nng holds."""


@message(name="benchmarks.answer")
class Answer:
    """To a request."""

    value: int


class Link:
    """A socket to send on and one to receive from, with one writer and one reader."""

    def __init__(self, tls: dict[str, Any], handle: Callable[[Link, int, bytes], None]) -> None:
        self.codec = Codec()
        self.push = _nng.Push0(send_buffer_size=ROOM, tls_config=tls.get("client"))
        self.pull = _nng.Pull0(recv_buffer_size=ROOM, tls_config=tls.get("server"))
        self._handle = handle
        self._waiting: deque[tuple[int, bytes]] = deque()
        self._idle: trio.lowlevel.Task | None = None

    def put(self, number: int, body: bytes) -> None:
        """Send a message with a number, 0 for one that is told."""
        self._waiting.append((number, body))
        if self._idle is not None:
            trio.lowlevel.reschedule(self._idle)
            self._idle = None

    async def write(self) -> None:
        """Send what waits, many messages in a frame when many wait."""
        waiting, encode = self._waiting, msgspec.msgpack.encode
        while True:
            if not waiting:
                self._idle = trio.lowlevel.current_task()
                await trio.lowlevel.wait_task_rescheduled(self._forget)
            frame = encode([waiting.popleft() for _ in range(min(FRAME, len(waiting)))])
            while not self._sent(frame):
                await trio.lowlevel.wait_readable(self.push.send_fd)
            await trio.lowlevel.checkpoint()

    async def read(self) -> None:
        """Handle what comes."""
        decode = msgspec.msgpack.Decoder(list[tuple[int, bytes]]).decode
        while True:
            try:
                frame = self.pull.recv(block=False)
            except _nng.TryAgain:
                await trio.lowlevel.wait_readable(self.pull.recv_fd)
                continue
            for number, body in decode(frame):
                self._handle(self, number, body)
            await trio.lowlevel.checkpoint()

    def close(self) -> None:
        """Close both sockets."""
        self.push.close()
        self.pull.close()

    def _sent(self, frame: bytes) -> bool:
        try:
            self.push.send(frame, block=False)
        except _nng.TryAgain:
            return False
        return True

    def _forget(self, _: Any) -> trio.lowlevel.Abort:
        self._idle = None
        return trio.lowlevel.Abort.SUCCEEDED


class Client:
    """A server as it is seen from here."""

    def __init__(self, tls: dict[str, Any]) -> None:
        self.link = Link(tls, self._answered)
        self._numbers = count(1)
        self._askers: dict[int, trio.lowlevel.Task] = {}

    def tell(self, message: Any) -> None:
        """Put a message on its way."""
        self.link.put(0, self.link.codec.encode(message))

    async def ask(self, request: Any) -> int:
        """Send a request and wait for its reply."""
        number = next(self._numbers)
        self.link.put(number, self.link.codec.encode(request))
        self._askers[number] = trio.lowlevel.current_task()
        answer: Answer = await trio.lowlevel.wait_task_rescheduled(lambda _: trio.lowlevel.Abort.FAILED)
        return answer.value

    def _answered(self, link: Link, number: int, body: bytes) -> None:
        trio.lowlevel.reschedule(self._askers.pop(number), outcome.Value(link.codec.decode(body)))


@asynccontextmanager
async def _open_refs(servers: int, *, tls: bool) -> AsyncGenerator[list[Client]]:
    async with open_servers(__name__, servers, tls=tls) as (addresses, folder), trio.open_nursery() as nursery:
        clients = [Client(_configs(folder)) for _ in addresses]
        for client, address in zip(clients, addresses, strict=True):
            await trio.to_thread.run_sync(client.link.push.dial, address)
            client.link.push.send(_listen(client.link, folder).encode())
            nursery.start_soon(client.link.write)
            nursery.start_soon(client.link.read)
        yield clients
        nursery.cancel_scope.cancel()
    for client in clients:
        client.link.close()


async def serve(folder: Path | None) -> None:
    """Be a server; the first frame of the client is its address."""
    depot = Depot()

    def handle(link: Link, number: int, body: bytes) -> None:
        answer = depot.take(link.codec.decode(body))
        if answer is not None:
            link.put(number, link.codec.encode(Answer(answer)))

    link = Link(_configs(folder), handle)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve_until_orphaned, _listen(link, folder))
        await trio.lowlevel.wait_readable(link.pull.recv_fd)
        await trio.to_thread.run_sync(link.push.dial, link.pull.recv().decode())
        nursery.start_soon(link.write)
        nursery.start_soon(link.read)


def _listen(link: Link, folder: Path | None) -> str:
    """Listen on any port and return the address."""
    scheme = "tcp" if folder is None else "tls+tcp"
    listener = link.pull.listen(f"{scheme}://127.0.0.1:0")
    return f"{scheme}://{str(listener.local_address).rpartition('/')[2]}"


def _configs(folder: Path | None) -> dict[str, Any]:
    """Return what nng wants to know of the certificates, for each side of a connection."""
    if folder is None:
        return {}
    config = _nng.TLSConfig
    shared = {
        "ca_string": (folder / "ca.pem").read_text(),
        "own_cert_string": (folder / "node.pem").read_text(),
        "own_key_string": (folder / "node.key").read_text(),
        "auth_mode": config.AUTH_MODE_REQUIRED,
    }
    return {
        "server": config(config.MODE_SERVER, **shared),
        "client": config(config.MODE_CLIENT, server_name=NODE, **shared),
    }


WORKLOADS = between_processes(_open_refs)

if __name__ == "__main__":
    trio.run(serve, begin_as_server())
