"""What the two ends of a reliable stream tell each other; plain messages that the codec carries, without any refs.

A producer opens, the consumer grants, and parts flow as far as they were granted. Each end is known by a token that
is new with each life of it, so that what comes late from an earlier life is never taken for something new.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from trioakt.errors import DeliveryError
from trioakt.lowlevel import message

if TYPE_CHECKING:
    from trioakt.lowlevel import ActorRef, CoreContext


@attrs.frozen
class Piece:
    """What one part carries.

    Attributes:
        payload: A whole message, or bytes of one that was encoded.
        encoded: Which of the two it is.
        last: Whether the message ends with it.
    """

    payload: Any
    encoded: bool = False
    last: bool = True


@message(name="trioakt.delivery.open")
class Open:
    """A producer asks a consumer what it has; at the beginning, and again whenever it has not heard for a while.

    Attributes:
        producer_id: Its name, the same in each life.
        stream: What its numbers count; a durable queue keeps it, otherwise it is new with each life.
        incarnation: Token of this life of the producer.
        attempt: Counts what was asked; the answer repeats it.
        confirmed: The number up to which the producer knows everything to be handled.
    """

    producer_id: str
    stream: str
    incarnation: str
    attempt: int
    confirmed: int


@message(name="trioakt.delivery.part")
class Part:
    """A message, or a piece of a large one, under the next number of its stream.

    Attributes:
        producer_id: As in ``Open``.
        session: What the consumer has named this conversation.
        sequence: The number, from 1 on.
        confirmed: As in ``Open``.
        payload: As in ``Piece``.
        encoded: As in ``Piece``.
        last: As in ``Piece``.
    """

    producer_id: str
    session: str
    sequence: int
    confirmed: int
    payload: Any
    encoded: bool
    last: bool


@message(name="trioakt.delivery.grant")
class Grant:
    """A consumer says how far it is, and how far the producer may go.

    Attributes:
        session: The conversation; its parts name it.
        incarnation: Of the producer that this is for.
        attempt: Of the ``Open`` that this answers; 0 when nobody has asked.
        received: The number up to which everything has arrived.
        confirmed: The number up to which everything is handled.
        up_to: The highest number that may be sent.
        max_size: Bytes of the largest encoded message that is taken.
    """

    session: str
    incarnation: str
    attempt: int
    received: int
    confirmed: int
    up_to: int
    max_size: int


@message(name="trioakt.delivery.lost")
class Lost:
    """The consumer knows no such conversation: it is another one, or lives again, and wants to be asked anew."""

    session: str


@message(name="trioakt.delivery.superseded")
class Superseded:
    """Another producer has taken over this one's name at the consumer."""

    incarnation: str


@message(name="trioakt.delivery.join")
class Join:
    """A worker asks a producer for work; it does so again and again, which tells that it is still there."""


Reply = Grant | Lost | Superseded


def tell(ctx: CoreContext, ref: ActorRef | None, message: object) -> None:
    """Tell the other end, if there is anything to tell; what it cannot take now counts as lost on the way."""
    if message is None or ref is None or not ref.is_alive:
        return
    try:
        ref.tell(message, sender=ctx.self)
    except DeliveryError as error:
        ctx.log.warning("%s: %s", ref.path, error)
