"""The store that a URL means."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from trioakt.cluster.memory import MemoryStore
from trioakt.cluster.sqlite import SqliteStore
from trioakt.cluster.store import Store
from trioakt.cluster.stores import open_store


async def test_a_store_that_is_open_is_passed_through() -> None:
    store = MemoryStore()
    async with open_store(store) as opened:
        assert opened is store


async def test_the_url_of_a_file_opens_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    async with open_store(f"sqlite://{tmp_path}/a%20town.db") as store:
        assert isinstance(store, SqliteStore)
        await store.create("key", b"")
    async with open_store("sqlite://a town.db") as store:
        assert len((await store.list("")).entries) == 1


@pytest.mark.parametrize("url", ["town.db", "redis://localhost", "sqlite://", "sqlite:///", "://", ""])
async def test_a_url_that_means_no_store_is_refused_with_what_would(url: str) -> None:
    with pytest.raises(ValueError, match="sqlite"):
        async with open_store(url):
            pass


@pytest.mark.parametrize(
    ("url", "module"), [("etcd://localhost:1", "httpx"), ("postgresql://localhost:1/x", "psycopg")]
)
async def test_an_engine_that_is_not_installed_is_named_with_its_extra(
    url: str, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    scheme = url.partition(":")[0]
    for name in [name for name in sys.modules if name.startswith(f"trioakt.cluster.{scheme}")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=rf"trioakt\[cluster-{scheme}\]"):
        async with open_store(url):
            pass


def test_a_store_is_known_by_its_verbs() -> None:
    assert not isinstance(object(), Store)
