"""Parking: messages that wait outside of a mailbox, and go on as if their sender had sent them only then."""

from __future__ import annotations

from contextvars import Context, copy_context
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable

    from trioakt.lowlevel import Envelope


@attrs.frozen
class Parked:
    """A message that waits, with what its sender's task knew at that moment, such as the trace that it is part of."""

    envelope: Envelope
    _context: Context = attrs.field(init=False, factory=copy_context)

    def go_on(self, deliver: Callable[[Envelope], None]) -> None:
        """Deliver it."""
        self._context.run(deliver, self.envelope)
