"""Both ends of a stream over a hostile channel, with restarts of either: against a list of what was accepted."""

from __future__ import annotations

from itertools import count
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.properties.program import case_of
from trioakt.delivery.protocol import Grant, Open, Part, Piece
from trioakt.delivery.window import Arrived, Inbox, Outbox

MAX_SIZE = 1_000
LARGEST = 6
"""Parts of the largest message."""


def delay(silence: int) -> float:
    return min(2.0**silence, 8.0)


class WindowMachine(RuleBasedStateMachine):
    """The channel loses, doubles, reorders and truncates; both ends die and live again.

    What the consumer does with a message it does together with noting its number, as one would in a database: so the
    effects are exactly what was accepted, whoever died when.
    """

    @initialize(durable=st.booleans(), window=st.integers(1, 5))
    def begin(self, durable: bool, window: int) -> None:
        self.durable, self.window = durable, window
        self.tokens = map(str, count(1))
        self.now = 0.0
        self.there: list[Open | Part] = []
        self.back: list[Any] = []
        self.carried_there: list[Open | Part] = []
        self.carried_back: list[Any] = []
        self.accepted: dict[str, list[int]] = {}
        self.effects: dict[str, list[int]] = {}
        self.marks: dict[str, int] = {}
        self.granted: dict[str, int] = {}
        self.numbers = count(1)
        self.stored: dict[int, Piece] = {}
        self.stream = next(self.tokens)
        self.handled_streams: list[str] = []
        self.start_producer()
        self.start_consumer()

    def start_producer(self) -> None:
        if not self.durable:
            self.stream, self.stored = next(self.tokens), {}
        self.accepted.setdefault(self.stream, [])
        confirmed = min(self.stored, default=self.last + 1) - 1 if self.stored or self.durable else 0
        self.outbox = Outbox("p", self.stream, next(self.tokens), delay, confirmed=confirmed)
        self.outbox.accept([self.stored[number] for number in sorted(self.stored)])
        self.last = self.outbox.last

    last = 0

    def start_consumer(self) -> None:
        self.inbox = Inbox(self.window, MAX_SIZE, lambda: next(self.tokens))
        self.in_hand: Arrived | None = None
        self.handled_in_this_life: dict[str, int] = {}

    # The producer

    @precondition(lambda self: self.outbox.room)
    @rule(parts=st.integers(1, LARGEST), encoded=st.booleans())
    def accept(self, parts: int, encoded: bool) -> None:
        number = next(self.numbers)
        pieces = [Piece(number)]
        if encoded:
            data = f"{number:0{parts}}".encode()
            step = -(-len(data) // parts)
            pieces = [
                Piece(data[at : at + step], encoded=True, last=at + step >= len(data))
                for at in range(0, len(data), step)
            ]
        first = self.outbox.last + 1
        self.last = self.outbox.accept(pieces)
        self.stored.update(enumerate(pieces, first))
        self.accepted[self.stream].append(number)

    @rule(seconds=st.sampled_from([0.0, 1.0, 10.0]))
    def let_the_producer_send(self, seconds: float) -> None:
        self.now += seconds
        for each in self.outbox.transmit(self.now):
            if isinstance(each, Part):
                assert each.sequence <= self.granted[each.session], "it sent more than was granted"
            self.there.append(each)

    @rule()
    def restart_the_producer(self) -> None:
        self.start_producer()

    # The consumer

    @precondition(lambda self: self.in_hand is None)
    @rule()
    def handle_the_next(self) -> None:
        self.in_hand = arrived = self.inbox.next()
        if arrived is None:
            return
        assert self.handled_in_this_life.get(arrived.stream, 0) < arrived.sequence, "handled twice in one life"
        self.handled_in_this_life[arrived.stream] = arrived.sequence
        if arrived.stream not in self.handled_streams:
            self.handled_streams.append(arrived.stream)
        assert arrived.stream == self.handled_streams[-1], "an earlier life of the producer came after a later one"
        if arrived.sequence > self.marks.get(arrived.stream, 0):
            self.marks[arrived.stream] = arrived.sequence
            self.effects.setdefault(arrived.stream, []).append(int(arrived.payload))

    @precondition(lambda self: self.in_hand is not None)
    @rule()
    def confirm(self) -> None:
        assert self.in_hand is not None
        self.reply(self.inbox.handled(self.in_hand))
        self.in_hand = None

    @rule()
    def restart_the_consumer(self) -> None:
        self.start_consumer()

    def reply(self, reply: Any) -> None:
        if isinstance(reply, Grant):
            self.granted[reply.session] = max(self.granted.get(reply.session, 0), reply.up_to)
        if reply is not None:
            self.back.append(reply)

    # The channel

    @precondition(lambda self: self.there)
    @rule(data=st.data())
    def carry_one_there(self, data: st.DataObject) -> None:
        self.take_there(self.there.pop(data.draw(st.integers(0, len(self.there) - 1))))

    def take_there(self, message: Open | Part) -> None:
        self.carried_there.append(message)
        self.reply(self.inbox.opened(message) if isinstance(message, Open) else self.inbox.arrived(message))

    @precondition(lambda self: self.back)
    @rule(data=st.data())
    def carry_one_back(self, data: st.DataObject) -> None:
        self.take_back(self.back.pop(data.draw(st.integers(0, len(self.back) - 1))))

    def take_back(self, reply: Any) -> None:
        self.carried_back.append(reply)
        self.outbox.hear(reply)
        assert not self.outbox.superseded, "only a living producer that was replaced is told so"
        self.stored = {number: piece for number, piece in self.stored.items() if number > self.outbox.confirmed}

    @precondition(lambda self: self.carried_there)
    @rule(data=st.data())
    def carry_an_old_one_there_again(self, data: st.DataObject) -> None:
        self.take_there(data.draw(st.sampled_from(self.carried_there)))

    @precondition(lambda self: self.carried_back)
    @rule(data=st.data())
    def carry_an_old_one_back_again(self, data: st.DataObject) -> None:
        self.take_back(data.draw(st.sampled_from(self.carried_back)))

    @precondition(lambda self: self.there)
    @rule(data=st.data())
    def lose_one(self, data: st.DataObject) -> None:
        del self.there[data.draw(st.integers(0, len(self.there) - 1))]

    @rule(left=st.integers(0, 3))
    def truncate_the_channel(self, left: int) -> None:
        del self.there[left:]
        del self.back[left:]

    @rule(rounds=st.integers(1, 3))
    def let_all_go_well_for_a_while(self, rounds: int) -> None:
        for _ in range(rounds):
            self.one_round()

    def one_round(self) -> None:
        self.let_the_producer_send(1.0)
        while self.there:
            self.take_there(self.there.pop(0))
        if self.in_hand is None:
            self.handle_the_next()
        while self.in_hand is not None:
            self.confirm()
            self.handle_the_next()
        while self.back:
            self.take_back(self.back.pop(0))

    # What must hold

    @invariant()
    def what_was_done_is_what_was_accepted_in_its_order(self) -> None:
        for stream, done in self.effects.items():
            assert done == self.accepted[stream][: len(done)]

    @invariant()
    def memory_is_bounded(self) -> None:
        held = vars(self.inbox)
        assert len(held["_early"]) <= self.window
        assert len(held["_pieces"]) <= LARGEST
        assert held["_waiting"] <= self.window + LARGEST

    def teardown(self) -> None:
        for _ in range(40):
            self.one_round()
        assert self.outbox.idle
        assert self.effects.get(self.stream, []) == self.accepted[self.stream]


TestWindow = case_of(WindowMachine, examples=150, steps=50)
