"""Each mailbox against a model that is a plain list, through the protocol that the kernel uses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import trio
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.properties.program import case_of
from trioakt import ActorRef, Bounded, Fair, Overflow, Priority, Unbounded
from trioakt.lowlevel import Envelope, Mailbox, Notice


@attrs.frozen
class Waiting:
    """An envelope in the model, with the number of its arrival."""

    number: int
    envelope: Envelope

    @property
    def is_notice(self) -> bool:
        return isinstance(self.envelope, Notice)


class Model:
    """First in, first out, without a bound; the other mailboxes differ in a method or two."""

    def __init__(self) -> None:
        self.waiting: list[Waiting] = []
        self.arrived = 0

    full = False

    def put(self, envelope: Envelope) -> Envelope | None:
        """Return the envelope that is dropped; raise ``trio.WouldBlock`` when it is rejected."""
        self.append(envelope)
        return None

    def append(self, envelope: Envelope) -> None:
        self.waiting.append(Waiting(self.arrived, envelope))
        self.arrived += 1

    def get(self) -> Envelope:
        return self.take(self.waiting[0])

    def take(self, chosen: Waiting) -> Envelope:
        self.waiting.remove(chosen)
        return chosen.envelope

    @property
    def messages(self) -> list[Waiting]:
        return [each for each in self.waiting if not each.is_notice]


class BoundedModel(Model):
    def __init__(self, capacity: int, overflow: Overflow) -> None:
        super().__init__()
        self.capacity = capacity
        self.overflow = overflow

    @property
    def full(self) -> bool:  # type: ignore[override]
        return len(self.messages) >= self.capacity

    def put(self, envelope: Envelope) -> Envelope | None:
        if not self.full:
            return super().put(envelope)
        match self.overflow:
            case Overflow.REJECT:
                raise trio.WouldBlock
            case Overflow.DROP_NEWEST:
                return envelope
            case Overflow.DROP_OLDEST:
                dropped = self.take(self.messages[0])
                self.append(envelope)
                return dropped


class PriorityModel(BoundedModel):
    """A notice is due when nothing that arrived before it is left."""

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity, Overflow.REJECT)

    def get(self) -> Envelope:
        if self.waiting[0].is_notice:
            return self.take(self.waiting[0])
        return self.take(min(self.messages, key=lambda each: (key_of(each.envelope.message), each.number)))


class FairModel(Model):
    def __init__(self) -> None:
        super().__init__()
        self.turns: list[ActorRef | None] = []

    def put(self, envelope: Envelope) -> Envelope | None:
        if envelope.sender not in self.turns:
            self.turns.append(envelope.sender)
        return super().put(envelope)

    def get(self) -> Envelope:
        if self.waiting[0].is_notice:
            return self.take(self.waiting[0])
        sender = self.turns.pop(0)
        envelope = self.take(next(each for each in self.messages if each.envelope.sender == sender))
        if any(each.envelope.sender == sender for each in self.messages):
            self.turns.append(sender)
        return envelope


def key_of(message: int) -> int:
    return message // 10


MAILBOXES: list[tuple[Any, Any]] = [
    (Unbounded(), Model),
    *((Bounded(3, overflow), lambda overflow=overflow: BoundedModel(3, overflow)) for overflow in Overflow),
    (Priority(key_of), lambda: PriorityModel(10**6)),
    (Priority(key_of, capacity=3), lambda: PriorityModel(3)),
    (Fair(), FairModel),
]


def outcome(put: Callable[[Envelope], Envelope | None], envelope: Envelope) -> object:
    """Return the envelope that was dropped, or say that this one was rejected."""
    try:
        return put(envelope)
    except trio.WouldBlock:
        return "rejected"


@attrs.frozen(eq=False)
class Nobody:
    """Stands for an actor that is only ever named as a sender."""

    address: str


SENDERS = [None, *(ActorRef(Nobody(name)) for name in "abc")]  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


class MailboxMachine(RuleBasedStateMachine):
    """Puts, notices and gets in any order: the mailbox does what the model does."""

    mailbox: Mailbox
    model: Model

    @initialize(pair=st.sampled_from(MAILBOXES))
    def begin(self, pair: tuple[Any, Any]) -> None:
        mailbox, model = pair
        self.mailbox = mailbox()
        self.model = model()

    @rule(message=st.integers(0, 39), sender=st.sampled_from(SENDERS))
    def put(self, message: int, sender: ActorRef | None) -> None:
        envelope = Envelope(message, sender)
        assert outcome(self.mailbox.put, envelope) is outcome(self.model.put, envelope)

    @rule(message=st.integers(0, 39))
    def put_notice(self, message: int) -> None:
        notice = Notice(message)
        self.model.append(notice)
        self.mailbox.put_notice(notice)

    @precondition(lambda self: self.model.waiting)
    @rule()
    def get(self) -> None:
        assert self.mailbox.get() is self.model.get()

    @invariant()
    def the_mailbox_knows_what_it_holds(self) -> None:
        assert len(self.mailbox) == len(self.model.waiting)
        assert self.mailbox.full == self.model.full

    def teardown(self) -> None:
        while self.model.waiting:
            self.get()
        assert len(self.mailbox) == 0


TestMailboxes = case_of(MailboxMachine, examples=150, steps=40)
