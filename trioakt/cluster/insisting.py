"""Insisting: what has to come about in the store is tried again until the store has answered."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

import trio

from trioakt.errors import NoQuorumError

T = TypeVar("T")

_log = logging.getLogger("trioakt")

_PATIENCE = (0.25, 10.0)
"""Seconds after which what the store has not answered is tried again: at first, and at most."""


async def insist(verb: Callable[[], Awaitable[T]], who: str) -> T:
    """Do something in the store, and do it again while the store cannot be reached; ends by being cancelled.

    Args:
        verb: What is done; doing it twice does no harm.
        who: Waits for it, for the log.
    """
    pause, longest = _PATIENCE
    while True:
        try:
            return await verb()
        except NoQuorumError as error:
            _log.warning("%s waits for the store: %s", who, error)
            await trio.sleep(pause)
            pause = min(2 * pause, longest)
