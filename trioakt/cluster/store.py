"""What a store owes to the nodes of a cluster: the engine that knows who owns what. To it, values are bytes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import NamedTuple, Protocol, runtime_checkable

import attrs

from trioakt.cluster.lease import Lease

LONGEST_KEY = 1024
"""Bytes of a key."""
LARGEST_VALUE = 2**19
"""Bytes of a value."""


class Created(NamedTuple):
    """What became of an attempt to create a key."""

    won: bool
    """Whether it was created by this attempt."""
    token: int
    """The token of whoever holds the key now: the winner's, or that of the one who was there before."""


@attrs.frozen
class Entry:
    """One key that is there."""

    key: str
    value: bytes
    token: int
    """The fencing token: the revision in which the key was created, so larger than all tokens before, of any key."""


@attrs.frozen
class Listing:
    """All keys with a prefix, in their order, as they stood at one revision."""

    entries: tuple[Entry, ...]
    revision: int


@attrs.frozen
class Removed:
    """One key that is there no more: deleted, or gone with its lease."""

    key: str


@attrs.frozen
class Changes:
    """What one revision has changed: all keys of a lease that lapses go in one."""

    revision: int
    changes: tuple[Entry | Removed, ...]


@attrs.frozen
class Resync:
    """The changes after the revision that was asked for are forgotten: list again. Nothing follows it."""


@runtime_checkable
class Store(Protocol):
    """Keys that one node at a time can hold, with a token that grows with each holder, and leases that end by time.

    A verb whose outcome cannot be learned, since the engine does not answer or has no majority, raises
    ``NoQuorumError``; it may have taken effect or may yet, as may one that is cancelled. Each verb takes effect
    at one moment between its call and its return, and all see the effects in the same order.

    A store is shared by many tasks of one Trio run. Test one of your own with ``trioakt.testing.check_store``.
    """

    def grant(self, ttl: float) -> AbstractAsyncContextManager[Lease]:
        """Hold a lease for as long as the block lasts, or the store can be reached.

        It is renewed in the background, and given back at the end of the block, within a bound; keys created under
        it go with it in one revision, and never before its ``deadline``.

        Args:
            ttl: Seconds that it outlives the last renewal.

        Raises:
            NoQuorumError: It was not granted.
        """
        ...

    async def create(self, key: str, value: bytes, lease: Lease | None = None) -> Created:
        """Create a key, unless it is there.

        Args:
            key: At most 1 KiB.
            value: At most 512 KiB.
            lease: With which the key goes; without one, it stays.

        Raises:
            LeaseLostError: The lease is lost; nothing was created.
            NoQuorumError: The outcome is not known.
        """
        ...

    async def put_guarded(self, key: str, value: bytes, token: int) -> bool:
        """Replace the value of a key if it still has this token, which stays; return whether it had.

        Raises:
            NoQuorumError: The outcome is not known.
        """
        ...

    async def delete(self, key: str, token: int) -> bool:
        """Delete a key if it still has this token; return whether it had.

        Raises:
            NoQuorumError: The outcome is not known.
        """
        ...

    async def list(self, prefix: str) -> Listing:
        """Return the keys that begin with a prefix, as they stand now.

        Raises:
            NoQuorumError: They cannot be read.
        """
        ...

    def watch(self, prefix: str, revision: int) -> AbstractAsyncContextManager[AsyncIterator[Changes | Resync]]:
        """Hear of the changes to keys that begin with a prefix, in order, each once, from after a revision on.

        Args:
            prefix: Of the keys.
            revision: Of a ``Listing``, or of ``Changes`` heard before.

        Raises:
            NoQuorumError: From the iterator: the store cannot be reached any more, or falls silent. Watch again from
                the last revision heard.
        """
        ...


def check_entry(key: str, value: bytes) -> None:
    """Find out whether a key and a value can be stored.

    Raises:
        ValueError: One of them is too large, or the key is empty or has a zero in it.
    """
    if not 0 < len(key.encode()) <= LONGEST_KEY or "\0" in key:
        raise ValueError(f"a key has 1 to {LONGEST_KEY} bytes and none of them is zero, got {key[:80]!r}")
    if len(value) > LARGEST_VALUE:
        raise ValueError(f"a value has at most {LARGEST_VALUE} bytes, that of {key[:80]!r} has {len(value)}")
