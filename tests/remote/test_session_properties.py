"""Two sessions over channels that lose, double, reorder and truncate: what arrives is a beginning of what was sent."""

from __future__ import annotations

from collections import deque
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.remote.pairs import RULES, End, answer, begin, identity, record
from trioakt.remote.session import Opened, Received, SessionState

ENDS = st.sampled_from([0, 1])


class Channels(RuleBasedStateMachine):
    """One session between two nodes, step by step."""

    @initialize()
    def greet(self) -> None:
        self.now = 0.0
        first = begin(identity("one"))
        first.pump(self.now)
        self.ends: list[End] = [first, answer(first.out.popleft(), identity("other"))]
        self.sent: list[list[Any]] = [[], []]
        self.honest = True
        self.damaged = False

    def _channel(self, source: int) -> deque[bytes]:
        self.ends[source].pump(self.now)
        return self.ends[source].out

    @rule(source=ENDS, count=st.integers(1, 70))
    def put(self, source: int, count: int) -> None:
        if self.ends[source].session.state is not SessionState.CLOSED:
            for _ in range(count):
                number = len(self.sent[source])
                self.ends[source].session.put(record(number))
                self.sent[source].append(["record", number])

    @rule(source=ENDS)
    def carry(self, source: int) -> None:
        channel = self._channel(source)
        if channel:
            self.ends[1 - source].receive(channel.popleft(), self.now)

    @rule()
    def carry_all(self) -> None:
        for _ in range(10):
            for source in (0, 1):
                channel = self._channel(source)
                while channel:
                    self.ends[1 - source].receive(channel.popleft(), self.now)

    @rule(source=ENDS)
    def lose(self, source: int) -> None:
        channel = self._channel(source)
        if channel:
            channel.popleft()
            self.honest = False

    @rule(source=ENDS)
    def double(self, source: int) -> None:
        channel = self._channel(source)
        if channel:
            channel.appendleft(channel[0])
            self.honest = False

    @rule(source=ENDS)
    def reorder(self, source: int) -> None:
        channel = self._channel(source)
        if len(channel) > 1:
            channel.rotate(1)
            self.honest = False

    @rule(source=ENDS, place=st.integers(0, 200), byte=st.integers(0, 255))
    def damage(self, source: int, place: int, byte: int) -> None:
        channel = self._channel(source)
        if channel:
            frame = bytearray(channel.popleft())
            frame[place % len(frame)] = byte
            channel.appendleft(bytes(frame[: max(1, len(frame) - place % 7)]))
            self.honest = False
            self.damaged = True

    @rule(seconds=st.floats(0.01, 3.0))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.honest = self.honest and seconds < RULES.suspicion / 4
        for end in self.ends:
            end.tick(self.now)

    @rule(source=ENDS)
    def leave(self, source: int) -> None:
        self.ends[source].session.leave("enough")
        self.honest = False

    @invariant()
    def what_arrived_is_a_beginning_of_what_was_sent(self) -> None:
        for source, end in enumerate(reversed(self.ends)):
            arrived = end.received
            if not self.damaged:  # that bytes are changed on the way is for TLS to prevent
                assert arrived == self.sent[source][: len(arrived)]

    @invariant()
    def nothing_arrives_before_the_proof(self) -> None:
        for end in self.ends:
            if any(isinstance(event, Received) for event in end.events):
                assert isinstance(end.events[0], Opened)

    @invariant()
    def an_honest_channel_closes_nothing(self) -> None:
        if self.honest:
            assert all(end.closed is None or end.closed.error is None for end in self.ends)


TestChannels = Channels.TestCase
TestChannels.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
