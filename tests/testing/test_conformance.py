"""The checks for mailboxes of one's own: our mailboxes pass them, and broken ones are told what they broke."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import pytest

from trioakt import Bounded, Fair, Overflow, Priority, Unbounded
from trioakt.lowlevel import Envelope, Mailbox
from trioakt.testing import check_mailbox


def negative(number: object) -> int:
    assert isinstance(number, int)
    return -number


MAILBOXES: list[Callable[[], Mailbox]] = [
    Unbounded(),
    *(Bounded(capacity, overflow) for capacity in (1, 7) for overflow in Overflow),
    Priority(negative),
    Priority(negative, capacity=5),
    Fair(),
]


@pytest.mark.parametrize("factory", MAILBOXES, ids=repr)
def test_each_mailbox_of_ours_keeps_the_promises(factory: Callable[[], Mailbox]) -> None:
    for seed in range(3):
        check_mailbox(factory, seed=seed)


class Plain:
    """A sound mailbox to break in one place."""

    full = False

    def __init__(self) -> None:
        self.waiting: deque[Envelope] = deque()

    def put(self, envelope: Envelope) -> Envelope | None:
        self.waiting.append(envelope)
        return None

    def put_notice(self, envelope: Envelope) -> None:
        self.waiting.append(envelope)

    def get(self) -> Envelope:
        return self.waiting.popleft()

    def __len__(self) -> int:
        return len(self.waiting)


class Loses(Plain):
    def put(self, envelope: Envelope) -> Envelope | None:
        return None


class Doubles(Plain):
    def get(self) -> Envelope:
        return self.waiting[0]


class DropsForNothing(Plain):
    def put(self, envelope: Envelope) -> Envelope | None:
        return envelope


class HurriesNotices(Plain):
    def put_notice(self, envelope: Envelope) -> None:
        self.waiting.appendleft(envelope)


def test_a_sound_mailbox_passes() -> None:
    check_mailbox(Plain)


@pytest.mark.parametrize(
    ("broken", "what"),
    [
        (Loses, r"len\(\)"),
        (Doubles, "comes out once|len"),
        (DropsForNothing, "drops nothing"),
        (HurriesNotices, "after everything"),
    ],
)
def test_a_broken_mailbox_is_told_what_it_broke(broken: Callable[[], Mailbox], what: str) -> None:
    with pytest.raises(AssertionError, match=what):
        check_mailbox(broken)
