"""The way to the owner of a shard, for messages to its grains."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trioakt.errors import ActorStoppedError, PlacementError
from trioakt.grains.sharing import ToGrain
from trioakt.lowlevel import ActorRef, Ask, DeadLetterReason, Envelope
from trioakt.remote.named import NamedRecipient

if TYPE_CHECKING:
    from trioakt.errors import TrioaktError


class ShardRoute(NamedRecipient):
    """Means whoever owns a shard; what comes for its grains while nobody does waits here, in order."""

    __slots__ = ()

    def forward(self, envelope: Envelope, routed: ToGrain) -> None:
        """Hand a message over in the form in which it travels to a grain."""
        if not isinstance(envelope, Ask):  # it may be forwarded to others too
            self.deliver(Envelope(routed, envelope.sender))
            return
        message, envelope.message = envelope.message, routed
        try:
            self.deliver(envelope)
        except BaseException:  # it does not go: it is as it was
            envelope.message = message
            raise

    def _refuse(self, envelope: Envelope) -> None:
        if isinstance(envelope, Ask) and envelope.pending:
            envelope.fail(self._stopped())
        self._system.dead_letter(envelope.message, envelope.sender, ActorRef(self), DeadLetterReason.STOPPED)

    def _stopped(self) -> TrioaktError:
        if self._reason:
            return PlacementError(self._reason)
        return ActorStoppedError(f"nobody knows any more who owns {self.name!r}", f"/user/{self.name}")
