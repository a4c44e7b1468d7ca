"""Serving: what another node asks of the actors of this one, done in its name and answered."""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import msgspec
import trio

from trioakt.errors import (
    ActorError,
    ActorStoppedError,
    CodecError,
    ConnectionLostError,
    DeliveryError,
    ProtocolError,
    TrioaktError,
)
from trioakt.lowlevel import (
    ActorRef,
    Ask,
    DeadLetterReason,
    Envelope,
    Failure,
    Kill,
    PoisonPill,
    Recipient,
    Reinstate,
    Signal,
    Stop,
    TerminationCause,
    Unwatch,
    Watch,
    arrived,
    passes_through,
)
from trioakt.patterns.telling import deliver_or_lose
from trioakt.remote import records
from trioakt.remote.chains import LONGEST, ChainedAsk, check_chain
from trioakt.remote.interests import Interests
from trioakt.remote.peer import PENDING, error_of, failure_of
from trioakt.remote.records import AnyRecord, decode_record
from trioakt.remote.shapes import check_shapes

if TYPE_CHECKING:
    from trioakt.lowlevel import CoreSystem
    from trioakt.remote.house import House
    from trioakt.remote.peer import Peer

_log = logging.getLogger("trioakt")

_PLAIN = nullcontext()
_USER = "/user/"
"""What lives above is not for others."""
_MOST = 2 * PENDING
"""Questions of another node that may be on hand: more than it may ask, as it hears of an answer a little later."""
_ORDERS: dict[str, Signal] = {"stop": Stop(), "kill": Kill(), "poison": PoisonPill(), "reinstate": Reinstate()}


