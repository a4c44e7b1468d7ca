"""The engines that the clusters of processes are tested on: each can be out of reach for a while."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncGenerator, Generator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Protocol

import pytest

from tests.cluster.etcd_server import Etcd, etcd
from tests.cluster.postgresql_server import Server, postgresql


class Engine(Protocol):
    """Where a store lives."""

    @property
    def url(self) -> str:
        """What it is opened with."""
        ...

    def out_of_reach(self) -> AbstractContextManager[None]:
        """Let nobody write there while the block lasts."""
        ...


class Sqlite:
    """A file; who holds its lock keeps all others out."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def url(self) -> str:
        return f"sqlite://{self._path}"

    @contextmanager
    def out_of_reach(self) -> Generator[None]:
        with closing(sqlite3.connect(self._path, timeout=30, isolation_level=None)) as file:
            file.execute("begin exclusive")
            yield
            file.execute("rollback")


class OneEtcd:
    """One member, which can be frozen."""

    def __init__(self, cluster: Etcd) -> None:
        self._cluster = cluster

    @property
    def url(self) -> str:
        return self._cluster.url()

    @contextmanager
    def out_of_reach(self) -> Generator[None]:
        (member,) = self._cluster.members
        member.freeze()
        try:
            yield
        finally:
            member.thaw()


class OnePostgresql:
    """A server, which can be killed and started again."""

    def __init__(self, server: Server) -> None:
        self._server = server

    @property
    def url(self) -> str:
        return self._server.url()

    @contextmanager
    def out_of_reach(self) -> Generator[None]:
        self._server.kill()
        try:
            yield
        finally:
            self._server.start()


@pytest.fixture(params=["sqlite", "etcd"])
async def engine(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncGenerator[Engine]:
    """Each engine in turn."""
    if request.param == "sqlite":
        yield Sqlite(tmp_path / "cluster.db")
    else:
        async with etcd(tmp_path / "etcd") as cluster:
            yield OneEtcd(cluster)


@pytest.fixture
def postgresql_engine() -> Generator[Engine]:
    """The engine that is slowest to start."""
    with postgresql() as server:
        yield OnePostgresql(server)


@pytest.fixture
def file(tmp_path: Path) -> Sqlite:
    """The engine that is there everywhere."""
    return Sqlite(tmp_path / "cluster.db")
