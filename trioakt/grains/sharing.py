"""How the identities of grains are shared out among the nodes of a cluster, and how messages to them travel."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

from trioakt.lowlevel import Carrier, message

PREFIX = "$shard."
"""With what the names of shards begin: no user's name does."""


@message(name="trioakt.grain")
class ToGrain(Carrier):
    """A message on its way to a grain, through its shard."""

    identity: str
    message: Any
    origin: str = ""
    """The node that it comes from, where that decides about the grain's place."""


def shard_name(kind: str, identity: str, shards: int) -> str:
    """Return the name of the shard that a grain belongs to."""
    number = int.from_bytes(blake2b(identity.encode(), digest_size=8).digest()) % shards
    return f"{PREFIX}{number}.{kind}"


def is_shard(name: str) -> bool:
    """Return whether a name is that of a shard."""
    return name.startswith(PREFIX)
