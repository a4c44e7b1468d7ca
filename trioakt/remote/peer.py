"""The other node as it is seen from here: what goes to its actors, and what this node waits for from it."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import count
from typing import TYPE_CHECKING, Any, Protocol

import attrs
import trio

from trioakt.errors import (
    ActorFailedError,
    ActorNotFoundError,
    ActorStoppedError,
    AskCycleError,
    ClusterError,
    CodecError,
    ConnectionLostError,
    LeaseLostError,
    MailboxFullError,
    NameTakenError,
    NoQuorumError,
    NoReplyError,
    PlacementError,
    ProtocolError,
    RemoteActorError,
    StartError,
    TrioaktError,
    UnhandledMessageError,
)
from trioakt.lowlevel import ActorRef, Ask, DeadLetterReason, Envelope, Failure, TerminationCause, Watcher
from trioakt.remote import records
from trioakt.remote.chains import chain_of
from trioakt.remote.records import AnyRecord, encode_record
from trioakt.remote.session import Session

if TYPE_CHECKING:
    from trioakt.lowlevel import CoreSystem
    from trioakt.remote.house import House
    from trioakt.remote.recipient import RemoteRecipient

_NO_HEADERS: dict[str, str] = {}
_FULL = 64 * 2**20
"""Bytes of records that may wait for one node."""
_PUBLISHED_FULL = _FULL // 2
"""The same for what is published: who asks and tells shall find room yet."""
_EARLY = 10_000
"""Records that may wait for a session to begin."""
PENDING = 100_000
"""Answers that may be waited for from one node."""

_ERRORS: dict[str, Callable[[str, str], TrioaktError]] = {
    kind.__name__: kind
    for kind in (
        ActorFailedError,
        ActorNotFoundError,
        ActorStoppedError,
        MailboxFullError,
        NameTakenError,
        NoReplyError,
        StartError,
        UnhandledMessageError,
    )
}
_CLUSTER_ERRORS: dict[str, type[ClusterError]] = {
    kind.__name__: kind for kind in (LeaseLostError, NoQuorumError, PlacementError)
}
"""What another node's answer may raise here, by name."""


class Lines(Protocol):
    """What a peer needs of those who keep the sessions."""

    def connect(self, peer: Peer) -> None:
        """Begin a session with this peer, unless one is on its way."""
        ...

    def wake(self, session: Session) -> None:
        """See that the records of a session go out."""
        ...


class Letter(Protocol):
    """What waits for a record to get through."""

    def lost(self, error: ConnectionLostError) -> None:
        """Hear that the link was lost before or after the record was sent, as the error says."""
        ...


class Answered(Letter, Protocol):
    """What waits for the answer to a record."""

    def answered(self, value: Any) -> None:
        """Take the answer."""
        ...

    def failed(self, error: TrioaktError) -> None:
        """Take an error for an answer."""
        ...


