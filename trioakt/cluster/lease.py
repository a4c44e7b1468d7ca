"""Leases: the proof that a node owns something, and the task that keeps it.

The holder of a lease counts from the moment at which it *sent* the last renewal that was answered, the engine from the
moment at which it took it: so the holder's deadline comes first, whatever happens on the way (Gray and Cheriton,
"Leases", 1989).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Generic, Protocol, TypeVar

import trio

from trioakt.errors import LeaseLostError, NoQuorumError

_MARGIN = 0.2
"""The part of the time to live that is left, when the holder gives up, to end what runs."""
_RENEWALS = 5
"""How many renewals there are within a time to live."""
_RETRIES = 20
"""How often one that has failed is tried again within that time."""
_FAREWELL = 2.0
"""Seconds for giving the lease back."""

K = TypeVar("K")


class Lease:
    """What a node holds on to; equal only to itself.

    Args:
        id: What the engine knows it by.
        ttl: Seconds that it outlives the last renewal.
        deadline: Until when it holds, on Trio's clock.

    Attributes:
        lost: Set when it does not hold any more, which is before the engine lets it lapse.
    """

    def __init__(self, id: str, ttl: float, deadline: float) -> None:  # noqa: A002 - the word for it
        self.id = id
        self.ttl = ttl
        self.deadline = deadline
        self.lost = trio.Event()

    @property
    def holds(self) -> bool:
        """Whether it still proves anything."""
        return not self.lost.is_set() and trio.current_time() < self.deadline

    @property
    def left(self) -> float:
        """Seconds for which it still holds if it is not renewed."""
        return max(self.deadline - trio.current_time(), 0.0) if self.holds else 0.0

    @property
    def renewed_at(self) -> float:
        """When the last renewal that was answered was sent, on Trio's clock."""
        return self.deadline - self.ttl * (1 - _MARGIN)

    @property
    def lapses(self) -> float:
        """When the engine may let it lapse if it is not renewed, on Trio's clock."""
        return self.renewed_at + self.ttl

    def check(self) -> None:
        """Find out whether it still proves anything.

        Raises:
            LeaseLostError: It does not.
        """
        if not self.holds:
            raise LeaseLostError(f"the lease {self.id} is lost")

    def __repr__(self) -> str:
        return f"<Lease {self.id}{'' if self.holds else ', lost'}>"


class LeaseEngine(Protocol, Generic[K]):
    """What an engine does about leases; ``keep`` does the rest."""

    async def grant_lease(self, ttl: float) -> K:
        """Begin a lease and return what the engine knows it by."""
        ...

    async def renew_lease(self, key: K) -> bool:
        """Renew a lease; return whether it was still there.

        Raises:
            NoQuorumError: The outcome is not known; it is tried again.
        """
        ...

    async def revoke_lease(self, key: K) -> None:
        """End a lease, and all keys with it."""
        ...


@asynccontextmanager
async def keep(engine: LeaseEngine[K], ttl: float) -> AsyncGenerator[Lease]:
    """Hold a lease of an engine; see ``Store.grant``."""
    sent = trio.current_time()
    key = await engine.grant_lease(ttl)
    lease = Lease(str(key), ttl, sent + ttl * (1 - _MARGIN))
    failed: Exception | None = None
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_renew, engine, key, lease)
            nursery.start_soon(_expire, lease)
            try:
                yield lease
            except Exception as error:
                failed = error  # it leaves the block as it is, not inside the nursery's group
            nursery.cancel_scope.cancel()
    finally:
        lease.lost.set()
        with trio.move_on_after(min(_FAREWELL, ttl), shield=True), suppress(NoQuorumError):  # or it lapses by itself
            await engine.revoke_lease(key)
    if failed is not None:
        raise failed


async def _renew(engine: LeaseEngine[K], key: K, lease: Lease) -> None:
    regularly, soon = lease.ttl / _RENEWALS, lease.ttl / _RETRIES
    pause = regularly
    while True:
        await trio.sleep(pause)
        pause = soon
        if lease.lost.is_set():
            return  # a renewal would only keep it from others
        sent = trio.current_time()
        try:
            with trio.move_on_at(lease.deadline):
                if not await engine.renew_lease(key):
                    lease.lost.set()
                if lease.lost.is_set():
                    return
                lease.deadline = sent + lease.ttl * (1 - _MARGIN)
                pause = regularly
        except NoQuorumError:
            continue


async def _expire(lease: Lease) -> None:
    while not lease.lost.is_set() and trio.current_time() < lease.deadline:
        with trio.move_on_at(lease.deadline):
            await lease.lost.wait()
    lease.lost.set()
