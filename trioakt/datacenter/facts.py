"""What is written in the directory about a datacenter."""

from __future__ import annotations

import msgspec

from trioakt.datacenter.info import DatacenterState

VERSION = 1
"""Of this fact; those of another version are not read."""


class DatacenterFact(msgspec.Struct, frozen=True, array_like=True):
    """What the leader of a cluster says of it; it stays when the cluster has gone, and others see its last state."""

    version: int
    cluster: str
    """What tells this cluster from another one that claims the same name."""
    state: DatacenterState
    addresses: list[str]
    kinds: list[str]
    shards: int


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(DatacenterFact)


def encode_fact(fact: DatacenterFact) -> bytes:
    """Return the bytes of a fact."""
    return _encoder.encode(fact)


def decode_fact(value: bytes) -> DatacenterFact | None:
    """Return the fact in these bytes; ``None`` if something else or another version has written them."""
    try:
        fact = _decoder.decode(value)
    except msgspec.DecodeError:
        return None
    return fact if fact.version == VERSION else None
