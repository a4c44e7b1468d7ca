"""The cell of a system with instruments: it tells them of each message, and knows no instrument by name."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from trioakt._core.ask import Ask, AskOutcome, Listener
from trioakt._core.cell import Cell
from trioakt._core.standing import kind_of

if TYPE_CHECKING:
    from trioakt._core.actor import Handler
    from trioakt._core.context import CoreContext
    from trioakt._core.message import Envelope


class ObservedCell(Cell):
    """One actor whose messages are observed. A system without instruments uses the plain cell, and pays nothing."""

    def deliver(self, envelope: Envelope) -> None:
        """Tell the instruments, and put the envelope into the mailbox."""
        self.check_thread()
        envelope.headers = {}
        for instrument in self.system.instruments:
            instrument.sending(self.ref, envelope, envelope.headers)
        if not isinstance(envelope, Ask) or envelope.listener is not None:
            super().deliver(envelope)
            return
        envelope.listener = self._listener(envelope)
        try:
            super().deliver(envelope)
        except BaseException as error:
            envelope.listener(AskOutcome.FAILED, error)
            raise

    def behave(self, handler: Handler) -> None:
        """Handle the next messages with this function, the instruments around it."""
        ref, kind, instruments = self.ref, kind_of(self.factory), self.system.instruments

        async def observed(ctx: CoreContext, message: Any) -> None:
            envelope = ctx.envelope
            assert envelope is not None
            headers = getattr(envelope, "headers", {})  # a notice of the toolkit has none
            with ExitStack() as around:
                for instrument in instruments:
                    around.enter_context(instrument.handling(ref, kind, envelope, headers))
                handling = handler(ctx, message)
                if handling is not None:
                    await handling

        super().behave(observed)

    def _listener(self, ask: Ask) -> Listener:
        kind = kind_of(self.factory)
        heard = (instrument.asked(self.ref, kind, ask) for instrument in self.system.instruments)
        listeners = tuple(each for each in heard if each is not None)

        def listen(outcome: AskOutcome, error: BaseException | None) -> None:
            for listener in listeners:
                listener(outcome, error)

        return listen