class Serving:
    """One session as the server of the other node's wishes; ``close`` ends what is done for it.

    Args:
        peer: The other node.
        house: This node's.
        nursery: Where what takes time is run.
    """

    def __init__(self, peer: Peer, house: House, nursery: trio.Nursery) -> None:
        self._peer = peer
        self._house = house
        self._nursery = nursery
        self._asked: dict[int, ServedAsk] = {}
        self._running: dict[int, trio.CancelScope] = {}
        self._watchers: dict[int, _Watcher] = {}
        self._interests = Interests(peer, house, nursery)
        self._closed = False

    def handle(self, data: msgspec.Raw) -> None:
        """Do what a record says.

        Raises:
            ProtocolError: It is no record, or means nothing.
        """
        peer, house = self._peer, self._house
        match decode_record(data):
            case records.Tell() as tell:
                self._tell(tell)
            case records.Question() as question:
                self._question(question)
            case records.Reply(id=number, body=body):
                self._reply(number, body)
            case records.Failed() as failed:
                peer.failed(failed.id, error_of(failed))
            case records.Done(id=number, ref=ref):
                peer.answered(number, ref, asked=False)
            case records.Cancel(id=number):
                self._cancel(number)
            case records.Send(id=number) as send:
                self._start(number, self._send, send)
            case records.Find(id=number, path=path):
                self._answer(number, house.system.actor(path) if path.startswith(_USER) else None)
            case records.Spawn(id=number) as spawn:
                self._start(number, self._spawn, spawn)
            case records.Inquiry(id=number) as inquiry:
                self._start(number, lambda each: house.inquire(each.about, each.question), inquiry)
            case records.Order(to=to, what=what):
                self._order(self._recipient(to), what)
            case records.Watch(to=to):
                self._watch(to)
            case records.Unwatch(to=to):
                watcher = self._watchers.pop(to, None)
                if watcher is not None:
                    self._recipient(to).signal(Unwatch(watcher))
            case records.Subscribe(id=number, name=name):
                refusal = self._interests.add(name)
                self._put(records.Done(number, "") if refusal is None else failed_record(number, refusal))
            case records.Unsubscribe(name=name):
                self._interests.discard(name)
            case records.Published() as published:
                house.topics.arrived(peer.address, published)
            case records.Skipped(topic=topic, count=count):
                house.topics.skipped(peer.address, topic, count)
            case records.Shapes(known=known):
                check_shapes(known)
            case records.Ended(to=to, cause=cause, failure=failure):
                peer.ended(to, TerminationCause(cause, failure_of(failure)))

    def close(self) -> None:
        """End what is done for the other node: its asks are given up, it watches nobody and hears of no topic."""
        self._closed = True
        self._interests.close()
        asked, self._asked = self._asked, {}
        for ask in asked.values():
            ask.abandon()
        for scope in tuple(self._running.values()):
            scope.cancel()
        watchers, self._watchers = self._watchers, {}
        for number, watcher in watchers.items():
            self._recipient(number).signal(Unwatch(watcher))

    # ------------------------------------------------------------------------- messages

    def _recipient(self, number: int) -> Recipient:
        ref = self._house.exports.ref_of(number)
        return Gone(f"{self._house.system.address}/?{number}", self._house.system) if ref is None else ref.recipient

    def _order(self, to: Recipient, what: str) -> None:
        try:
            if what in _ORDERS:
                to.signal(_ORDERS[what])
        except BaseException as error:  # a pill has a place in the mailbox, which may be broken
            if passes_through(error):
                raise
            _log.error("the mailbox of %s failed: %s", to.address, Failure.of(error))

    def _open(self, body: bytes, sender: str, to: Recipient) -> tuple[Any, ActorRef[Any] | None]:
        """Return message and sender; what cannot be decoded is a dead letter, and raises CodecError."""
        try:
            return self._house.decode(body), self._house.names.read_ref(sender) if sender else None
        except (CodecError, ValueError) as error:
            self._house.system.dead_letter(body, None, ActorRef(to), DeadLetterReason.DECODE_FAILED)
            raise error if isinstance(error, CodecError) else CodecError(str(error)) from error

    def _tell(self, tell: records.Tell) -> None:
        to = self._recipient(tell.to)
        try:
            message, sender = self._open(tell.body, tell.sender, to)
        except CodecError:
            return
        with _under(tell.headers):  # the sender is elsewhere, and does not wait to hear of a full mailbox
            deliver_or_lose(self._house.system, ActorRef(to), Envelope(message, sender))

    def _question(self, question: records.Question) -> None:
        self._check_id(question.id)
        if math.isnan(question.within) or len(question.chain) > LONGEST:
            raise ProtocolError("a request without end")
        to = self._recipient(question.to)
        try:
            message, sender = self._open(question.body, question.sender, to)
        except CodecError as error:
            self._failed(question.id, error)
            return
        deadline = math.inf if question.within == math.inf else trio.current_time() + question.within
        ask = ServedAsk(message, sender, deadline, to, lambda value, error: self._end(question.id, value, error))
        ask.chain = question.chain
        self._asked[question.id] = ask
        try:
            check_chain(question.chain, to, self._house.names)
            with _under(question.headers):
                to.deliver(ask)
        except BaseException as error:  # a circle, a full mailbox or a broken one: the asker hears of it
            if passes_through(error):
                raise
            if ask.pending:
                ask.fail(error)

    def _end(self, number: int, value: Any, error: BaseException | None) -> None:
        """Send the answer to a request; a value that cannot be sent is an error here and there."""
        self._asked.pop(number, None)
        if error is not None:
            self._failed(number, error)
            return
        try:
            body = self._house.encode(value)
        except CodecError as fault:
            self._failed(number, fault)
            raise
        self._put(records.Reply(number, body))

    def _cancel(self, number: int) -> None:
        ask = self._asked.pop(number, None)
        if ask is not None:
            ask.abandon()
        scope = self._running.get(number)
        if scope is not None:
            scope.cancel()

    def _reply(self, number: int, body: bytes) -> None:
        try:
            value = self._house.decode(body)
        except CodecError as error:
            self._peer.failed(number, error)
        else:
            self._peer.answered(number, value, asked=True)

    # ----------------------------------------------------------------- what takes time

    def _start(self, number: int, fn: Callable[[Any], Awaitable[str]], record: Any) -> None:
        self._check_id(number)
        scope = self._running[number] = trio.CancelScope()
        self._nursery.start_soon(self._run, number, scope, fn, record)

    async def _run(
        self, number: int, scope: trio.CancelScope, fn: Callable[[Any], Awaitable[str]], record: Any
    ) -> None:
        try:
            with scope:
                self._put(records.Done(number, await fn(record)))
        except BaseException as error:
            if passes_through(error):
                raise
            self._failed(number, error)
        finally:
            del self._running[number]

    async def _send(self, send: records.Send) -> str:
        to = self._recipient(send.to)
        message, sender = self._open(send.body, send.sender, to)
        with _under(send.headers):
            await to.send(Envelope(message, sender))
        return ""

    async def _spawn(self, spawn: records.Spawn) -> str:
        ref = await self._house.spawn(spawn.kind, spawn.name, spawn.body)
        return self._house.names.write_ref(ref)

    def _answer(self, number: int, ref: ActorRef[Any] | None) -> None:
        self._put(records.Done(number, "" if ref is None else self._house.names.write_ref(ref)))

    def _failed(self, number: int, error: BaseException) -> None:
        self._put(failed_record(number, error))

    def _put(self, record: AnyRecord) -> None:
        """Send a record, unless the session is over: in the next one it would mean something else."""
        if not self._closed:
            self._peer.put(record)

    def _check_id(self, number: int) -> None:
        if number in self._asked or number in self._running:
            raise ProtocolError(f"the number {number} for two questions")
        if len(self._asked) + len(self._running) >= _MOST:
            raise ProtocolError(f"more than {_MOST} questions at once")

    # ------------------------------------------------------------------------- watching

    def _watch(self, number: int) -> None:
        if number not in self._watchers:
            watcher = self._watchers[number] = _Watcher(self, number)
            self._recipient(number).signal(Watch(watcher))

    def ended(self, number: int, cause: TerminationCause) -> None:
        """Tell the other node that an actor it watches has ended."""
        self._watchers.pop(number, None)
        failure = cause.failure
        text = None if failure is None else (failure.type_name, failure.text, failure.traceback_text)
        self._put(records.Ended(number, cause.name, text))