class Peer:
    """One other node: its session, while there is one, what waits for it, and who watches its actors.

    Args:
        address: ``host:port``, as it stands in the addresses of its actors.
        house: This node's.
        lines: Those who keep the sessions.
    """

    def __init__(self, address: str, house: House, lines: Lines) -> None:
        self.address = address
        self.session: Session | None = None
        self.incarnation: bytes | None = None
        """That of its last session; ``None`` before the first."""
        self.over = trio.Event()
        """Set when the session is over."""
        self._house = house
        self._lines = lines
        self._early: list[tuple[bytes | None, AnyRecord, Letter | None]] = []
        self._pending: dict[int, Answered] = {}
        self._ids = count(1)
        self._watched: dict[RemoteRecipient, dict[Watcher, None]] = {}

    # --------------------------------------------------------------------- what goes there

    def tell(self, to: RemoteRecipient, envelope: Envelope) -> None:
        """Send a message that was told."""
        sender = "" if envelope.sender is None else self._house.names.write_ref(envelope.sender)
        body = self._house.encode(envelope.message)
        if self._is_full:
            raise _too_much(to)
        record = records.Tell(to.number, sender, body, _headers_of(self._house.system, to, envelope))
        self._put(to.incarnation, record, _Told(self._house.system, to, envelope))

    def question(self, to: RemoteRecipient, ask: Ask) -> None:
        """Send a request."""
        sender = "" if ask.sender is None else self._house.names.write_ref(ask.sender)
        body = self._house.encode(ask.message)
        if self._is_full:
            raise _too_much(to)
        number = next(self._ids)
        within = ask.deadline - trio.current_time() if ask.deadline < math.inf else math.inf
        chain = chain_of(ask, self._house.names)
        record = records.Question(
            number, to.number, sender, within, body, _headers_of(self._house.system, to, ask), chain
        )
        ask.scope = self._pending[number] = asked = _Asked(ask, to, number)
        self._put(to.incarnation, record, asked)

    async def send(self, to: RemoteRecipient, envelope: Envelope) -> None:
        """Send a message and wait until it has been taken in."""
        sender = "" if envelope.sender is None else self._house.names.write_ref(envelope.sender)
        body = self._house.encode(envelope.message)
        headers = _headers_of(self._house.system, to, envelope)
        await self._call(to.incarnation, lambda number: records.Send(number, to.number, sender, body, headers))

    async def call(self, make: Callable[[int], AnyRecord]) -> str:
        """Send a question, made out of its number, and return the text that is the answer."""
        return await self._call(None, make)

    def order(self, to: RemoteRecipient, what: str) -> None:
        """Send a signal."""
        self._put(to.incarnation, records.Order(to.number, what), None)

    def watch(self, to: RemoteRecipient, watcher: Watcher) -> None:
        """Let somebody hear of the end of an actor there, or of its node."""
        watchers = self._watched.setdefault(to, {})
        watchers[watcher] = None
        if len(watchers) == 1:
            self._put(to.incarnation, records.Watch(to.number), _Watched(self, to))

    def unwatch(self, to: RemoteRecipient, watcher: Watcher) -> None:
        """Let somebody hear no more of it."""
        watchers = self._watched.get(to, {})
        watchers.pop(watcher, None)
        if not watchers and self._watched.pop(to, None) is not None and self.session is not None:
            self._put(to.incarnation, records.Unwatch(to.number), None)

    def subscribe(self, name: str, statement: Answered) -> int:
        """State an interest in what is published there, and return the number of this question."""
        number = next(self._ids)
        self._pending[number] = statement
        self._put(None, records.Subscribe(number, name), statement)
        return number

    async def _call(self, incarnation: bytes | None, make: Callable[[int], AnyRecord]) -> str:
        number = next(self._ids)
        call = _Call()
        self._pending[number] = call
        try:
            self._put(incarnation, make(number), call)
            found: str = await call.outcome()
        except trio.Cancelled:
            self.cancel(number)
            raise
        return found

    def cancel(self, number: int) -> None:
        """Say that nobody waits for this answer any more."""
        if self._pending.pop(number, None) is None:
            return
        if self.session is not None:
            self._put(self.incarnation, records.Cancel(number), None)
        else:  # it has not left, and will not
            self._early = [each for each in self._early if getattr(each[1], "id", 0) != number]

    def put(self, record: AnyRecord) -> None:
        """Send a record of the present session; without one it means nothing any more."""
        if self.session is not None:
            self._put(self.incarnation, record, None)

    def _put(self, incarnation: bytes | None, record: AnyRecord, letter: Letter | None) -> None:
        session = self.session
        if session is None:
            self._early.append((incarnation, record, letter))
            self._lines.connect(self)
        else:
            session.put(encode_record(record), letter)
            self._lines.wake(session)

    @property
    def _is_full(self) -> bool:
        waiting = 0 if self.session is None else self.session.waiting
        return len(self._pending) >= PENDING or len(self._early) >= _EARLY or waiting > _FULL

    @property
    def takes_more(self) -> bool:
        """Whether there is a session, and room in it for what is published."""
        return self.session is not None and self.session.waiting <= _PUBLISHED_FULL

    @property
    def is_wanted(self) -> bool:
        """Whether something waits for a session to begin."""
        return bool(self._early)

    # ------------------------------------------------------------------- what comes from there

    def opened(self, session: Session, incarnation: bytes) -> None:
        """Take a new session; what was meant for an earlier incarnation is lost."""
        self.session, self.incarnation = session, incarnation
        early, self._early = self._early, []
        for wanted, record, letter in early:
            if wanted in (None, incarnation):
                self._put(wanted, record, letter)
            elif letter is not None:
                self._pending.pop(getattr(record, "id", 0), None)
                letter.lost(ConnectionLostError(f"the node at {self.address} has been started anew", "not_sent"))
        self._house.topics.opened(self.address)

    def answered(self, number: int, value: Any, *, asked: bool) -> None:
        """Take an answer, to a request or to something else; one that nobody waits for is dropped."""
        waiting = self._pending.get(number)
        if waiting is None:
            return
        if isinstance(waiting, _Asked) != asked:
            raise ProtocolError("an answer that does not fit its question")
        del self._pending[number]
        waiting.answered(value)

    def failed(self, number: int, error: TrioaktError) -> None:
        """Take an error for an answer."""
        waiting = self._pending.pop(number, None)
        if waiting is not None:
            waiting.failed(error)

    def ended(self, number: int, cause: TerminationCause) -> None:
        """Hear that an actor there has ended."""
        for recipient in [each for each in self._watched if each.number == number]:
            self.tell_watchers(recipient, cause)

    def tell_watchers(self, recipient: RemoteRecipient, cause: TerminationCause) -> None:
        """Tell those who watch an actor there that it has ended, or that its node has."""
        if cause != TerminationCause.NODE_LOST:  # from a lost node it may come back
            recipient.cause = cause
        for watcher in self._watched.pop(recipient, ()):
            watcher.terminated(ActorRef(recipient), cause)

    def closed(self, reason: str) -> None:
        """Take note that the session is over, or did not come about: everybody who waits is told."""
        session, self.session = self.session, None
        self.over.set()
        self.over = trio.Event()
        early, self._early = self._early, []
        not_sent = [letter for _, _, letter in early]
        if session is not None:
            not_sent = [*session.unsent, *not_sent]
        text = f"the link to {self.address} was lost: {reason}"
        for letter in not_sent:
            if letter is not None:
                letter.lost(ConnectionLostError(text, "not_sent"))
        pending, self._pending = self._pending, {}
        for waiting in pending.values():
            waiting.lost(ConnectionLostError(text, "unknown"))
        for recipient in tuple(self._watched):
            self.tell_watchers(recipient, TerminationCause.NODE_LOST)
        self._house.topics.lost(self.address, ConnectionLostError(text, "unknown"))


