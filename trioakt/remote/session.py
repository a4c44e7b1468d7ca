"""The session between two nodes, without I/O: frames and the time go in, frames and events come out.

A session is a pair of links, one each way. Both nodes say hello on the link they dial, prove to each other that they
hold the cookie, and then exchange numbered frames of records until one of them says goodbye, falls silent, breaks the
protocol, or loses its link. A session never comes back: what follows is another one, with other numbers.
"""

from __future__ import annotations

import enum
import hashlib
import hmac
from collections import deque
from collections.abc import Sequence
from typing import Any

import attrs
import msgspec

from trioakt.errors import ProtocolError
from trioakt.remote.compression import Compression, Compressor, open_compressor
from trioakt.remote.frames import (
    ANY_SYSTEM,
    PROTOCOL,
    Alive,
    Compressed,
    Data,
    Goodbye,
    Hello,
    Proof,
    decode_frame,
    encode_frame,
)

STRANGER = 8192
"""Bytes of a frame, at most, from a node that has not proven who it is."""
_BATCH = 64
"""Records in one frame, at most: with more, replies wait for each other."""
_SMALL = 1024
"""Bytes of a frame below which it is not compressed: it would take time and save next to nothing."""
_UNREAD = 128 * 2**20
"""Bytes of records that may wait for a node that still sends some itself."""


@attrs.frozen
class Identity:
    """Who a node is.

    Attributes:
        system: Name of its actor system; ``ANY_SYSTEM`` for a client that does not know it yet.
        node: Its own name.
        address: Where others dial it.
        incarnation: Random bytes, new at each start.
    """

    system: str
    node: str
    address: str
    incarnation: bytes


@attrs.frozen
class Rules:
    """What both ends of a session need to agree on well enough.

    Attributes:
        cookie: The shared secret; empty bytes for none.
        heartbeat: Seconds without a frame after which one is sent.
        suspicion: Seconds of silence after which the other node is given up.
        max_frame: Bytes of a frame, at most, compressed or not.
        compression: How frames of records are compressed where the other node says the same.
    """

    cookie: bytes = attrs.field(repr=False)
    heartbeat: float
    suspicion: float
    max_frame: int
    compression: Compression | None = None


@attrs.frozen
class Opened:
    """The other node has proven who it is; records may go both ways from now on."""

    peer: Identity


@attrs.frozen
class Received:
    """Records have come, in their order."""

    records: Sequence[msgspec.Raw]


@attrs.frozen
class Suspected:
    """Nothing has been heard for half of the time after which the other node is given up."""

    silence: float


@attrs.frozen
class Closed:
    """The session is over.

    Attributes:
        reason: Why, for people.
        error: What the other node did wrong, if it broke the protocol.
    """

    reason: str
    error: ProtocolError | None = None


SessionEvent = Opened | Received | Suspected | Closed


class SessionState(enum.Enum):
    """How far a session is."""

    GREETING = "greeting"
    """Waiting for the other's hello."""
    PROVING = "proving"
    """Waiting for the other's proof."""
    OPEN = "open"
    LEAVING = "leaving"
    """Goodbye is said; waiting for the answer."""
    CLOSED = "closed"


