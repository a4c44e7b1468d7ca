"""Topics: publish and subscribe within one system, for actors and for plain tasks; it knows no other nodes."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from threading import get_ident
from typing import TYPE_CHECKING, Any

import attrs
import trio

from trioakt.lowlevel import ActorRef, Subscription, Unwatch, Watch
from trioakt.patterns.telling import tell_or_lose

if TYPE_CHECKING:
    from trioakt.lowlevel import CoreSystem, TerminationCause

_TOPIC = re.compile(r"[^.*\s]+(\.[^.*\s]+)*")
_PATTERN = re.compile(r"(\*|[^.*\s]+)(\.(\*|[^.*\s]+))*")


@attrs.frozen
class TopicStatistics:
    """Figures about the topics of a system.

    Attributes:
        topics: Topics and patterns that somebody subscribes to.
        subscribers: Streams and actors that subscribe, each counted once.
        published: Messages published.
        missed: Messages lost by streams that were read too slowly, or refused by the mailboxes of actors.
    """

    topics: int
    subscribers: int
    published: int
    missed: int


class TopicStream(Subscription[Any]):
    """What a task reads: the messages, and ``Missed(count)`` in place of those it was too slow for."""

    def __init__(self, buffer: int) -> None:
        super().__init__(buffer)
        self.lost = 0

    def offer(self, value: Any) -> None:
        """Put a message in, dropping the oldest one when the buffer is full."""
        self.lost += len(self._values) == self._buffer
        super().offer(value)


if TYPE_CHECKING:
    Subscriber = TopicStream | ActorRef[Any]


class Patterns:
    """Who subscribes to what: a tree with a level for each part of a pattern. Pure; its cost is that of the parts."""

    __slots__ = ("below", "subscribers")

    def __init__(self) -> None:
        self.below: dict[str, Patterns] = {}
        self.subscribers: dict[Any, None] = {}

    def add(self, pattern: str, subscriber: object) -> None:
        """Subscribe to a pattern; once more changes nothing."""
        node = self
        for part in pattern.split("."):
            node = node.below.setdefault(part, Patterns())
        node.subscribers[subscriber] = None

    def discard(self, pattern: str, subscriber: object) -> None:
        """Unsubscribe from a pattern, and drop the branches that nobody needs any more."""
        way: list[tuple[Patterns, str]] = []
        node = self
        for part in pattern.split("."):
            if part not in node.below:
                return
            way.append((node, part))
            node = node.below[part]
        node.subscribers.pop(subscriber, None)
        for above, part in reversed(way):
            if above.below[part].subscribers or above.below[part].below:
                return
            del above.below[part]

    def matching(self, topic: str) -> tuple[Any, ...]:
        """Return those who subscribe to a pattern that matches, each once."""
        nodes = [self]
        for part in topic.split("."):
            nodes = [node.below[each] for node in nodes for each in (part, "*") if each in node.below]
        found = [node.subscribers for node in nodes if node.subscribers]
        if len(found) == 1:
            return tuple(found[0])
        return tuple({subscriber: None for subscribers in found for subscriber in subscribers})

    def count(self) -> int:
        """Return how many patterns have a subscriber."""
        return bool(self.subscribers) + sum(node.count() for node in self.below.values())


class Topics:
    """Hands each published message to those who subscribe to its topic; publishing never waits.

    The parts of a topic are separated by dots, ``orders.new``. In a pattern ``*`` stands for exactly one part:
    ``orders.*`` matches ``orders.new``, and neither ``orders`` nor ``orders.new.today``. Who subscribes to several
    patterns that match gets a message once.
    """

    def __init__(self, system: CoreSystem) -> None:
        self._system = system
        self._patterns = Patterns()
        self._subscribed: dict[Any, set[str]] = {}
        self._published = 0
        self._missed = 0
        self._closed = False

    @asynccontextmanager
    async def subscribe(self, pattern: str, *, buffer: int = 100) -> AsyncGenerator[TopicStream]:
        """Subscribe a task: ``async with system.topics.subscribe("orders") as orders: async for order in orders``.

        The iteration ends when the system has ended. Leaving the block unsubscribes.

        Args:
            pattern: A topic, or a pattern with ``*`` for one part.
            buffer: Messages kept for a slow reader; beyond it the oldest make way and ``Missed(count)`` tells so.

        Raises:
            ValueError: The pattern is none, or the buffer holds less than one message.
            RuntimeError: Called from another thread than the system's.
        """
        stream = TopicStream(buffer)
        _check(pattern, _PATTERN)
        await trio.lowlevel.checkpoint()
        self._add(pattern, stream)
        try:
            yield stream
        finally:
            self._remove(stream)
            self._missed += stream.lost
            stream.close()

    def subscribe_ref(self, pattern: str, ref: ActorRef[Any]) -> None:
        """Tell an actor what is published, until it ends or ``unsubscribe_ref``; a restart changes nothing.

        Its mailbox says what becomes of messages when it is slow. What a mailbox refuses is a dead letter.

        Raises:
            ValueError, RuntimeError: As ``subscribe``.
        """
        _check(pattern, _PATTERN)
        if not isinstance(ref, ActorRef):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"an actor is subscribed by its ref, got {ref!r}")
        known = ref in self._subscribed
        self._add(pattern, ref)
        if not known and not self._closed:
            ref.recipient.signal(Watch(self))

    def unsubscribe_ref(self, pattern: str, ref: ActorRef[Any]) -> None:
        """Tell an actor no more of this pattern; without a subscription nothing happens.

        Raises:
            ValueError, RuntimeError: As ``subscribe``.
        """
        _check(pattern, _PATTERN)
        self._check_thread()
        patterns = self._subscribed.get(ref)
        if patterns is None or pattern not in patterns:
            return
        patterns.remove(pattern)
        self._patterns.discard(pattern, ref)
        if not patterns:
            del self._subscribed[ref]
            ref.recipient.signal(Unwatch(self))

    def publish(self, topic: str, message: object, sender: ActorRef[Any] | None = None) -> None:
        """Hand a message to the subscribers of its topic now, never waiting. A slow or broken one harms no other.

        Args:
            topic: Where to; it has no ``*``.
            message: What.
            sender: Whom the actors see as its sender.

        Raises:
            ValueError: That is no topic.
            RuntimeError: Called from another thread than the system's.
        """
        _check(topic, _TOPIC)
        self._check_thread()
        self._published += 1
        for subscriber in self._patterns.matching(topic):
            if isinstance(subscriber, TopicStream):
                subscriber.offer(message)
            elif subscriber.is_alive:
                self._missed += not tell_or_lose(self._system, subscriber, message, sender)

    def statistics(self) -> TopicStatistics:
        """Return frozen figures."""
        lost = sum(each.lost for each in self._subscribed if isinstance(each, TopicStream))
        return TopicStatistics(
            topics=self._patterns.count(),
            subscribers=len(self._subscribed),
            published=self._published,
            missed=self._missed + lost,
        )

    def terminated(self, ref: ActorRef[Any], cause: TerminationCause) -> None:
        """Hear that a subscribed actor has ended; the kernel calls this."""
        self._remove(ref)

    def close(self) -> None:
        """End all subscriptions; the system calls this at its end."""
        self._closed = True
        for subscriber in tuple(self._subscribed):
            if isinstance(subscriber, TopicStream):
                subscriber.close()
            else:
                self._remove(subscriber)

    def _add(self, pattern: str, subscriber: Subscriber) -> None:
        self._check_thread()
        if self._closed:
            if isinstance(subscriber, TopicStream):
                subscriber.close()
            return
        self._subscribed.setdefault(subscriber, set()).add(pattern)
        self._patterns.add(pattern, subscriber)

    def _remove(self, subscriber: Subscriber) -> None:
        for pattern in self._subscribed.pop(subscriber, ()):
            self._patterns.discard(pattern, subscriber)

    def _check_thread(self) -> None:
        if self._system.thread not in (0, get_ident()):
            raise self._system.wrong_thread("system.topics")


def _check(name: str, kind: re.Pattern[str]) -> None:
    if kind.fullmatch(name) is None:
        star = ", or '*' for one part" if kind is _PATTERN else ""
        raise ValueError(f"a topic is parts separated by dots, without spaces{star}; got {name!r}")
