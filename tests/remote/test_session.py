"""The session between two nodes, without I/O: greeting, proof, records, silence, goodbye, and what breaks it."""

from __future__ import annotations

import attrs
import msgspec
import pytest

from tests.remote.pairs import RULES, End, answer, begin, exchange, identity, opened, record
from trioakt.errors import ProtocolError
from trioakt.remote.frames import ANY_SYSTEM, Alive, Data, Goodbye, Hello, Proof, decode_frame, encode_frame
from trioakt.remote.session import Opened, Rules, SessionState, Suspected, sealed


def error_of(end: End) -> str:
    """Return what the other node did wrong."""
    assert end.closed is not None
    assert isinstance(end.closed.error, ProtocolError)
    return str(end.closed.error)


def test_both_ends_learn_who_the_other_is_once_it_has_proven_it() -> None:
    one, other = opened()
    assert one.events == [Opened(identity("other"))]
    assert other.events == [Opened(identity("one"))]


def test_records_arrive_in_order_both_ways() -> None:
    one, other = opened()
    for number in range(200):
        one.session.put(record(number))
        other.session.put(record(-number))
    exchange(one, other)
    assert other.received == [["record", number] for number in range(200)]
    assert one.received == [["record", -number] for number in range(200)]
    assert one.session.waiting == other.session.waiting == 0


def test_many_records_go_in_few_frames_and_none_is_much_too_large() -> None:
    one, _ = opened()
    for number in range(128):
        one.session.put(record(number))
    one.pump(0.0)
    assert len(one.out) == 2
    for _ in range(10):
        one.session.put(msgspec.Raw(msgspec.msgpack.encode(b"x" * 20_000)))
    one.pump(0.0)
    assert all(len(frame) < RULES.max_frame for frame in one.out)


def test_nothing_is_sent_before_the_other_has_proven_itself() -> None:
    one = begin(identity("one"))
    one.session.put(record(1))
    one.pump(0.0)
    assert [type(decode_frame(frame)) for frame in one.out] == [Hello]
    assert one.session.waiting > 0


def test_without_the_cookie_nobody_gets_in() -> None:
    one = begin(identity("one"), attrs.evolve(RULES, cookie=b"guess"))
    one.pump(0.0)
    with pytest.raises(ProtocolError, match="cookie"):
        answer(one.out.popleft(), identity("other"))


def test_a_proof_for_another_session_is_worth_nothing() -> None:
    one, _ = opened()
    again = begin(identity("one"))
    again.pump(0.0)
    replayed = answer(again.out.popleft(), identity("other", incarnation=b"new"))
    proof = Proof(b"\0" * 32)
    replayed.receive(encode_frame(proof), 0.0)
    assert "cookie" in error_of(replayed)
    assert one.is_open


def test_a_node_does_not_prove_itself_with_the_other_ones_proof() -> None:
    one = begin(identity("one"))
    one.pump(0.0)
    other = answer(one.out.popleft(), identity("other"))
    other.pump(0.0)
    hello, proof = other.out
    other.receive(proof, 0.0)
    assert "cookie" in error_of(other)
    assert isinstance(decode_frame(hello), Hello)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"protocol": 2}, "version 2"),
        ({"system": "shop"}, "'shop'"),
        ({"incarnation": b"one"}, "this node itself"),
        ({"answers": b"another"}, "another session"),
    ],
)
def test_a_hello_that_does_not_fit_is_refused(changes: dict[str, object], complaint: str) -> None:
    one = begin(identity("one"))
    one.pump(0.0)
    other = answer(one.out.popleft(), identity("other"))
    other.pump(0.0)
    hello = decode_frame(other.out.popleft())
    assert isinstance(hello, Hello)
    one.receive(encode_frame(sealed(msgspec.structs.replace(hello, **changes), RULES.cookie)), 0.0)
    assert complaint in error_of(one)


