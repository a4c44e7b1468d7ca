"""Following: how a node keeps its view of the cluster up to date."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

import trio

from trioakt.cluster.store import Changes
from trioakt.errors import NoQuorumError

if TYPE_CHECKING:
    from trioakt.cluster.store import Store
    from trioakt.cluster.view import Delta, View

_log = logging.getLogger("trioakt")

_PATIENCE = 0.5
"""Seconds after which a store that cannot be reached is tried again."""


async def follow(store: Store, view: View, hear: Callable[[Delta], None]) -> None:
    """Let a view follow the store, until cancelled.

    Args:
        store: Which knows what there is.
        view: Which has been loaded.
        hear: Called with what has changed in it.
    """
    while True:
        try:
            async with store.watch(view.prefix, view.revision) as changes:
                async for each in changes:
                    if not isinstance(each, Changes):
                        break
                    hear(view.apply(each))
        except NoQuorumError as error:
            _log.warning("the view of %s does not hear from the store: %s", view.prefix, error)
            await trio.sleep(_PATIENCE)
        with suppress(NoQuorumError):
            hear(view.load(await store.list(view.prefix)))
