"""What the persistent actors share: a state that is recovered before the first message, and writes that are settled."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, TypeVarTuple, Unpack

import trio

from trioakt.codec import Codec
from trioakt.errors import JournalError, RecoveryError
from trioakt.lowlevel import Actor, Failure
from trioakt.persistence.journal import Journal, Record

if TYPE_CHECKING:
    from trioakt.context import Context

S = TypeVar("S")
Ts = TypeVarTuple("Ts")


class Persistent(Actor, Generic[S]):
    """Base of ``EventSourced`` and ``Snapshotted``.

    The system must have a ``Journal`` among its extensions. An actor that has a fencing token, as in a cluster those
    with names and grains have, writes with it.

    Attributes:
        persistence_id: Under which identity the state is kept; one live actor at a time may write under it.
        codec: What turns events and states into bytes.
        write_timeout: Seconds that the journal may take for one write.
    """

    codec: ClassVar[Codec] = Codec()
    write_timeout: ClassVar[float] = 15.0

    def __init__(self, persistence_id: str, state: S) -> None:
        """Take the identity, and the state before anything was written."""
        if not persistence_id:
            raise ValueError("a persistence_id must not be empty")
        self.persistence_id = persistence_id
        self._state = state
        self._sequence = 0
        self._token = 0
        self._journal: Journal | None = None
        self._one_write = trio.Lock()

    @property
    def state(self) -> S:
        """The state as of the last write; a value that is never changed in place.

        Raises:
            RuntimeError: It has not been recovered yet.
        """
        self._recovered()
        return self._state

    async def pre_start(self, ctx: Context) -> None:
        """Fence off owners of the past, and recover the state.

        A ``pre_start`` of your own awaits ``super().pre_start(ctx)`` first. Until then it may set ``persistence_id``.
        It is bounded by the ``init_timeout`` of the spawn.

        Raises:
            ValueError: The system has no journal.
            FencedError: A newer owner has this identity.
            LeaseLostError: This node has lost the lease that makes it the owner.
            RecoveryError: What is stored cannot be read or applied.
            JournalError: The journal cannot be read.
        """
        journal = ctx.extension(Journal)  # type: ignore[type-abstract]
        self._token = _token(ctx)
        await journal.fence(self.persistence_id, self._token)
        await self._recover(journal)
        self._journal = journal

    async def _recover(self, journal: Journal) -> None:
        """Set the state and its number to what is stored."""
        raise NotImplementedError

    def _restore(self, snapshot: Record) -> None:
        try:
            self._state = self.codec.decode(snapshot.data)
        except Exception as error:
            raise RecoveryError(f"the snapshot: {Failure.of(error)}", self.persistence_id, snapshot.sequence) from error
        self._sequence = snapshot.sequence

    def _recovered(self) -> Journal:
        if self._journal is None:
            raise RuntimeError(
                f"{self.persistence_id!r} has not been recovered: a pre_start of your own awaits super().pre_start(ctx)"
            )
        return self._journal

    def _encoded(self, value: Any) -> tuple[bytes, Any]:
        """Return the bytes of a value, and what the next life will make of them; raises what that would raise."""
        data = self.codec.encode(value)
        return data, self.codec.decode(data)

    async def _settle(self, write: Callable[[Unpack[Ts]], Awaitable[None]], *args: *Ts) -> None:
        """Write, and let no cancellation come in between: afterwards it is known what is stored."""
        with trio.move_on_after(self.write_timeout, shield=True) as scope:
            await write(*args)
        if scope.cancelled_caught:
            raise JournalError(
                f"{self.persistence_id!r}: the journal did not answer within {self.write_timeout} s; the next recovery "
                "shows whether it is written"
            )


def _token(ctx: Context) -> int:
    """Return the fencing token of an actor that has one; 0 for all others."""
    try:
        return ctx.fencing_token
    except RuntimeError:
        return 0