def test_who_begins_may_say_that_any_system_will_do_and_who_answers_may_not() -> None:
    client = begin(identity("client", system=ANY_SYSTEM))
    client.pump(0.0)
    other = answer(client.out.popleft(), identity("other"))
    exchange(client, other)
    assert client.session.state is other.session.state is SessionState.OPEN
    nobody = begin(identity("one"))
    nobody.pump(0.0)
    with pytest.raises(ProtocolError, match="belongs to"):
        answer(nobody.out.popleft(), identity("other", system=ANY_SYSTEM))


@pytest.mark.parametrize("frame", [Data(0, [record(1)]), Proof(b""), Alive(0), Goodbye(0, "", answered=False)])
def test_before_a_hello_nothing_else_is_taken(frame: Data | Proof | Alive | Goodbye) -> None:
    one = begin(identity("one"))
    one.receive(encode_frame(frame), 0.0)
    assert type(frame).__name__ in error_of(one)
    assert one.received == []


def test_a_frame_that_comes_twice_or_is_missing_ends_the_session() -> None:
    one, other = opened()
    one.session.put(record(1))
    one.pump(0.0)
    frame = one.out.popleft()
    other.receive(frame, 0.0)
    other.receive(frame, 0.0)
    assert "frame 0 came in the place of 1" in error_of(other)
    assert other.received == [["record", 1]]


@pytest.mark.parametrize("data", [b"", b"\xff" * 10, b"\x91" * 5000, encode_frame(Alive(0))[:-1] + b"\x09"])
def test_what_is_no_frame_ends_the_session(data: bytes) -> None:
    one, _ = opened()
    one.receive(data, 0.0)
    assert error_of(one)


def test_a_stranger_may_not_send_much_and_nobody_more_than_the_limit() -> None:
    greeting = begin(identity("one"))
    greeting.receive(b"x" * 10_000, 0.0)
    assert "more than 8192" in error_of(greeting)
    one, _ = opened()
    one.receive(b"x" * 70_000, 0.0)
    assert "more than 65536" in error_of(one)


def test_a_silent_session_sends_heartbeats_and_stays_open() -> None:
    one, other = opened()
    for tenth in range(1, 1000):
        now = tenth / 10
        one.tick(now)
        other.tick(now)
        exchange(one, other, now)
    assert one.is_open
    assert other.is_open


def test_silence_is_suspected_and_then_ends_the_session() -> None:
    one, _ = opened()
    one.tick(0.99)
    assert len(one.events) == 1
    one.tick(1.0)
    assert one.events[-1] == Suspected(1.0)
    one.tick(1.5)
    assert len(one.events) == 2
    one.tick(2.0)
    assert one.closed is not None
    assert "nothing was heard for 2 s" in one.closed.reason


def test_a_hello_that_is_not_answered_ends_the_session_too() -> None:
    one = begin(identity("one"))
    one.pump(0.0)
    one.tick(2.0)
    assert one.closed is not None


def test_a_goodbye_comes_after_all_records_and_is_answered() -> None:
    one, other = opened()
    for number in range(100):
        one.session.put(record(number))
    one.session.leave("the system ends")
    exchange(one, other)
    assert len(other.received) == 100
    assert one.closed is not None
    assert other.closed is not None
    assert other.closed.reason == "the system ends"
    assert other.closed.error is one.closed.error is None


def test_both_may_leave_at_once() -> None:
    one, other = opened()
    one.session.leave("enough")
    other.session.leave("enough")
    exchange(one, other)
    assert one.session.state is other.session.state is SessionState.CLOSED


def test_a_closed_session_takes_and_gives_nothing() -> None:
    one, _ = opened()
    one.events.extend(one.session.lost("the link was lost"))
    one.session.put(record(1))
    one.pump(100.0)
    one.receive(encode_frame(Data(0, [record(1)])), 100.0)
    one.tick(100.0)
    assert list(one.out) == []
    assert one.received == []
    assert [event for event in one.events if not isinstance(event, Opened)] == [one.closed]


def test_without_a_cookie_the_same_greeting_is_made() -> None:
    opened(rules=Rules(cookie=b"", heartbeat=0.5, suspicion=2.0, max_frame=1024))
