"""Two sessions and what lies between them, without I/O: the tests of the session share it."""

from __future__ import annotations

from collections import deque

import attrs
import msgspec

from trioakt.remote.frames import decode_frame
from trioakt.remote.session import Closed, Identity, Opened, Received, Rules, Session, SessionEvent, SessionState

RULES = Rules(cookie=b"secret", heartbeat=0.5, suspicion=2.0, max_frame=65536)


def identity(name: str, *, system: str = "bank", incarnation: bytes | None = None) -> Identity:
    return Identity(system, name, f"{name}:1", incarnation or name.encode())


@attrs.define
class End:
    """One node's end of a session, and what has happened there."""

    session: Session
    events: list[SessionEvent] = attrs.field(factory=list[SessionEvent])
    out: deque[bytes] = attrs.field(factory=deque[bytes])

    def pump(self, now: float) -> None:
        """Let the session send what it wants to."""
        while (frame := self.session.next_frame(now)) is not None:
            self.out.append(frame)

    def receive(self, data: bytes, now: float) -> None:
        self.events.extend(self.session.receive(data, now))

    def tick(self, now: float) -> None:
        self.events.extend(self.session.tick(now))

    @property
    def received(self) -> list[object]:
        return [
            msgspec.msgpack.decode(record)
            for event in self.events
            if isinstance(event, Received)
            for record in event.records
        ]

    @property
    def is_open(self) -> bool:
        return any(isinstance(event, Opened) for event in self.events) and self.closed is None

    @property
    def closed(self) -> Closed | None:
        return next((event for event in self.events if isinstance(event, Closed)), None)


def begin(us: Identity, rules: Rules = RULES, *, now: float = 0.0) -> End:
    return End(Session(us, rules, session=b"s-" + us.incarnation, challenge=b"c-" + us.incarnation, now=now))


def answer(hello: bytes, us: Identity, rules: Rules = RULES, *, now: float = 0.0) -> End:
    """Make the end that answers a first hello."""
    frame = decode_frame(hello)
    names = {"session": b"s-" + us.incarnation, "challenge": b"c-" + us.incarnation}
    return End(Session(us, rules, **names, now=now, answers=frame))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def exchange(one: End, other: End, now: float = 0.0) -> None:
    """Carry everything there and back until both are silent."""
    while True:
        one.pump(now)
        other.pump(now)
        if not one.out and not other.out:
            return
        while one.out:
            other.receive(one.out.popleft(), now)
        while other.out:
            one.receive(other.out.popleft(), now)


def opened(*, rules: Rules = RULES) -> tuple[End, End]:
    """Return two ends that have proven themselves to each other."""
    one = begin(identity("one"), rules)
    one.pump(0.0)
    other = answer(one.out.popleft(), identity("other"), rules)
    exchange(one, other)
    assert one.session.state is other.session.state is SessionState.OPEN
    return one, other


def record(number: int) -> msgspec.Raw:
    return msgspec.Raw(msgspec.msgpack.encode(["record", number]))
