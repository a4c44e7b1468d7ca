"""What the two ends of a stream decide, step by step, without a channel between them."""

from __future__ import annotations

import math
from itertools import count
from typing import Any

from trioakt.delivery.protocol import Grant, Lost, Open, Part, Piece, Superseded
from trioakt.delivery.window import Inbox, Outbox

MAX_SIZE = 100


def outbox(incarnation: str = "i", *, stream: str = "s", confirmed: int = 0) -> Outbox:
    return Outbox("p", stream, incarnation, lambda silence: min(2.0**silence, 8.0), confirmed=confirmed)


def inbox(window: int = 3) -> Inbox:
    tokens = count(1)
    return Inbox(window, MAX_SIZE, lambda: f"session {next(tokens)}")


def connect(sender: Outbox, receiver: Inbox, now: float = 0.0) -> None:
    """Let the sender ask and hear the answer, and let its first parts arrive."""
    exchange(sender, receiver, now)
    exchange(sender, receiver, now)


def exchange(sender: Outbox, receiver: Inbox, now: float = 0.0) -> list[Any]:
    """Carry what the sender has to say, and the answers back; return what was carried."""
    carried = sender.transmit(now)
    for each in carried:
        reply = receiver.opened(each) if isinstance(each, Open) else receiver.arrived(each)
        if reply is not None:
            sender.hear(reply)
    return [*carried]


def payloads(receiver: Inbox) -> list[Any]:
    """Take out all that is ready."""
    taken: list[Any] = []
    while (arrived := receiver.next()) is not None:
        taken.append(arrived.payload)
    return taken


def part(session: str, sequence: int, payload: Any = "x", *, confirmed: int = 0, last: bool = True) -> Part:
    return Part("p", session, sequence, confirmed, payload, encoded=isinstance(payload, bytes), last=last)


def opened(receiver: Inbox, incarnation: str = "i", *, stream: str = "s", confirmed: int = 0) -> Grant:
    reply = receiver.opened(Open("p", stream, incarnation, 1, confirmed))
    assert isinstance(reply, Grant)
    return reply


def test_nothing_is_in_demand_before_the_consumer_has_answered() -> None:
    sender = outbox()
    assert sender.room == 0
    exchange(sender, inbox(window=3))
    assert sender.room == 3


def test_when_all_is_confirmed_there_is_nothing_to_wait_for() -> None:
    sender, receiver = outbox(), inbox()
    connect(sender, receiver)
    assert sender.transmit(0.0) == []
    assert sender.next_at == math.inf
    sender.accept([Piece("a")])
    exchange(sender, receiver)
    assert sender.next_at == 1.0
    arrived = receiver.next()
    assert arrived is not None
    sender.hear(receiver.handled(arrived))
    sender.transmit(0.5)
    assert (sender.idle, sender.next_at) == (True, math.inf)


def test_a_producer_that_hears_nothing_asks_ever_more_slowly_and_sends_nothing_twice() -> None:
    sender = outbox()
    connect(sender, inbox())
    sender.accept([Piece("a")])
    sender.transmit(0.0)
    said: list[tuple[float, str]] = []
    for _ in range(6):
        at = sender.next_at
        said += [(at, type(each).__name__) for each in sender.transmit(at)]
    assert said == [(1.0, "Open"), (2.0, "Open"), (4.0, "Open"), (8.0, "Open"), (16.0, "Open"), (24.0, "Open")]


def test_what_the_answer_shows_to_be_missing_is_sent_again() -> None:
    sender, receiver = outbox(), inbox()
    connect(sender, receiver)
    for payload in "abc":
        sender.accept([Piece(payload)])
    first, *_ = sender.transmit(0.0)
    assert isinstance(first, Part)
    receiver.arrived(first)  # the others are lost
    exchange(sender, receiver, 1.0)
    again = exchange(sender, receiver, 1.0)
    assert [each.payload for each in again] == ["b", "c"]
    assert payloads(receiver) == ["a", "b", "c"]


def test_a_part_beyond_what_was_granted_is_not_kept() -> None:
    receiver = inbox(window=2)
    session = opened(receiver).session
    for sequence in 4, 3, 2, 1:
        receiver.arrived(part(session, sequence))
    assert len(payloads(receiver)) == 2


def test_parts_that_come_early_wait_for_their_turn() -> None:
    receiver = inbox()
    session = opened(receiver).session
    receiver.arrived(part(session, 2, "b"))
    assert receiver.next() is None
    receiver.arrived(part(session, 1, "a"))
    assert payloads(receiver) == ["a", "b"]


def test_a_part_of_an_unknown_conversation_is_answered_so() -> None:
    receiver = inbox()
    assert receiver.arrived(part("", 1)) == Lost("")
    assert receiver.arrived(part("session 9", 1)) == Lost("session 9")
    assert receiver.next() is None


