"""Finds the store that a URL means; each engine is loaded when it is asked for."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from importlib import import_module
from typing import TYPE_CHECKING
from urllib.parse import unquote

from trioakt.cluster.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager

_ENGINES = {"etcd": "etcd", "etcds": "etcd", "postgresql": "postgresql", "sqlite": "sqlite"}
"""Which engine a scheme means; ``etcds`` is etcd over TLS."""


@asynccontextmanager
async def open_store(store: str | Store) -> AsyncGenerator[Store]:
    """Open the store that a URL means.

    Args:
        store: ``sqlite://town.db`` (or ``sqlite:///var/lib/town.db``), ``etcd://host:port,host:port`` or
            ``postgresql://...``. A store that is open already is passed through, and stays open.

    Raises:
        ValueError: The URL means no store.
        ImportError: The extra of the engine is not installed.
        ClusterError: The store cannot be opened.
    """
    if not isinstance(store, str):
        yield store
        return
    opener = opener_of(store)
    async with opener(_path(store) if store.startswith("sqlite:") else store) as opened:
        yield opened


def opener_of(url: str) -> Callable[[str], AbstractAsyncContextManager[Store]]:
    """Return what opens the store that a URL means.

    Raises:
        ValueError, ImportError: As ``open_store``.
    """
    scheme, has_scheme, _ = url.partition("://")
    if not has_scheme or scheme not in _ENGINES:
        raise ValueError(f"the URL of a store begins with one of {sorted(_ENGINES)} and ://, got {url!r}")
    return _opener(scheme)


def _opener(scheme: str) -> Callable[[str], AbstractAsyncContextManager[Store]]:
    engine = _ENGINES[scheme]
    try:
        module = import_module(f"trioakt.cluster.{engine}")
    except ImportError as error:
        raise ImportError(f"{scheme}:// needs the extra trioakt[cluster-{engine}]: {error}", name=error.name) from error
    opener: Callable[[str], AbstractAsyncContextManager[Store]] = getattr(module, f"open_{engine}_store")
    return opener


def _path(url: str) -> str:
    """Return the path in the URL of a file."""
    path = unquote(url.removeprefix("sqlite://"))
    if not path.strip("/"):
        raise ValueError(f"the URL of a file is sqlite://town.db or sqlite:///var/lib/town.db, got {url!r}")
    return path
