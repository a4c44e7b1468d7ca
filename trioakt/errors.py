"""Every exception trioakt raises on purpose; it knows nothing of how or where they come about.

::

    TrioaktError
    ├── ActorError                 about one actor
    │   ├── ActorNotFoundError
    │   ├── ActorStoppedError
    │   ├── ActorFailedError       the cause is the handler's exception
    │   ├── NameTakenError
    │   └── StartError             the cause is what pre_start or the factory raised
    ├── DeliveryError              about one message
    │   ├── MailboxFullError       also a trio.WouldBlock
    │   ├── NoReplyError
    │   ├── UnhandledMessageError
    │   ├── AskCycleError
    │   ├── MessageTooLargeError   its consumer takes no such message
    │   ├── SupersededError        another producer has taken over
    │   └── QueueError             about the file of a durable queue
    │       └── QueueFullError     there is no room
    ├── RemoteError                about the wire
    │   ├── ProtocolError
    │   ├── ConnectionLostError    also a trio.BrokenResourceError
    │   ├── CodecError
    │   └── RemoteActorError
    ├── JournalError               about what persistent actors have written
    │   ├── SequenceConflictError  somebody else has written under this identity
    │   ├── FencedError            a newer owner has this identity
    │   ├── JournalFullError       there is no room
    │   ├── JournalDamagedError    the file is damaged, or no journal
    │   └── RecoveryError          the cause is what the codec or apply() raised
    └── ClusterError               about the cluster
        ├── NodeUnreachableError
        ├── NoQuorumError
        ├── PlacementError
        ├── LeaseLostError
        └── DatacenterError        another datacenter cannot be looked into

Misuse of the library stays ``TypeError``, ``ValueError`` or ``RuntimeError``.
"""

from __future__ import annotations

from typing import Literal

import trio


class TrioaktError(Exception):
    """Root of every error that trioakt raises on purpose."""


class ActorError(TrioaktError):
    """Something about one actor, whose path is in ``path``."""

    def __init__(self, text: str, path: str = "") -> None:
        super().__init__(text)
        self.path = path


class ActorNotFoundError(ActorError):
    """No actor lives at this path."""


class ActorStoppedError(ActorError):
    """The actor has stopped, or stopped before it came to this message."""


class ActorFailedError(ActorError):
    """The actor failed while handling this request; ``__cause__`` is its exception."""


class NameTakenError(ActorError):
    """The parent already has a child of this name, or the cluster an actor."""


class StartError(ActorError):
    """The actor did not start; ``__cause__`` is what its factory or ``pre_start`` raised."""


class DeliveryError(TrioaktError):
    """Something about one message to the actor whose path is in ``path``."""

    def __init__(self, text: str, path: str = "") -> None:
        super().__init__(text)
        self.path = path


class MailboxFullError(DeliveryError, trio.WouldBlock):
    """A bounded mailbox or a stash has no room for this message."""


class NoReplyError(DeliveryError):
    """The handler ended without replying, forwarding or keeping ``ctx.reply_to``."""


class UnhandledMessageError(DeliveryError):
    """The actor has no handler for this kind of request."""


class AskCycleError(DeliveryError):
    """Waiting for this reply would close a circle of actors that wait for each other.

    ``cycle`` holds the paths in order, the first one again at the end.
    """

    def __init__(self, cycle: tuple[str, ...]) -> None:
        super().__init__(
            "these actors would wait for each other for ever: "
            + " -> ".join(cycle)
            + f"; use tell, or spawn {cycle[1]} with reentrancy=Reentrancy() and let it ask with ctx.ask",
            cycle[0],
        )
        self.cycle = cycle


class MessageTooLargeError(DeliveryError):
    """The encoded message is larger than its consumer takes; it was not accepted."""


class SupersededError(DeliveryError):
    """Another producer has taken over this one's name at the consumer, and this one ends."""


class QueueError(DeliveryError):
    """The file of a durable queue is in use by another process, is none, or fails."""


class QueueFullError(QueueError):
    """A durable queue has no room; the message was not accepted."""


class RemoteError(TrioaktError):
    """Something about the wire between two nodes."""


class ProtocolError(RemoteError):
    """The peer broke the protocol; the session was closed."""


class ConnectionLostError(RemoteError, trio.BrokenResourceError):
    """The link was lost; ``outcome`` says whether the message may have been handled."""

    def __init__(self, text: str, outcome: Literal["unknown", "not_sent"] = "unknown") -> None:
        super().__init__(text)
        self.outcome: Literal["unknown", "not_sent"] = outcome


class CodecError(RemoteError):
    """A message could not be encoded or decoded.

    ``type_name`` is its type, ``field_path`` the way to the field, such as ``items[3].price``; both may be empty.
    """

    def __init__(self, text: str, type_name: str = "", field_path: str = "") -> None:
        super().__init__(text)
        self.type_name = type_name
        self.field_path = field_path


class RemoteActorError(RemoteError):
    """What an actor of another node raised, as text: the exception itself does not travel."""

    def __init__(self, type_name: str, text: str, traceback_text: str) -> None:
        super().__init__(f"{type_name}: {text}")
        self.type_name = type_name
        self.text = text
        self.traceback_text = traceback_text


class JournalError(TrioaktError):
    """Something about a journal and what persistent actors write there."""


class SequenceConflictError(JournalError):
    """Another writer has written under this identity, and nothing of this write was stored.

    ``after`` is the sequence number that the write was to follow, ``last`` the one that is there.
    """

    def __init__(self, persistence_id: str, after: int, last: int) -> None:
        super().__init__(
            f"{persistence_id!r} has another writer: this one knows {after} as the last number, the journal has {last}"
        )
        self.persistence_id = persistence_id
        self.after = after
        self.last = last


class FencedError(JournalError):
    """A newer owner has this identity, and nothing of this write was stored; nothing is to be done, that one goes on.

    ``token`` is the fencing token of the writer, ``fence`` the larger one that the journal asks for.
    """

    def __init__(self, persistence_id: str, token: int, fence: int) -> None:
        super().__init__(
            f"{persistence_id!r} has a newer owner, with the fencing token {fence}: the token {token} is of the past. "
            "Nothing is to be done, the newer owner has it"
        )
        self.persistence_id = persistence_id
        self.token = token
        self.fence = fence


class JournalFullError(JournalError):
    """The journal has no room; nothing of this write was stored."""


class JournalDamagedError(JournalError):
    """The file is damaged, or is no journal."""


class RecoveryError(JournalError):
    """What is stored of an identity cannot be read or applied; ``sequence`` is the number where that showed."""

    def __init__(self, text: str, persistence_id: str, sequence: int) -> None:
        super().__init__(f"{persistence_id!r} cannot be recovered at {sequence}: {text}")
        self.persistence_id = persistence_id
        self.sequence = sequence


class ClusterError(TrioaktError):
    """Something about the cluster as a whole."""


class NodeUnreachableError(ClusterError):
    """The node does not answer."""


class NoQuorumError(ClusterError):
    """The store has no quorum, so ownership cannot be proven."""


class PlacementError(ClusterError):
    """No live member can take this actor."""


class LeaseLostError(ClusterError):
    """The lease that proved ownership is gone."""


class DatacenterError(ClusterError):
    """Another datacenter cannot be looked into now: it is unknown or inactive, or nothing is heard of any."""
