"""Both ends of a stream over a hostile channel, with restarts of either: against a list of what was accepted."""

from __future__ import annotations

from itertools import count
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.properties.program import case_of
from trioakt.delivery.protocol import Grant, Open, Part, Piece
from trioakt.delivery.window import Arrived, Inbox, Outbox

MAX_SIZE = 1_000
LARGEST = 6
"""Parts of the largest message."""

STEPS = {
    "accept": 6,
    "send": 8,
    "send later": 3,
    "carry there": 16,
    "carry back": 14,
    "handle": 10,
    "confirm": 10,
    "lose there": 1,
    "lose back": 1,
    "carry an old one there": 2,
    "carry an old one back": 2,
    "truncate": 1,
    "restart the producer": 1,
    "restart the consumer": 1,
    "let all go well": 1,
}
"""What may happen next, and how often; the number that is drawn with it says to which message."""

steps_to_take = st.tuples(
    st.sampled_from([step for step, weight in STEPS.items() for _ in range(weight)]), st.integers(0, 7)
)


def delay(silence: int) -> float:
    return min(2.0**silence, 8.0)


def pieces_of(number: int, parts: int) -> list[Piece]:
    """Make the pieces of a message, which is its number; one of several parts is encoded."""
    if parts == 1:
        return [Piece(number)]
    data = f"{number:0{parts}}".encode()
    step = -(-len(data) // parts)
    places = range(0, len(data), step)
    return [Piece(data[at : at + step], encoded=True, last=at == places[-1]) for at in places]


class WindowMachine(RuleBasedStateMachine):
    """The channel loses, doubles, reorders and truncates; both ends die and live again.

    What the consumer does with a message it does together with noting its number, as one would in a database: so the
    effects are exactly what was accepted, whoever died when.
    """

    @initialize(durable=st.booleans(), window=st.integers(1, 5), connected=st.booleans())
    def begin(self, durable: bool, window: int, connected: bool) -> None:
        self.durable, self.window = durable, window
        self.tokens = map(str, count(1))
        self.numbers = count(1)
        self.now = 0.0
        self.there: list[Open | Part] = []
        self.back: list[Any] = []
        self.carried: tuple[list[Open | Part], list[Any]] = ([], [])
        self.granted: dict[str, int] = {}
        self.accepted: dict[str, list[int]] = {}
        self.effects: dict[str, list[int]] = {}
        self.marks: dict[str, int] = {}
        self.handled_streams: list[str] = []
        self.stream, self.last = next(self.tokens), 0
        self.stored: dict[int, Piece] = {}
        self.start_producer()
        self.start_consumer()
        if connected:
            self.one_round()

    def start_producer(self) -> None:
        if not self.durable:
            self.stream, self.last, self.stored = next(self.tokens), 0, {}
        self.accepted.setdefault(self.stream, [])
        confirmed = min(self.stored, default=self.last + 1) - 1
        self.outbox = Outbox("p", self.stream, next(self.tokens), delay, confirmed=confirmed)
        self.outbox.accept([self.stored[number] for number in sorted(self.stored)])

    def start_consumer(self) -> None:
        self.inbox = Inbox(self.window, MAX_SIZE, lambda: next(self.tokens))
        self.in_hand: Arrived | None = None
        self.handled_in_this_life: dict[str, int] = {}

    @rule(steps=st.lists(steps_to_take, min_size=20, max_size=80))
    def live(self, steps: list[tuple[str, int]]) -> None:
        for step, number in steps:
            self.take_step(step, number)

    def take_step(self, step: str, number: int) -> None:
        match step:
            case "accept":
                self.accept(parts=max(1, number - 1))
            case "send" | "send later":
                self.let_the_producer_send(0.0 if step == "send" else 2.0 * number)
            case "carry there" if self.there:
                self.take_there(self.there.pop(number % len(self.there)))
            case "carry back" if self.back:
                self.take_back(self.back.pop(number % len(self.back)))
            case "handle":
                self.handle_the_next()
            case "confirm":
                self.confirm()
            case "lose there" if self.there:
                del self.there[number % len(self.there)]
            case "lose back" if self.back:
                del self.back[number % len(self.back)]
            case "carry an old one there" if old := self.carried[0]:
                self.take_there(old[number * len(old) // 8])
            case "carry an old one back" if old := self.carried[1]:
                self.take_back(old[number * len(old) // 8])
            case "truncate":
                del self.there[number // 2 :]
                del self.back[number // 2 :]
            case "let all go well":
                self.one_round()
            case "restart the producer":
                self.start_producer()
            case "restart the consumer":
                self.start_consumer()
            case _:
                pass

    # The producer

    def accept(self, parts: int) -> None:
        if self.outbox.room:
            number, first = next(self.numbers), self.outbox.last + 1
            pieces = pieces_of(number, parts)
            self.last = self.outbox.accept(pieces)
            self.stored.update(enumerate(pieces, first))
            self.accepted[self.stream].append(number)

    def let_the_producer_send(self, seconds: float) -> None:
        self.now += seconds
        for each in self.outbox.transmit(self.now):
            if isinstance(each, Part):
                assert each.sequence <= self.granted[each.session], "it sent more than was granted"
            self.there.append(each)

    def take_back(self, reply: Any) -> None:
        self.carried[1].append(reply)
        self.outbox.hear(reply)
        assert not self.outbox.superseded, "only a living producer that was replaced is told so"
        self.stored = {number: piece for number, piece in self.stored.items() if number > self.outbox.confirmed}

    # The consumer

    def take_there(self, message: Open | Part) -> None:
        self.carried[0].append(message)
        self.reply(self.inbox.opened(message) if isinstance(message, Open) else self.inbox.arrived(message))

    def handle_the_next(self) -> None:
        if self.in_hand is not None or (arrived := self.inbox.next()) is None:
            return
        self.in_hand = arrived
        assert self.handled_in_this_life.get(arrived.stream, 0) < arrived.sequence, "handled twice in one life"
        self.handled_in_this_life[arrived.stream] = arrived.sequence
        if arrived.stream not in self.handled_streams:
            self.handled_streams.append(arrived.stream)
        assert arrived.stream == self.handled_streams[-1], "an earlier life of the producer came after a later one"
        if arrived.sequence > self.marks.get(arrived.stream, 0):
            self.marks[arrived.stream] = arrived.sequence
            self.effects.setdefault(arrived.stream, []).append(int(arrived.payload))

    def confirm(self) -> None:
        if self.in_hand is not None:
            self.reply(self.inbox.handled(self.in_hand))
            self.in_hand = None

    def reply(self, reply: Any) -> None:
        if isinstance(reply, Grant):
            self.granted[reply.session] = max(self.granted.get(reply.session, 0), reply.up_to)
        if reply is not None:
            self.back.append(reply)

    # What must hold

    def one_round(self) -> None:
        self.let_the_producer_send(1.0)
        while self.there:
            self.take_there(self.there.pop(0))
        self.handle_the_next()
        while self.in_hand is not None:
            self.confirm()
            self.handle_the_next()
        while self.back:
            self.take_back(self.back.pop(0))

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


TestWindow = case_of(WindowMachine, examples=150, steps=6)
