"""The roll of the grains that are active in a shard, written down where the next owner is to wake them at once."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING

import trio

from trioakt.cluster.insisting import insist

if TYPE_CHECKING:
    from trioakt.cluster.store import Store
    from trioakt.grains.shard import Shard

_AT_ONCE = 100
"""Grains that are woken before others get their turn."""


class Roll:
    """Keeps the roll of one shard, at its owner.

    Args:
        shard: Whose grains are woken.
        store: Where it is kept.
        prefix: Of its keys.

    Attributes:
        closed: Whether it stays as it is, for the next owner.
    """

    def __init__(self, shard: Shard, store: Store, prefix: str) -> None:
        self.closed = False
        self._shard = shard
        self._store = store
        self._prefix = f"{prefix}eager/"
        self._tokens: dict[str, int] = {}
        self._changed: dict[str, None] = {}
        self._wake = trio.Event()
        shard.changed = self._note

    def _note(self, identity: str) -> None:
        """Hear that a grain has been activated, or has ended; the shard calls this."""
        self._changed[identity] = None
        self._wake.set()

    async def run(self) -> None:
        """Wake who is on the roll, and keep it, for as long as this node owns the shard."""
        await self._call()
        while True:
            self._wake = trio.Event()
            for identity in tuple(self._changed):
                await self._write(identity)
            if not self._changed:
                await self._wake.wait()

    async def _call(self) -> None:
        listing = await insist(lambda: self._store.list(self._prefix), self._shard.keeper.path)
        for number, entry in enumerate(listing.entries, 1):
            identity = entry.value.decode(errors="replace")
            self._tokens[identity] = entry.token
            self._shard.wake(identity)
            if not number % _AT_ONCE:
                await trio.lowlevel.checkpoint()

    async def _write(self, identity: str) -> None:
        """Write down how it is with a grain now."""
        is_active = self._shard.active(identity) is not None
        token = self._tokens.get(identity)
        if self.closed or self._shard.keeper.closed or is_active == (token is not None):
            del self._changed[identity]
            return
        key = self._prefix + blake2b(identity.encode(), digest_size=16).hexdigest()
        who = self._shard.keeper.path
        if token is None:
            created = await insist(lambda: self._store.create(key, identity.encode()), who)
            self._tokens[identity] = created.token
        else:
            await insist(lambda: self._store.delete(key, token), who)
            del self._tokens[identity]
