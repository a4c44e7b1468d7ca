"""Checks that an extension of your own keeps the promises of its protocol; each raises AssertionError."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import trio

from trioakt.lowlevel import Envelope, Mailbox, Notice


def check_mailbox(
    factory: Callable[[], Mailbox], *, message: Callable[[int], object] = int, steps: int = 2_000, seed: int = 0
) -> None:
    """Put and get at random, and check what every mailbox owes whoever uses it.

    Nothing is lost and nothing doubled: what went in comes out, was refused, or was returned as dropped. A notice is
    never refused and comes after all that was waiting when it came. ``len`` counts what waits, and a mailbox that is
    not ``full`` takes a message.

    Args:
        factory: What is given to ``spawn(mailbox=...)``, such as ``Bounded(10)``; called for each new queue.
        message: Makes the messages out of numbers, for a mailbox that looks into them.
        steps: How many times to put or get.
        seed: Where the chance comes from.

    Raises:
        AssertionError: The mailbox breaks a promise; the text says which.
    """
    check = _Check(factory(), message)
    rng = Random(seed)
    assert len(check.mailbox) == 0, "a new mailbox is empty"
    for number in range(steps):
        action = rng.choices([check.put, check.put_notice, check.get], [5, 1, 4 if number % 400 < 200 else 8])[0]
        action(number)
    while check.waiting:
        check.get(steps)


class _Check:
    """A mailbox under test, beside what must be in it: each envelope with those that were before it."""

    def __init__(self, mailbox: Mailbox, message: Callable[[int], object]) -> None:
        self.mailbox = mailbox
        self.waiting: list[Envelope] = []
        self._message = message

    def put(self, number: int) -> None:
        envelope = Envelope(self._message(number))
        full = self.mailbox.full
        try:
            outcome = self.mailbox.put(envelope)
        except trio.WouldBlock:
            assert full, "a mailbox that is not full takes a message"
        else:
            self.waiting.append(envelope)
            if isinstance(outcome, Envelope):
                assert full, "a mailbox that is not full drops nothing"
                assert outcome in self.waiting, "a dropped envelope is the new one or one that waited"
                assert not isinstance(outcome, Notice), "a notice is never dropped"
                self.waiting.remove(outcome)
        self._count()

    def put_notice(self, number: int) -> None:
        notice = Notice(self._message(number))
        self.mailbox.put_notice(notice)
        self.waiting.append(notice)
        self._count()

    def get(self, _: int) -> None:
        if not self.waiting:
            return
        envelope = self.mailbox.get()
        assert envelope in self.waiting, "an envelope comes out once"
        if isinstance(envelope, Notice):
            assert self.waiting[0] is envelope, "a notice comes after everything that waited before it"
        self.waiting.remove(envelope)
        self._count()

    def _count(self) -> None:
        assert len(self.mailbox) == len(self.waiting), (
            f"len() is {len(self.mailbox)}, {len(self.waiting)} envelopes wait"
        )
