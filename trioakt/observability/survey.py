"""The survey: how many messages wait in front of each kind of actor, for those who ask from other threads."""

from __future__ import annotations

import threading
from collections import Counter
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
        self._running: _Look | None = None
        self._last = Counter[str]()

    def take(self) -> Counter[str]:
        """Return the messages that wait, by kind.

        Another thread waits for the event loop, for at most a second: then it gets what was last seen. So whoever holds
        up the loop while it waits for that thread, such as an exporter that is shut down, is held up no longer.
        """
        if threading.get_ident() == self._system.thread:
            look = _Look(self._system)
            while not look.step():
                pass
            self._last = look.depths
        else:
            self._look().done.wait(_PATIENCE)
        return self._last

    def _look(self) -> _Look:
        """Return the walk that goes on, or begin one."""
        look = self._running
        if look is None:
            look = self._running = _Look(self._system)
            self._go_on_soon(look)
        return look

    def _go_on_soon(self, look: _Look) -> None:
        try:
            self._token.run_sync_soon(self._go_on, look)
        except trio.RunFinishedError:
            look.done.set()

    def _go_on(self, look: _Look) -> None:
        if look.step():
            self._last, self._running = look.depths, None
            look.done.set()
        else:
            self._go_on_soon(look)


class _Look:
    """One walk through the tree, in steps."""

    def __init__(self, system: CoreSystem) -> None:
        self.depths = Counter[str]()
        self.done = threading.Event()
        self._cells = system.cells()

    def step(self) -> bool:
        """Walk a part of the way, and tell whether it was the last one."""
        cells = list(islice(self._cells, _STEP))
        for cell in cells:
            if cell.parent is not None:  # a guardian is none of the application's
                self.depths[kind_of(cell.factory)] += _waiting(cell)
        return len(cells) < _STEP


def _waiting(cell: Standing) -> int:
    try:
        return len(cell.mailbox) + len(cell.front or ())
    except Exception:  # a mailbox may be the application's own, and what it raises here would end the event loop
        return 0
