"""Deeds: what a node writes in the store about what it owns; each is tried again until the store has answered."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from trioakt.cluster.facts import OwnerFact, decode_fact, encode_fact
from trioakt.cluster.insisting import insist
from trioakt.cluster.view import NAMES, OWNERS

if TYPE_CHECKING:
    from trioakt.cluster.lease import Lease
    from trioakt.cluster.store import Entry, Store

T = TypeVar("T")


class Deeds:
    """What is written in one incarnation of a node; cancelled when its lease is lost.

    Args:
        store: Where.
        lease: Under which.
        prefix: Of the cluster.
        run: The incarnation.
    """

    def __init__(self, store: Store, lease: Lease, prefix: str, run: str) -> None:
        self._store = store
        self._lease = lease
        self._prefix = prefix
        self._run = run

    async def own(self, name: str) -> int | None:
        """Become the owner of a name and return the fencing token, or ``None`` if somebody else is.

        Raises:
            LeaseLostError: The lease is lost.
        """
        key = self._prefix + OWNERS + name
        created = await self._insist(lambda: self._store.create(key, self._owner(), self._lease))
        if created.won:
            return created.token
        present = await self._read(key)
        if present is None:
            return None
        owner = decode_fact(present, OwnerFact)  # an attempt of this incarnation may have come through unheard
        return present.token if owner.run == self._run and not owner.failed else None

    async def is_wanted(self, name: str, source: int) -> bool:
        """Return whether a name is still there, with this token."""
        present = await self._read(self._prefix + NAMES + name)
        return present is not None and present.token == source

    async def announce(self, name: str, token: int, ref: str) -> None:
        """Let all nodes know where the actor is; with an empty ref, that it is nowhere."""
        await self._insist(lambda: self._store.put_guarded(self._prefix + OWNERS + name, self._owner(ref), token))

    async def fail(self, name: str, token: int, error: str) -> None:
        """Let whoever has wished for an actor know why it has not started."""
        fact = self._owner(failed=error)
        await self._insist(lambda: self._store.put_guarded(self._prefix + OWNERS + name, fact, token))

    async def disown(self, name: str, token: int) -> None:
        """Own a name no more."""
        await self._insist(lambda: self._store.delete(self._prefix + OWNERS + name, token))

    async def give_up(self, name: str, source: int) -> None:
        """End a name."""
        await self._insist(lambda: self._store.delete(self._prefix + NAMES + name, source))

    def _owner(self, ref: str = "", failed: str = "") -> bytes:
        return encode_fact(OwnerFact(self._run, ref, failed))

    async def _read(self, key: str) -> Entry | None:
        listing = await self._insist(lambda: self._store.list(key))
        return next((entry for entry in listing.entries if entry.key == key), None)

    async def _insist(self, verb: Callable[[], Awaitable[T]]) -> T:
        return await insist(verb, self._run)