class Session:
    """One session, as one of its nodes sees it.

    Args:
        us: This node.
        rules: What holds for the session.
        session: Random bytes that name it.
        challenge: Random bytes that the other's proof has to cover.
        now: Seconds on any clock that does not go back; all times are on that clock.
        answers: The hello that this session answers; without one, this node begins.
    """

    def __init__(
        self, us: Identity, rules: Rules, *, session: bytes, challenge: bytes, now: float, answers: Hello | None = None
    ) -> None:
        self.state = SessionState.GREETING
        self.peer: Identity | None = None
        self._us = us
        self._rules = rules
        hello = Hello(
            PROTOCOL,
            us.system,
            us.node,
            us.address,
            us.incarnation,
            session,
            challenge,
            b"" if answers is None else answers.session,
            rules.compression or "",
        )
        self._hello = sealed(hello, rules.cookie)
        self._theirs: Hello | None = None
        self._compressor: Compressor | None = None
        self._control: deque[bytes] = deque([encode_frame(self._hello)])
        self._records: deque[tuple[msgspec.Raw, int, Any]] = deque()
        self._waiting = 0
        self._sent = 0
        self._expected = 0
        self._spoken = now
        self._heard = now
        self._suspected = False
        if answers is not None:
            self._greeted(answers)

    @property
    def id(self) -> bytes:
        """The bytes that name it."""
        return self._hello.session

    @property
    def waiting(self) -> int:
        """Bytes of records that have not been sent."""
        return self._waiting

    # ---------------------------------------------------------------------- what goes out

    @property
    def unsent(self) -> list[Any]:
        """What was given with the records that have not been sent, and with those that were waiting at the end."""
        return [given for _, _, given in self._records]

    @property
    def busy(self) -> bool:
        """Whether there is something to send now."""
        return bool(self._control) or (self.state is SessionState.OPEN and bool(self._records))

    def put(self, record: msgspec.Raw, given: Any = None) -> None:
        """Send a record, as soon as the session is open; the order is kept.

        Args:
            record: As ``encode_record`` makes it.
            given: Whatever shall be found in ``unsent`` should the session end before.
        """
        size = len(memoryview(record))
        self._records.append((record, size, given))
        self._waiting += size

    def leave(self, reason: str) -> None:
        """Say goodbye after all records; the session closes with the answer, or by silence."""
        if self.state is SessionState.OPEN:
            self.state = SessionState.LEAVING
            while (frame := self._next_records()) is not None:
                self._control.append(frame)
            self._control.append(encode_frame(Goodbye(self._sent, reason, answered=False)))

    def next_frame(self, now: float) -> bytes | None:
        """Return the next frame for the link, or ``None`` when nothing is to be sent."""
        frame = self._control.popleft() if self._control else None
        if frame is None and self.state is SessionState.OPEN:
            frame = self._next_records()
        if frame is None and self._speaks and now >= self._spoken + self._rules.heartbeat:
            frame = encode_frame(Alive(self._sent))
        if frame is not None:
            self._spoken = now
        return frame

    def _next_records(self) -> bytes | None:
        batch: list[msgspec.Raw] = []
        size = 0
        while self._records and len(batch) < _BATCH:
            record, more, _ = self._records[0]
            if batch and size + more > self._rules.max_frame // 2:
                break
            self._records.popleft()
            batch.append(record)
            size += more
        if not batch:
            return None
        self._waiting -= size
        frame = encode_frame(Data(self._sent, batch))
        self._sent += 1
        if self._compressor is not None and len(frame) >= _SMALL:
            return min(frame, encode_frame(Compressed(self._compressor.compress(frame))), key=len)
        return frame

    # ----------------------------------------------------------------------- what comes in

    def receive(self, data: bytes, now: float) -> list[SessionEvent]:
        """Take a frame of the other node."""
        if self.state is SessionState.CLOSED:
            return []
        proving = self.state is SessionState.PROVING
        try:
            events = self._take(data)
        except ProtocolError as error:
            return self._close(f"it broke the protocol: {error}", error)
        if not proving or self.state is not SessionState.PROVING:  # heartbeats are no proof
            self._heard = now
            self._suspected = False
        return events

    def tick(self, now: float) -> list[SessionEvent]:
        """Take note of the time; call it, and then ``next_frame``, a few times in each ``heartbeat``."""
        if self.state is SessionState.CLOSED:
            return []
        silence = now - self._heard
        if silence >= self._rules.suspicion:
            return self._close(f"nothing was heard for {self._rules.suspicion:g} s")
        if silence >= self._rules.suspicion / 2 and self.state is SessionState.OPEN and not self._suspected:
            self._suspected = True
            return [Suspected(silence)]
        return []

    def lost(self, reason: str) -> list[SessionEvent]:
        """Take note that one of the links is lost."""
        return self._close(reason)

    @property
    def _speaks(self) -> bool:
        return self.state in (SessionState.PROVING, SessionState.OPEN)

    def _take(self, data: bytes) -> list[SessionEvent]:
        known = self.state in (SessionState.OPEN, SessionState.LEAVING)
        limit = self._rules.max_frame if known else STRANGER
        if len(data) > limit:
            raise ProtocolError(f"a frame of {len(data)} bytes, more than {limit}")
        frame = decode_frame(data)
        match self.state, frame:
            case SessionState.GREETING, Hello():
                self._greeted(frame)
            case SessionState.PROVING, Proof():
                return self._proven(frame)
            case SessionState.OPEN | SessionState.LEAVING, Data():
                return self._records_came(frame)
            case SessionState.OPEN | SessionState.LEAVING, Compressed():
                return self._records_came(self._decompressed(frame))
            case SessionState.PROVING | SessionState.OPEN | SessionState.LEAVING, Alive(number):
                self._check_number(number)
            case SessionState.OPEN | SessionState.LEAVING, Goodbye(number):
                self._check_number(number)
                return self._left(frame)
            case _:
                raise ProtocolError(f"a {type(frame).__name__} while {self.state.value}")
        return []

    def _greeted(self, theirs: Hello) -> None:
        if theirs.protocol != PROTOCOL:
            raise ProtocolError(f"it speaks version {theirs.protocol} of the protocol, this node version {PROTOCOL}")
        if not hmac.compare_digest(theirs.seal, sealed(theirs, self._rules.cookie).seal):
            raise ProtocolError("it does not hold the same cookie")
        first, second = (self._hello, theirs) if theirs.answers else (theirs, self._hello)
        if not second.system or first.system not in (second.system, ANY_SYSTEM):
            raise ProtocolError(f"it belongs to the system {theirs.system!r}, this node to {self._us.system!r}")
        if theirs.incarnation == self._us.incarnation:
            raise ProtocolError("it is this node itself")
        if self._hello.answers == b"" and theirs.answers != self._hello.session:
            raise ProtocolError("it answers another session")
        self._theirs = theirs
        self.peer = Identity(theirs.system, theirs.node, theirs.address, theirs.incarnation)
        self._control.append(encode_frame(Proof(_code(self._rules.cookie, self._hello, theirs))))
        self.state = SessionState.PROVING

    def _proven(self, proof: Proof) -> list[SessionEvent]:
        assert self._theirs is not None
        assert self.peer is not None
        if not hmac.compare_digest(proof.code, _code(self._rules.cookie, self._theirs, self._hello)):
            raise ProtocolError("it does not hold the same cookie")
        if self._rules.compression is not None and self._theirs.compression == self._rules.compression:
            self._compressor = open_compressor(self._rules.compression)
        self.state = SessionState.OPEN
        return [Opened(self.peer)]

    def _records_came(self, data: Data) -> list[SessionEvent]:
        self._check_number(data.number)
        if self._waiting > _UNREAD:
            raise ProtocolError(f"it sends, and does not read the {self._waiting} bytes that wait for it")
        self._expected += 1
        return [Received(data.records)]

    def _decompressed(self, frame: Compressed) -> Data:
        if self._compressor is None:
            raise ProtocolError("a compressed frame, and none was agreed on")
        data = decode_frame(self._compressor.decompress(frame.data, self._rules.max_frame))
        if not isinstance(data, Data):
            raise ProtocolError(f"a compressed {type(data).__name__}")
        return data

    def _check_number(self, number: int) -> None:
        if number != self._expected:
            raise ProtocolError(f"frame {number} came in the place of {self._expected}")

    def _left(self, goodbye: Goodbye) -> list[SessionEvent]:
        if not goodbye.answered:
            self._control.append(encode_frame(Goodbye(self._sent, "", answered=True)))
        return self._close(goodbye.reason or "it has left")

    def _close(self, reason: str, error: ProtocolError | None = None) -> list[SessionEvent]:
        if self.state is SessionState.CLOSED:
            return []
        self.state = SessionState.CLOSED
        if error is not None:
            self._control.clear()
        return [Closed(reason, error)]


def sealed(hello: Hello, cookie: bytes) -> Hello:
    """Return a hello with what shows that its maker holds the cookie; it does not show who sends it now."""
    bare = msgspec.structs.replace(hello, seal=b"")
    return msgspec.structs.replace(bare, seal=hmac.digest(cookie, encode_frame(bare), hashlib.sha256))


def _code(cookie: bytes, prover: Hello, verifier: Hello) -> bytes:
    """Return what proves to the verifier that the prover holds the cookie; no other pair of hellos has the same."""
    return hmac.digest(cookie, encode_frame(prover) + encode_frame(verifier), hashlib.sha256)
