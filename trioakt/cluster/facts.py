"""What is written in the store about a cluster: its members, the names of its actors, and who owns them."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from trioakt.cluster.member import Member
from trioakt.cluster.store import Entry
from trioakt.errors import ClusterError

VERSION = 2
"""Of these facts; nodes of another version are not joined."""

F = TypeVar("F")


class MemberFact(msgspec.Struct, frozen=True, array_like=True):
    """What a member says of itself, under its lease."""

    version: int
    address: str
    roles: list[str]
    kinds: list[str]
    joined_at: float
    draining: bool
    shards: int
    """In how many parts grains are shared out."""
    datacenter: str = ""
    """Which one the cluster is, where there are several."""


class NameFact(msgspec.Struct, frozen=True, array_like=True):
    """An actor that shall be there, under a name of the cluster: as long as this is there, somebody owns it."""

    attempt: str
    """Who has written it, and in which attempt."""
    kind: str
    args: bytes
    role: str
    wanted: str
    """The incarnation that was chosen for it; another one takes it when that is not there."""
    singleton: bool
    options: dict[str, int | float]
    bound: bool = False
    """Whether it ends with the incarnation that was chosen for it, and is not taken over."""


class OwnerFact(msgspec.Struct, frozen=True, array_like=True):
    """Who owns a name now, under the lease of its node."""

    run: str
    ref: str
    """The ref of the actor, once it has started."""
    failed: str
    """Why it did not start, if it did not: the name is given up."""


_encoder = msgspec.msgpack.Encoder()


def encode_fact(fact: MemberFact | NameFact | OwnerFact) -> bytes:
    """Return the bytes of a fact."""
    return _encoder.encode(fact)


def decode_fact(entry: Entry, kind: type[F]) -> F:
    """Return the fact in an entry.

    Raises:
        ClusterError: Something else has written there, or another version.
    """
    try:
        return msgspec.msgpack.decode(entry.value, type=kind)
    except msgspec.DecodeError as error:
        raise ClusterError(f"the store has something strange at {entry.key!r}: {error}") from None


def member_of(node: str, entry: Entry) -> Member:
    """Return the member in an entry."""
    fact = decode_fact(entry, MemberFact)
    roles, kinds = frozenset(fact.roles), frozenset(fact.kinds)
    return Member(node, fact.address, entry.token, roles, kinds, fact.joined_at, fact.draining, fact.datacenter)