def failed_record(number: int, error: BaseException) -> records.Failed:
    """Return an error as an answer; an exception of user code goes as its cause, in text."""
    cause = error.__cause__
    failure = None if cause is None else Failure.of(cause)
    text = None if failure is None else (failure.type_name, failure.text, failure.traceback_text)
    match error:
        case CodecError():
            return records.Failed(number, "CodecError", str(error), f"{error.type_name}|{error.field_path}", text)
        case ActorError() | DeliveryError():
            told = " -> ".join(getattr(error, "cycle", ())) or str(error)
            return records.Failed(number, type(error).__name__, told, error.path, text)
        case ConnectionLostError():
            return records.Failed(number, "ConnectionLostError", str(error), error.outcome, text)
        case TrioaktError():
            return records.Failed(number, type(error).__name__, str(error), "", text)
        case _:
            own = Failure.of(error)
            cause_text = (own.type_name, own.text, own.traceback_text)
            return records.Failed(number, "ActorFailedError", f"it failed: {own.type_name}", "", cause_text)


def _under(headers: dict[str, str]) -> AbstractContextManager[None]:
    return arrived(headers) if headers else _PLAIN


class ServedAsk(ChainedAsk):
    """A request of another node; what would wake an asker here is sent there."""

    __slots__ = ("_answer",)

    def __init__(
        self,
        message: Any,
        sender: ActorRef[Any] | None,
        deadline: float,
        target: Recipient,
        answer: Callable[[Any, BaseException | None], None],
    ) -> None:
        super().__init__(message, sender, None, deadline, target)
        self._answer = answer

    def _settle(self, value: Any, error: BaseException | None) -> bool:
        waits = super()._settle(value, error)
        if waits:
            self._answer(value, error)
        return waits


class _Watcher:
    """Watches an actor of this node for another node."""

    def __init__(self, serving: Serving, number: int) -> None:
        self._serving = serving
        self._number = number

    def terminated(self, ref: ActorRef[Any], cause: TerminationCause) -> None:
        self._serving.ended(self._number, cause)


class Gone:
    """The recipient of what another node sends to an actor that has ended, or never was."""

    is_alive = False

    def __init__(self, address: str, system: CoreSystem) -> None:
        self.address = address
        self._system = system

    def deliver(self, envelope: Envelope) -> None:
        """Make it a dead letter."""
        if isinstance(envelope, Ask) and envelope.pending:
            envelope.fail(self._stopped())
        self._system.dead_letter(envelope.message, envelope.sender, ActorRef(self), DeadLetterReason.STOPPED)

    async def send(self, envelope: Envelope) -> None:
        """Refuse it."""
        await trio.lowlevel.checkpoint()
        raise self._stopped()

    def signal(self, signal: Signal) -> None:
        """Tell a watcher that it has ended."""
        if isinstance(signal, Watch):
            signal.watcher.terminated(ActorRef(self), TerminationCause.STOPPED)

    def _stopped(self) -> ActorStoppedError:
        return ActorStoppedError("the actor has stopped, it answers no more", "")
