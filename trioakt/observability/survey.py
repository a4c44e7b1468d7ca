"""The survey: how many messages wait in front of each kind of actor, for those who ask from other threads."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING

import trio

from trioakt.lowlevel import kind_of

if TYPE_CHECKING:
    from trioakt.lowlevel import CoreSystem, Standing

_STEP = 500
"""Actors that are looked at before the event loop gets its turn again."""
_PATIENCE = 1.0
"""Seconds that another thread waits for a loop that is busy."""


class Survey:
    """Looks at a system in the thread of that system, whoever asks."""

    def __init__(self, system: CoreSystem) -> None:
        self._system = system
        self._token = trio.lowlevel.current_trio_token()
        self._last: Counter[str] = Counter()

    def take(self) -> Counter[str]:
        """Return the messages that wait, by kind.

        Another thread waits for the event loop, for at most a second: then it gets what was last seen. So whoever holds
        up the loop while it waits for that thread, such as an exporter that is shut down, is held up no longer.
        """
        look = _Look(self._system.cells(), self._token)
        if threading.get_ident() == self._system.thread:
            look.finish()
        else:
            with suppress(trio.RunFinishedError):
                self._token.run_sync_soon(look.step)
                look.done.wait(_PATIENCE)
        if look.done.is_set():
            self._last = look.depths
        return self._last


class _Look:
    """One walk through the tree, in steps."""

    def __init__(self, cells: Iterator[Standing], token: trio.lowlevel.TrioToken) -> None:
        self.depths: Counter[str] = Counter()
        self.done = threading.Event()
        self._cells = cells
        self._token = token

    def finish(self) -> None:
        """Walk to the end at once."""
        while not self._walk():
            pass

    def step(self) -> None:
        """Walk a part, and come back for the next."""
        if not self._walk():
            self._token.run_sync_soon(self.step)

    def _walk(self) -> bool:
        cells = list(islice(self._cells, _STEP))
        for cell in cells:
            if cell.parent is not None:  # a guardian is none of the application's
                self.depths[kind_of(cell.factory)] += cell.statistics().depth
        if len(cells) < _STEP:
            self.done.set()
        return self.done.is_set()
