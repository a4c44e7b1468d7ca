"""A real PostgreSQL for the tests, on a loopback port: killed, frozen and started again, with all its processes."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

READY = 30.0
"""Seconds, at most, until a server answers."""


def binaries() -> Path:
    """Return where PostgreSQL is; without one, skip the test, or fail it where it has to be."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin/"), key=lambda folder: int(folder.parent.name))
    if folders:
        return folders[-1]  # Debian keeps it off the PATH
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    if os.environ.get("CI"):
        pytest.fail("there is no PostgreSQL here; CI installs it (Debian's package `postgresql`)")
    pytest.skip("there is no PostgreSQL here (Debian's package `postgresql`)")


def children(pid: int) -> list[int]:
    """Return the processes that a process has started."""
    found: list[int] = []
    for each in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(each.read_text().rpartition(")")[2].split()[1])
        except OSError:  # it has ended meanwhile
            continue
        if parent == pid:
            found.append(int(each.parent.name))
    return found


class Server:
    """One server. It leaves the syncing to the system, which outlives it."""

    def __init__(self, folder: Path) -> None:
        self._bin = binaries()
        self._folder = folder
        self._user: dict[str, Any] = {"cwd": folder, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        if os.geteuid() == 0:  # as whom it refuses to run
            shutil.chown(folder, "postgres", "postgres")
            self._user |= {"user": "postgres", "group": "postgres", "extra_groups": []}
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            self.port: int = taken.getsockname()[1]
        self._process: subprocess.Popen[Any] | None = None
        command = [f"{self._bin}/initdb", "--auth=trust", "--username=trioakt", "--no-sync", "--encoding=UTF8", "data"]
        subprocess.run(command, check=True, **self._user)

    def url(self, user: str = "trioakt") -> str:
        """Return what a store is opened with."""
        return f"postgresql://{user}@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        """Run it, and wait until it answers."""
        options = [
            f"--port={self.port}",
            "-c",
            "listen_addresses=127.0.0.1",
            "-c",
            "unix_socket_directories=",
            "-c",
            "fsync=off",
        ]
        command = [f"{self._bin}/postgres", "-D", "data", *options]
        patience = time.monotonic() + READY
        while True:
            if self._process is None or self._process.poll() is not None:
                self._process = subprocess.Popen(command, **self._user)
            try:
                return self.run("select 1")
            except psycopg.OperationalError:
                if time.monotonic() > patience:
                    raise
                time.sleep(0.05)

    def run(self, sql: str) -> None:
        """Do something on the way around the store."""
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(sql.encode())

    def freeze(self) -> None:
        """Let it stand still, with all its connections open."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """Let it end at once."""
        self._signal(signal.SIGKILL)
        if self._process is not None:
            self._process.wait()
            self._process = None

    def _signal(self, number: int) -> None:
        if self._process is not None and self._process.poll() is None:
            for pid in [self._process.pid, *children(self._process.pid)]:
                try:
                    os.kill(pid, number)
                except ProcessLookupError:  # it has ended meanwhile
                    continue


@contextmanager
def postgresql() -> Generator[Server]:
    """Run a server for as long as the block lasts."""
    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder))
        try:
            server.start()
            yield server
        finally:
            server.kill()
