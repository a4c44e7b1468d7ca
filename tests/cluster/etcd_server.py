"""A real etcd for the tests: members on loopback ports, each of which can be killed, frozen and started again."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from base64 import b64encode
from collections.abc import AsyncGenerator, Iterable
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio

from trioakt.remote.settings import Tls

TICKS = ["--heartbeat-interval=100", "--election-timeout=500"]
"""Half of etcd's own, so that a test waits half as long for a new leader."""
ALONE = ["--heartbeat-interval=10", "--election-timeout=100"]
"""For a member without others to wait for."""
READY = 30.0
"""Seconds, at most, until a member answers."""


def binary() -> str:
    """Return etcd; without one, skip the test, or fail it where it has to be."""
    found = shutil.which("etcd")
    if found is None and os.environ.get("CI"):
        pytest.fail("there is no etcd here; CI installs it (Debian's package `etcd-server`)")
    if found is None:
        pytest.skip("there is no etcd here (Debian's package `etcd-server`)")
    return found


def text(data: bytes | str) -> str:
    """Write bytes as etcd's JSON does."""
    return b64encode(data.encode() if isinstance(data, str) else data).decode()


class Member:
    """One process of etcd."""

    def __init__(
        self, folder: Path, client: int, peer: int, options: Iterable[str], tls: Tls | None, host: str = "127.0.0.1"
    ) -> None:
        self.name = f"member-{client}"
        self.peer = f"http://127.0.0.1:{peer}"
        self.address = f"{host}:{client}"
        self._url = f"{'https' if tls else 'http'}://{self.address}"
        self._options = [f"--data-dir={folder / self.name}", *options]
        if tls:
            self._options += [f"--cert-file={tls.certificate}", f"--key-file={tls.key}"]
            self._options += [f"--trusted-ca-file={tls.ca}", "--client-cert-auth"]
        self.is_frozen = False
        self._process: trio.Process | None = None

    async def start(self, cluster: str) -> None:
        """Run it; it waits for the others."""
        command = [
            binary(),
            f"--name={self.name}",
            f"--listen-client-urls={self._url}",
            f"--advertise-client-urls={self._url}",
            f"--listen-peer-urls={self.peer}",
            f"--initial-advertise-peer-urls={self.peer}",
            f"--initial-cluster={cluster}",
            *self._options,
        ]
        self._process = await trio.lowlevel.open_process(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def signal(self, number: int) -> None:
        """Send it a signal."""
        if self._process is not None:
            self._process.send_signal(number)

    def freeze(self) -> None:
        """Let it stand still, with all its connections open."""
        self.is_frozen = True
        self.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self.is_frozen = False
        self.signal(signal.SIGCONT)

    def stop(self) -> None:
        """Let it end at once."""
        self.signal(signal.SIGKILL)

    async def ended(self) -> None:
        """End it, if it runs, and wait for its end."""
        self.stop()
        if self._process is not None:
            await self._process.wait()
            self._process = None

    async def ask(self, verb: str, body: dict[str, Any]) -> dict[str, Any]:
        """Ask it something on the way around the store."""
        async with httpx.AsyncClient(verify=False, trust_env=False, timeout=10) as client:
            return await self._ask(client, verb, body)

    async def _ask(self, client: httpx.AsyncClient, verb: str, body: dict[str, Any]) -> dict[str, Any]:
        response = await client.post(f"{self._url}/v3/{verb}", json=body)
        response.raise_for_status()
        return dict(response.json())

    async def put_leased(self, lease: str, keys: Iterable[str]) -> None:
        """Put keys under a lease, many at a time."""
        puts = [{"request_put": {"key": text(key), "value": text("12345678"), "lease": lease}} for key in keys]
        async with httpx.AsyncClient(verify=False, trust_env=False, timeout=10) as client:
            for start in range(0, len(puts), 128):  # etcd takes no more in one
                await self._ask(client, "kv/txn", {"success": puts[start : start + 128]})

    async def compact(self, revision: int) -> None:
        """Let it forget what was before a revision."""
        await self.ask("kv/compaction", {"revision": str(revision), "physical": True})


class Etcd:
    """The members of one cluster."""

    def __init__(self, members: list[Member]) -> None:
        self.members = members

    def url(self, *first: Member) -> str:
        """Return what a store is opened with: these members first, in the order in which they are asked."""
        members = [*first, *(member for member in self.members if member not in first)]
        return f"etcd://{','.join(member.address for member in members)}"

    async def start(self, *members: Member) -> None:
        """Start members."""
        cluster = ",".join(f"{member.name}={member.peer}" for member in self.members)
        for member in members:
            await member.start(cluster)

    async def revive(self, member: Member) -> None:
        """Let a member run again, however it was stopped."""
        if member.is_frozen:
            member.thaw()
        else:
            await member.ended()
            await self.start(member)

    async def leader(self) -> Member:
        """Wait for a leader that can be asked, and return it."""
        with trio.fail_after(READY):
            while True:
                for member in self.members:
                    try:
                        status = await member.ask("maintenance/status", {})
                    except httpx.HTTPError:  # it is still starting
                        continue
                    if status.get("leader") == status["header"]["member_id"]:
                        return member
                await trio.sleep(0.05)


def free_ports(number: int) -> list[int]:
    """Find ports that nobody listens on."""
    with ExitStack() as stack:
        taken = [stack.enter_context(socket.socket()) for _ in range(number)]
        for each in taken:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in taken]


@asynccontextmanager
async def etcd(
    folder: Path, size: int = 1, *options: str, tls: Tls | None = None, host: str = "127.0.0.1"
) -> AsyncGenerator[Etcd]:
    """Run a cluster for as long as the block lasts, at an address of this machine."""
    options = (*(TICKS if size > 1 else ALONE), *options)
    ports = free_ports(2 * size)
    pairs = zip(ports[:size], ports[size:], strict=True)
    cluster = Etcd([Member(folder, client, peer, options, tls, host) for client, peer in pairs])
    try:
        await cluster.start(*cluster.members)
        if tls is None:
            await cluster.leader()
        yield cluster
    finally:
        with trio.CancelScope(shield=True):  # they end at once
            for member in cluster.members:
                await member.ended()
