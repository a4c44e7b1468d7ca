"""The dead-letter office: counts every message that nobody handled, and logs them at a limited rate."""

from __future__ import annotations

import logging
from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trioakt._core.events import DeadLetterReason
    from trioakt._core.ref import ActorRef

_log = logging.getLogger("trioakt")

_LINES = 10
"""How many dead letters are logged one by one ..."""
_WINDOW = 10.0
"""... in so many seconds; the others are summed up."""


class DeadLetterOffice:
    """Counts by reason; publishing the events is the system's part."""

    def __init__(self) -> None:
        self.counts: Counter[DeadLetterReason] = Counter()
        self._window_ends = float("-inf")
        self._logged = 0
        self._unlogged = 0

    def take(
        self, message: Any, sender: ActorRef | None, recipient: ActorRef, reason: DeadLetterReason, now: float
    ) -> None:
        """Count a dead letter, and log it if that is not too often; ``now`` is in seconds."""
        self.counts[reason] += 1
        if now >= self._window_ends:
            self.flush()
            self._window_ends = now + _WINDOW
            self._logged = 0
        if self._logged == _LINES:
            self._unlogged += 1
            return
        self._logged += 1
        origin = "nobody" if sender is None else sender.path
        # The message itself is not shown: its repr is user code, and its content may be private.
        _log.warning(
            "dead letter: %s from %s to %s (%s)",
            *(type(message).__name__, origin, recipient.path, reason.value),
            extra={"actor": recipient.path},
        )

    def flush(self) -> None:
        """Log the sum of what was not logged one by one."""
        if self._unlogged:
            _log.warning("%d more dead letters, not logged one by one", self._unlogged)
            self._unlogged = 0
