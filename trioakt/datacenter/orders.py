"""Orders: what one datacenter asks another one to place, and how that is done there."""

from __future__ import annotations

from base64 import b64decode, b64encode

import msgspec


class SpawnOrder(msgspec.Struct, frozen=True):
    """An actor that is to have a name of the cluster over there."""

    kind: str
    args: bytes
    name: str
    strategy: str
    role: str
    relocate: bool
    options: dict[str, int | float]


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(SpawnOrder)


def encode_order(order: SpawnOrder) -> str:
    """Return an order as the text of a question."""
    return b64encode(_encoder.encode(order)).decode()


def decode_order(text: str) -> SpawnOrder:
    """Return the order.

    Raises:
        ValueError: It is none.
    """
    try:
        return _decoder.decode(b64decode(text, validate=True))
    except ValueError as error:
        raise ValueError(f"no order: {error}") from None