def _too_much(to: RemoteRecipient) -> MailboxFullError:
    return MailboxFullError(f"too much waits for the link to {to.peer.address}", to.path)


def _headers_of(system: CoreSystem, to: RemoteRecipient, envelope: Envelope) -> dict[str, str]:
    """Return what the instruments of a system send with a message."""
    if not system.instruments:
        return _NO_HEADERS
    headers: dict[str, str] = {}
    for instrument in system.instruments:
        instrument.sending(ActorRef(to), envelope, headers)
    return headers


def error_of(record: records.Failed) -> TrioaktError:
    """Return the error that another node has answered with; what caused it is there as text."""
    error: TrioaktError
    match record.kind:
        case "AskCycleError" if " -> " in record.text:
            return AskCycleError(tuple(record.text.split(" -> ")))
        case "CodecError":
            return CodecError(record.text, *record.path.split("|", 1))
        case "ConnectionLostError":  # of a node behind that one
            return ConnectionLostError(record.text, "not_sent" if record.path == "not_sent" else "unknown")
        case kind if kind in _CLUSTER_ERRORS:
            error = _CLUSTER_ERRORS[kind](record.text)
        case kind:
            error = _ERRORS.get(kind, ActorFailedError)(record.text, record.path)
    if record.cause is not None:
        error.__cause__ = RemoteActorError(*record.cause)
    return error


@attrs.define
class _Told:
    """A message that was told: when it was certainly not sent, it is a dead letter."""

    system: CoreSystem
    recipient: RemoteRecipient
    envelope: Envelope

    def lost(self, error: ConnectionLostError) -> None:
        if error.outcome == "not_sent":
            message, sender = self.envelope.message, self.envelope.sender
            self.system.dead_letter(message, sender, ActorRef(self.recipient), DeadLetterReason.LINK_LOST)


@attrs.define
class _Watched:
    """A watch that did not get through: the node is lost to those who watch."""

    peer: Peer
    recipient: RemoteRecipient

    def lost(self, error: ConnectionLostError) -> None:
        self.peer.tell_watchers(self.recipient, TerminationCause.NODE_LOST)


@attrs.define
class _Asked:
    """A request on its way; when its asker gives up, the other node is told."""

    ask: Ask
    recipient: RemoteRecipient
    number: int

    def cancel(self, reason: str | None = None) -> None:
        self.recipient.peer.cancel(self.number)

    def lost(self, error: ConnectionLostError) -> None:
        self.failed(error)

    def answered(self, value: Any) -> None:
        if self.ask.pending:
            self.ask.reply(value)

    def failed(self, error: TrioaktError) -> None:
        if isinstance(error, ActorStoppedError) and error.path in ("", self.recipient.path):  # not somebody behind it
            self.recipient.cause = self.recipient.cause or TerminationCause.STOPPED
            error = ActorStoppedError(str(error), self.recipient.path)  # who forwards it must not be taken for it
        if self.ask.pending:
            self.ask.fail(error)


class _Call:
    """A task of this node that waits for an answer."""

    def __init__(self) -> None:
        self._done = trio.Event()
        self._value: Any = None
        self._error: TrioaktError | None = None

    async def outcome(self) -> Any:
        await self._done.wait()
        if self._error is not None:
            raise self._error
        return self._value

    def lost(self, error: ConnectionLostError) -> None:
        self.failed(error)

    def answered(self, value: Any) -> None:
        self._value = value
        self._done.set()

    def failed(self, error: TrioaktError) -> None:
        self._error = self._error or error
        self._done.set()


def failure_of(cause: tuple[str, str, str] | None) -> Failure | None:
    """Return a failure of another node."""
    return None if cause is None else Failure(*cause)
