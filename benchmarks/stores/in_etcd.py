"""A store in etcd."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from benchmarks.stores.servers import etcd
from benchmarks.stores.workloads import opened_soon, workloads
from trioakt.cluster.etcd import open_etcd_store

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from trioakt.cluster.store import Store


@asynccontextmanager
async def _opened() -> AsyncGenerator[Store]:
    with etcd() as url:
        async with opened_soon(open_etcd_store, url) as store:
            yield store


WORKLOADS = workloads(_opened)
