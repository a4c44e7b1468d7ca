"""Records: what two nodes tell each other about their actors, as plain data; it knows no session and no actor.

``to`` is the number under which the other node has made an actor known, ``id`` that of a question, which the answer
repeats; ``body`` is a message in the bytes of the codec. Senders and results that are refs go as text.
"""

from __future__ import annotations

import msgspec
from msgspec.msgpack import Decoder, Encoder

from trioakt.errors import ProtocolError


class Tell(msgspec.Struct, tag=1, array_like=True, frozen=True):
    """A message that was told."""

    to: int
    sender: str
    body: bytes
    headers: dict[str, str]


class Send(msgspec.Struct, tag=2, array_like=True, frozen=True):
    """A message whose sender waits until there is room for it; answered by ``Done`` or ``Failed``."""

    id: int
    to: int
    sender: str
    body: bytes
    headers: dict[str, str]


class Question(msgspec.Struct, tag=3, array_like=True, frozen=True):
    """A request; ``within`` are the seconds that the asker will wait, ``chain`` names those who wait for it in turn.

    Answered by ``Reply`` or ``Failed``.
    """

    id: int
    to: int
    sender: str
    within: float
    body: bytes
    headers: dict[str, str]
    chain: list[str]


class Cancel(msgspec.Struct, tag=4, array_like=True, frozen=True):
    """Nobody waits for this answer any more."""

    id: int


class Reply(msgspec.Struct, tag=5, array_like=True, frozen=True):
    """The answer to a request."""

    id: int
    body: bytes


class Done(msgspec.Struct, tag=6, array_like=True, frozen=True):
    """What was to be done is done; ``ref`` is what was found or spawned, empty for nothing."""

    id: int
    ref: str


class Failed(msgspec.Struct, tag=7, array_like=True, frozen=True):
    """An answer that is an error: its kind by name, whom it is about, and what caused it, as text."""

    id: int
    kind: str
    text: str
    path: str
    cause: tuple[str, str, str] | None = None


class Order(msgspec.Struct, tag=8, array_like=True, frozen=True):
    """A signal: stop, kill, poison or reinstate."""

    to: int
    what: str


class Watch(msgspec.Struct, tag=9, array_like=True, frozen=True):
    """Tell me of this actor's end; answered by ``Ended``, at once when it has ended."""

    to: int


class Unwatch(msgspec.Struct, tag=10, array_like=True, frozen=True):
    """Do not tell me any more."""

    to: int


class Ended(msgspec.Struct, tag=11, array_like=True, frozen=True):
    """An actor that was watched has ended; ``failure`` is type name, text and traceback."""

    to: int
    cause: str
    failure: tuple[str, str, str] | None = None


class Find(msgspec.Struct, tag=12, array_like=True, frozen=True):
    """Who lives at this path? Answered by ``Done``."""

    id: int
    path: str


class Spawn(msgspec.Struct, tag=13, array_like=True, frozen=True):
    """Spawn an actor of a registered kind at the top; answered by ``Done`` or ``Failed``."""

    id: int
    kind: str
    name: str
    body: bytes


class Shapes(msgspec.Struct, tag=14, array_like=True, frozen=True):
    """The first record of a session: the fingerprint of each message type of this node, by name and version."""

    known: dict[str, str]


class Subscribe(msgspec.Struct, tag=15, array_like=True, frozen=True):
    """Tell me what is published here; answered by ``Done`` or ``Failed``.

    ``name`` is a topic or a pattern, or ``EVENT`` and the name of a class of events.
    """

    id: int
    name: str


class Unsubscribe(msgspec.Struct, tag=16, array_like=True, frozen=True):
    """Do not tell me any more."""

    name: str


class Published(msgspec.Struct, tag=17, array_like=True, frozen=True):
    """A message that was published; once, however many interests it meets."""

    topic: str
    sender: str
    body: bytes


class Skipped(msgspec.Struct, tag=18, array_like=True, frozen=True):
    """In place of so many messages of a topic for which there was no room; an empty topic stands for any."""

    topic: str
    count: int


class Inquiry(msgspec.Struct, tag=19, array_like=True, frozen=True):
    """Tell me something; answered by ``Done`` with a text when there is something to tell, or by ``Failed``.

    ``about`` says who is to answer.
    """

    id: int
    about: str
    question: str


AnyRecord = (
    Tell
    | Send
    | Question
    | Cancel
    | Reply
    | Done
    | Failed
    | Order
    | Watch
    | Unwatch
    | Ended
    | Find
    | Spawn
    | Shapes
    | Subscribe
    | Unsubscribe
    | Published
    | Skipped
    | Inquiry
)

EVENT = "event "
"""What stands before the name of a class of events; no topic has a space."""

_encoder = Encoder()
_decoder = Decoder(AnyRecord)


def encode_record(record: AnyRecord) -> msgspec.Raw:
    """Return a record as it stands in a frame."""
    return msgspec.Raw(_encoder.encode(record))


def decode_record(data: msgspec.Raw) -> AnyRecord:
    """Return the record.

    Raises:
        ProtocolError: It is none.
    """
    try:
        record: AnyRecord = _decoder.decode(data)
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError, RecursionError) as error:
        raise ProtocolError(f"this is no record: {error}") from None
    return record
