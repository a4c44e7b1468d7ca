"""A store in an SQLite file."""

from __future__ import annotations

from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from benchmarks.stores.workloads import workloads
from trioakt.cluster.sqlite import open_sqlite_store

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from trioakt.cluster.store import Store


@asynccontextmanager
async def _opened() -> AsyncGenerator[Store]:
    with TemporaryDirectory() as folder:
        async with open_sqlite_store(Path(folder) / "store") as store:
            yield store


WORKLOADS = workloads(_opened)
