"""Frames: what goes over a link as one unit, to bytes and back; it knows no sessions, sockets or actors."""

from __future__ import annotations

import msgspec
from msgspec.msgpack import Decoder, Encoder

from trioakt.errors import ProtocolError

PROTOCOL = 1
"""The version of this protocol; nodes talk only to nodes of the same one."""

ANY_SYSTEM = ""
"""What stands for the name of the system in the first hello of a client, which learns it from the answer."""


class Hello(msgspec.Struct, tag=1, array_like=True, frozen=True):
    """The first frame on every link: who dials, and what it wants proven.

    ``answers`` is the session of the hello that this one answers, empty in the first hello of the two. Everything in it
    is a claim until a proof has been checked. ``compression`` is the one that the node uses and takes, empty for none.
    ``seal`` is a code over the rest that takes the cookie to make: who does not hold it is not answered.
    """

    protocol: int
    system: str
    node: str
    address: str
    incarnation: bytes
    session: bytes
    challenge: bytes
    answers: bytes
    compression: str = ""
    seal: bytes = b""


class Proof(msgspec.Struct, tag=2, array_like=True, frozen=True):
    """Shows that the sender holds the cookie: a code over both hellos."""

    code: bytes


class Data(msgspec.Struct, tag=3, array_like=True, frozen=True):
    """Records in their order; ``number`` counts these frames from 0 on, so that none is missed or comes twice."""

    number: int
    records: list[msgspec.Raw]


class Alive(msgspec.Struct, tag=4, array_like=True, frozen=True):
    """A heartbeat; ``number`` is that of the next frame of records, so that the loss of the last one is noticed."""

    number: int


class Goodbye(msgspec.Struct, tag=5, array_like=True, frozen=True):
    """The session ends; ``answered`` when it answers the other's, ``number`` as in ``Alive``."""

    number: int
    reason: str
    answered: bool


class Compressed(msgspec.Struct, tag=6, array_like=True, frozen=True):
    """A frame of records, compressed as both hellos say."""

    data: bytes


Frame = Hello | Proof | Data | Alive | Goodbye | Compressed

_encoder = Encoder()
_decoder = Decoder(Frame)
_LONGEST_TEXT = 1024
"""Characters of a name, an address or a reason in a frame of a stranger."""


def encode_frame(frame: Frame) -> bytes:
    """Return the bytes of a frame."""
    return _encoder.encode(frame)


def decode_frame(data: bytes) -> Frame:
    """Return the frame that these bytes are.

    Raises:
        ProtocolError: They are none.
    """
    try:
        frame: Frame = _decoder.decode(data)
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError, RecursionError) as error:
        raise ProtocolError(f"this is no frame: {error}") from None
    if isinstance(frame, Hello | Goodbye):
        texts = [value for value in msgspec.structs.astuple(frame) if isinstance(value, str)]
        if any(len(text) > _LONGEST_TEXT for text in texts):
            raise ProtocolError("a text in this frame is too long")
    return frame
