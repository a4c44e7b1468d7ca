"""Ticks that come once in the cluster: each is a key, and who creates it tells it."""

from __future__ import annotations

import logging
import math
from contextlib import suppress
from typing import TYPE_CHECKING

import trio

from trioakt.errors import NoQuorumError

if TYPE_CHECKING:
    from trioakt.cluster.store import Store

_log = logging.getLogger("trioakt")

_MEMORY = 600.0
"""Seconds for which a tick is remembered: by so much the clocks of the nodes may differ."""
_TIDYING = 60.0
"""Seconds from one tidying up to the next."""


class Ticks:
    """Claims ticks of schedules for this node.

    Args:
        prefix: Of their keys.
        node: This node's name, for those who look into the store.
    """

    def __init__(self, prefix: str, node: str) -> None:
        self._prefix = prefix
        self._node = node
        self._tidied = -math.inf

    async def claim(self, store: Store, name: str, due: float) -> bool:
        """Return whether a tick is this node's to tell; with the store out of reach it is not."""
        key = f"{self._prefix}{name}/{due:017.3f}"
        try:
            created = await store.create(key, self._node.encode())
        except NoQuorumError as error:
            _log.warning("the tick of %s is left to other nodes: %s", name, error)
            return False
        if created.won and trio.current_time() >= self._tidied + _TIDYING:
            self._tidied = trio.current_time()
            with suppress(NoQuorumError):  # the next one does it
                await self._tidy_up(store, name, due)
        return created.won

    async def _tidy_up(self, store: Store, name: str, due: float) -> None:
        """Forget what no clock will come to any more."""
        prefix = f"{self._prefix}{name}/"
        for entry in (await store.list(prefix)).entries:
            if float(entry.key.removeprefix(prefix)) < due - _MEMORY:
                await store.delete(entry.key, entry.token)
