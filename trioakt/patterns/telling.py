"""Telling where no caller is left to raise to: what does not get there is a dead letter."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from trioakt.errors import CodecError, MailboxFullError
from trioakt.lowlevel import Ask, DeadLetterReason, Envelope, Failure, PoisonPill, passes_through

if TYPE_CHECKING:
    from trioakt.lowlevel import ActorRef, CoreSystem

_log = logging.getLogger("trioakt")


def tell_or_lose(system: CoreSystem, ref: ActorRef[Any], message: object, sender: ActorRef[Any] | None) -> bool:
    """Tell an actor a message; return whether its mailbox has taken it."""
    if message.__class__ is not PoisonPill:
        return deliver_or_lose(system, ref, Envelope(message, sender))
    ref.tell(message)
    return True


def deliver_or_lose(system: CoreSystem, ref: ActorRef[Any], envelope: Envelope) -> bool:
    """Hand an actor an envelope; return whether its mailbox has taken it."""
    try:
        ref.recipient.deliver(envelope)
    except BaseException as error:
        if passes_through(error):
            raise
        if isinstance(envelope, Ask) and envelope.pending:
            envelope.fail(error)
        lose(system, ref, envelope.message, envelope.sender, error)
        return False
    return True


def lose(
    system: CoreSystem, ref: ActorRef[Any], message: object, sender: ActorRef[Any] | None, error: BaseException
) -> None:
    """Make a message a dead letter that a mailbox has refused, that has broken it, or that cannot travel."""
    reason = DeadLetterReason.MAILBOX_FULL
    if isinstance(error, CodecError):
        reason = DeadLetterReason.NOT_ENCODED
    elif not isinstance(error, MailboxFullError):
        reason = DeadLetterReason.UNHANDLED
        _log.error("the mailbox of %s failed: %s", ref.path, Failure.of(error), extra={"actor": ref.path})
    system.dead_letter(message, sender, ref, reason)
