"""The cell of a system with instruments: it tells them of each message, and knows no instrument by name."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any

from trioakt._core.ask import Ask, AskOutcome, Listener
from trioakt._core.cell import Cell
from trioakt._core.escapes import passes_through
from trioakt._core.instrument import Instrument, arrived_headers
from trioakt._core.standing import kind_of
from trioakt.supervision import Failure

if TYPE_CHECKING:
    from trioakt._core.actor import Handler
    from trioakt._core.context import CoreContext
    from trioakt._core.message import Envelope
    from trioakt._core.ref import ActorRef

_log = logging.getLogger("trioakt")


class ObservedCell(Cell):
    """One actor whose messages are observed. A system without instruments uses the plain cell, and pays nothing."""

    def deliver(self, envelope: Envelope) -> None:
        """Tell the instruments, and put the envelope into the mailbox."""
        self.check_thread()
        arrived = arrived_headers.get()
        envelope.headers = {} if arrived is None else arrived
        for instrument in self.system.instruments if arrived is None else ():
            instrument.sending(self.ref, envelope, envelope.headers)
        if not isinstance(envelope, Ask) or not envelope.asked or envelope.listener is not None:
            super().deliver(envelope)
            return
        listeners = list[Listener]()
        envelope.listener = partial(_tell_all, self.path, listeners)
        try:
            kind = kind_of(self.factory)
            for instrument in self.system.instruments:
                listener = instrument.asked(self.ref, kind, envelope)
                if listener is not None:
                    listeners.append(listener)
            super().deliver(envelope)
        except BaseException as error:
            envelope.listener = None  # who gives it up later tells no second end
            _tell_all(self.path, listeners, AskOutcome.FAILED, error)
            raise

    def behave(self, handler: Handler) -> None:
        """Handle the next messages with this function, the instruments around it."""
        kind = kind_of(self.factory)
        for instrument in reversed(self.system.instruments):
            if type(instrument).handling is not Instrument.handling:
                handler = _around(instrument, self.ref, kind, handler)
        super().behave(handler)


def _tell_all(path: str, listeners: list[Listener], outcome: AskOutcome, error: BaseException | None) -> None:
    """Tell the end of an ask; one that raises must not keep the asker, or whoever answers, from going on."""
    for listener in listeners:
        try:
            listener(outcome, error)
        except BaseException as trouble:
            if passes_through(trouble):
                raise
            _log.error("an instrument failed at the end of an ask to %s: %s", path, Failure.of(trouble))


def _around(instrument: Instrument, ref: ActorRef, kind: str, handler: Handler) -> Handler:
    """Put an instrument around a handler."""

    async def observed(ctx: CoreContext, message: Any) -> None:
        envelope = ctx.envelope
        assert envelope is not None
        headers = getattr(envelope, "headers", {})  # a notice of the toolkit has none
        with instrument.handling(ref, kind, envelope, headers):
            handling = handler(ctx, message)
            if handling is not None and hasattr(handling, "__await__"):
                await handling

    return observed