def test_who_asks_takes_over_only_with_its_first_part() -> None:
    receiver = inbox()
    present = opened(receiver).session
    receiver.arrived(part(present, 1, "a"))
    later = opened(receiver, "late", stream="other").session
    assert receiver.arrived(part(present, 2, "b")) is None
    receiver.arrived(part(later, 1, "A"))
    assert receiver.arrived(part(present, 3, "c")) == Lost(present)
    assert payloads(receiver) == ["a", "b", "A"]


def test_what_came_early_from_an_earlier_life_is_forgotten() -> None:
    receiver = inbox()
    first = opened(receiver).session
    receiver.arrived(part(first, 1, "a"))
    receiver.arrived(part(first, 3, "c"))
    later = opened(receiver, "late", stream="other").session
    receiver.arrived(part(later, 1, "A"))
    receiver.arrived(part(later, 2, "B"))
    assert payloads(receiver) == ["a", "A", "B"]


def test_who_was_replaced_is_told_so_when_it_asks() -> None:
    receiver = inbox()
    receiver.arrived(part(opened(receiver).session, 1))
    receiver.arrived(part(opened(receiver, "late", stream="other").session, 1))
    assert receiver.opened(Open("p", "s", "i", 2, 0)) == Superseded("i")


def test_only_the_producer_that_is_meant_was_replaced() -> None:
    senders = [outbox("i"), outbox("another")]
    for sender in senders:
        sender.hear(Superseded("i"))
    assert [sender.superseded for sender in senders] == [True, False]


def test_a_consumer_that_remembers_nothing_begins_behind_what_the_producer_knows() -> None:
    receiver = inbox()
    grant = opened(receiver, confirmed=40)
    assert (grant.received, grant.confirmed, grant.up_to) == (40, 40, 43)
    receiver.arrived(part(grant.session, 41, "next", confirmed=40))
    assert payloads(receiver) == ["next"]


def test_a_part_tells_what_is_handled_already() -> None:
    receiver = inbox()
    session = opened(receiver, confirmed=3).session
    receiver.arrived(part(session, 6, "next", confirmed=5))
    assert payloads(receiver) == ["next"]


def test_the_rest_of_a_message_that_is_handled_already_is_forgotten() -> None:
    receiver = inbox()
    session = opened(receiver).session
    receiver.arrived(part(session, 1, b"half", last=False))
    receiver.arrived(part(session, 3, b"next", confirmed=2))
    assert payloads(receiver) == [b"next"]


def test_a_message_in_parts_gets_credit_as_it_comes() -> None:
    sender, receiver = outbox(), inbox(window=2)
    connect(sender, receiver)
    sender.accept([Piece(b"x", encoded=True, last=number == 9) for number in range(10)])
    for _ in range(6):
        exchange(sender, receiver)
    assert payloads(receiver) == [b"x" * 10]


def test_what_is_larger_than_the_limit_is_not_taken() -> None:
    receiver = inbox()
    session = opened(receiver).session
    receiver.arrived(part(session, 1, b"x" * 60, last=False))
    receiver.arrived(part(session, 2, b"x" * 60))
    assert receiver.oversized
    assert receiver.next() is None


def test_late_copies_are_not_kept() -> None:
    receiver = inbox(window=5)
    session = opened(receiver).session
    for sequence in 1, 2, 1, 2, 2:
        receiver.arrived(part(session, sequence))
    assert len(payloads(receiver)) == 2
    assert vars(receiver)["_early"] == {}


def test_a_queue_that_is_an_older_copy_of_itself_goes_on_behind_what_the_consumer_has() -> None:
    receiver = inbox(window=10)
    first = outbox("first")
    connect(first, receiver)
    for payload in "abcde":
        first.accept([Piece(payload)])
    exchange(first, receiver)
    assert payloads(receiver) == ["a", "b", "c", "d", "e"]
    copy = outbox("second")
    copy.accept([Piece("a")])
    connect(copy, receiver)
    assert (copy.last, copy.idle) == (5, True)
    copy.accept([Piece("f")])
    exchange(copy, receiver)
    assert payloads(receiver) == ["f"]


def test_a_producer_listens_to_no_answer_of_a_conversation_that_is_over() -> None:
    sender, old, new = outbox(), inbox(), inbox(window=1)
    connect(sender, old)
    stale = old.opened(Open("p", "s", "i", 1, 0))
    sender.reopen()
    sender.hear(stale)
    assert sender.room == 0
    connect(sender, new)
    assert sender.room == 1


def test_a_producer_that_was_redirected_listens_to_the_first_consumer_no_more() -> None:
    sender, first = outbox(), inbox()
    (asked,) = sender.transmit(0.0)
    assert isinstance(asked, Open)
    sender.reopen()
    sender.hear(first.opened(asked))
    assert sender.room == 0
