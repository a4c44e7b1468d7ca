"""The engines that are servers: each started for one measurement, and ended after it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator


@contextmanager
def etcd() -> Generator[str]:
    """Run one member of etcd and give the URL of its store."""
    client, peer = (f"http://127.0.0.1:{port}" for port in _free_ports(2))
    with TemporaryDirectory() as folder:
        command = [
            _program("etcd"),
            f"--data-dir={folder}/data",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
        ]
        with _running(command):
            yield client.replace("http:", "etcd:")


@contextmanager
def postgresql() -> Generator[str]:
    """Run PostgreSQL and give the URL of its store; as root, in the name of its own user."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: int(folder.parent.name))
    (port,) = _free_ports(1)
    user = "postgres" if os.geteuid() == 0 else None
    with TemporaryDirectory() as folder:
        if user:
            shutil.chown(folder, user, user)
        initdb = [_program("initdb", *folders), "-D", f"{folder}/data", "-A", "trust", "-U", "postgres"]
        subprocess.run(initdb, check=True, capture_output=True, user=user, cwd=folder)
        address = ["-h", "127.0.0.1", "-p", str(port), "-k", folder]
        with _running([_program("postgres", *folders), "-D", f"{folder}/data", *address], user):
            yield f"postgresql://postgres@127.0.0.1:{port}/postgres"


def _program(name: str, *folders: Path) -> str:
    found = shutil.which(name, path=os.pathsep.join([*map(str, reversed(folders)), os.environ["PATH"]]))
    if found is None:
        raise FileNotFoundError(f"there is no {name} here")
    return found


@contextmanager
def _running(command: list[str], user: str | None = None) -> Generator[None]:
    silent = subprocess.DEVNULL
    with subprocess.Popen(command, stdout=silent, stderr=silent, user=user) as process:
        try:
            yield
        finally:
            process.terminate()
            process.wait()


def _free_ports(number: int) -> list[int]:
    with ExitStack() as stack:
        taken = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(number)]
        return [each.getsockname()[1] for each in taken]
