"""Following: how a node keeps its view of what is in a store up to date."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol, TypeVar

import trio

from trioakt.cluster.store import Changes
from trioakt.errors import NoQuorumError

if TYPE_CHECKING:
    from trioakt.cluster.store import Listing, Store

D_co = TypeVar("D_co", covariant=True)
D = TypeVar("D")

_log = logging.getLogger("trioakt")

_PATIENCE = 0.5
"""Seconds after which a store that cannot be reached is tried again."""


class Following(Protocol[D_co]):
    """What is known of the keys under a prefix, as it stood at a revision."""

    prefix: str
    revision: int

    def load(self, listing: Listing) -> D_co:
        """Take everything anew, and return what has changed."""
        ...

    def apply(self, changes: Changes) -> D_co:
        """Take what one revision has changed, and return it."""
        ...


async def follow(store: Store, view: Following[D], hear: Callable[[D], None]) -> None:
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
