"""Topics: publish and subscribe for actors and for plain tasks; other nodes are behind a protocol."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import asynccontextmanager
from threading import get_ident
from typing import TYPE_CHECKING, Any, Protocol

import attrs
import trio

from trioakt.lowlevel import ActorRef, Missed, Subscription, Unwatch, Watch
from trioakt.patterns.telling import tell_or_lose

if TYPE_CHECKING:
    from trioakt.lowlevel import CoreSystem, TerminationCause

_TOPIC = re.compile(r"[^.*\s]+(\.[^.*\s]+)*")
_PATTERN = re.compile(r"(\*|[^.*\s]+)(\.(\*|[^.*\s]+))*")


@attrs.frozen
class SubscriptionLost:
    """Told to an actor: it hears no more of what is published on another node, as the link to it was lost.

    Attributes:
        pattern: What it had subscribed to.
        node: The address of that node.
        reason: What has happened.
    """

    pattern: str
    node: str
    reason: str


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
    """What a task reads: the messages, and ``Missed(count)`` in place of those it was too slow for.

    Where it reads of another node, losing the link to it ends the iteration with ``ConnectionLostError``.
    """

    def __init__(self, buffer: int) -> None:
        super().__init__(buffer)
        self.lost = 0
        self.error: Exception | None = None

    def offer(self, value: Any) -> None:
        """Put a message in, dropping the oldest one when the buffer is full."""
        if len(self._values) == self._buffer:
            oldest = self._values[0]
            count = oldest.count if isinstance(oldest, Missed) else 1
            self.lost += count
            self._missed += count - 1
        super().offer(value)

    def clear(self) -> None:
        """Forget what has come so far."""
        self._values.clear()
        self._missed = 0

    def fail(self, error: Exception) -> None:
        """End the iteration with an error after what is buffered."""
        self.error = self.error or error
        self.close()

    async def __anext__(self) -> Any:
        """Return the next message, or ``Missed`` in place of lost ones."""
        try:
            return await super().__anext__()
        except StopAsyncIteration:
            if self.error is None:
                raise
        raise self.error


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


class Audience:
    """Streams and actors with what they subscribe to; each is handed a message once, however many patterns match.

    Args:
        system: Theirs.
        changed: Called with a pattern that may have got its first subscriber, or lost its last one.

    Attributes:
        patterns: Those that somebody subscribes to, with how many do.
        missed: Messages that those who have left did not read, and that mailboxes have refused.
    """

    def __init__(self, system: CoreSystem, changed: Callable[[str], None]) -> None:
        self.patterns: Counter[str] = Counter()
        self.missed = 0
        self.subscribed: dict[Any, set[str]] = {}
        self._system = system
        self._changed = changed
        self._tree = Patterns()

    def add(self, pattern: str, subscriber: Subscriber) -> None:
        """Subscribe somebody; an actor until it ends. Once more changes nothing."""
        known = subscriber in self.subscribed
        patterns = self.subscribed.setdefault(subscriber, set())
        if pattern in patterns:
            return
        patterns.add(pattern)
        self._tree.add(pattern, subscriber)
        self.patterns[pattern] += 1
        if not known and isinstance(subscriber, ActorRef):
            subscriber.recipient.signal(Watch(self))
        self._changed(pattern)

    def discard(self, pattern: str, subscriber: Subscriber) -> None:
        """Unsubscribe somebody from a pattern; without a subscription nothing happens."""
        patterns = self.subscribed.get(subscriber)
        if patterns is None or pattern not in patterns:
            return
        if len(patterns) == 1:
            self.remove(subscriber)
            if isinstance(subscriber, ActorRef):
                subscriber.recipient.signal(Unwatch(self))
        else:
            patterns.remove(pattern)
            self._forget(pattern, subscriber)

    def remove(self, subscriber: Subscriber) -> None:
        """Unsubscribe somebody from everything."""
        patterns = self.subscribed.pop(subscriber, None)
        if patterns is None:
            return
        if isinstance(subscriber, TopicStream):
            self.missed += subscriber.lost
        for pattern in sorted(patterns):
            self._forget(pattern, subscriber)

    def matching(self, topic: str) -> tuple[Subscriber, ...]:
        """Return those who subscribe to a pattern that matches, each once."""
        return self._tree.matching(topic)

    def hand(self, subscribers: Iterable[Subscriber], message: object, sender: ActorRef[Any] | None) -> None:
        """Hand a message to some of them now; a slow or broken one harms no other."""
        for subscriber in subscribers:
            if isinstance(subscriber, TopicStream):
                subscriber.offer(message)
            elif subscriber.is_alive:
                self.missed += not tell_or_lose(self._system, subscriber, message, sender)

    def end(self, node: str, error: Exception, pattern: str | None = None) -> None:
        """End all subscriptions to what is published on a node, or those to one pattern: nothing more can come."""
        for subscriber, patterns in tuple(self.subscribed.items()):
            ended = [each for each in sorted(patterns) if pattern in (None, each)]
            if ended and isinstance(subscriber, TopicStream):
                self.remove(subscriber)
                subscriber.fail(error)
                continue
            for each in ended:
                self.discard(each, subscriber)
                tell_or_lose(self._system, subscriber, SubscriptionLost(each, node, str(error)), None)

    def terminated(self, ref: ActorRef[Any], cause: TerminationCause) -> None:
        """Hear that a subscribed actor has ended; the kernel calls this."""
        self.remove(ref)

    def _forget(self, pattern: str, subscriber: Subscriber) -> None:
        self._tree.discard(pattern, subscriber)
        self.patterns[pattern] -= 1
        if not self.patterns[pattern]:
            del self.patterns[pattern]
            self._changed(pattern)


class Relay(Protocol):
    """What brings topics of other nodes here, and takes those of this node there."""

    def audience(self, node: str) -> Audience:
        """Return who hears what is published on the node at an address; whoever is added states an interest there."""
        ...

    async def stated(self, node: str, pattern: str, stream: TopicStream) -> None:
        """Return when that node knows of the interest; raise what ``Topics.subscribe`` raises."""
        ...

    def published(self, topic: str, message: object, sender: ActorRef[Any] | None) -> None:
        """Take a message that was published here to the nodes that want it, never waiting."""
        ...

    def changed(self, pattern: str) -> None:
        """Hear that somebody here, or nobody any more, subscribes to a pattern of this node's topics."""
        ...


class Topics:
    """Hands each published message to those who subscribe to its topic; publishing never waits.

    The parts of a topic are separated by dots, ``orders.new``. In a pattern ``*`` stands for exactly one part:
    ``orders.*`` matches ``orders.new``, and neither ``orders`` nor ``orders.new.today``. Who subscribes to several
    patterns that match gets a message once.
    """

    def __init__(self, system: CoreSystem) -> None:
        self.audience = Audience(system, self._changed)
        self.relay: Relay | None = None
        self._system = system
        self._published = 0
        self._closed = False

    @asynccontextmanager
    async def subscribe(
        self, pattern: str, *, buffer: int = 100, node: str | None = None
    ) -> AsyncGenerator[TopicStream]:
        """Subscribe a task: ``async with system.topics.subscribe("orders") as orders: async for order in orders``.

        The iteration ends when the system has ended. Leaving the block unsubscribes. With ``node``, what is published
        there from the beginning of the block on is read here, and ``ConnectionLostError`` ends the iteration when the
        link is lost.

        Args:
            pattern: A topic, or a pattern with ``*`` for one part.
            buffer: Messages kept for a slow reader; beyond it the oldest make way and ``Missed(count)`` tells so.
            node: The address of another node, ``trioakt://bank@10.0.0.5:4041``, whose topics are meant.

        Raises:
            ValueError: The pattern is none, the buffer holds less than one message, or the address is none of this
                system.
            NodeUnreachableError: There is no session with the node, and none comes about.
            MailboxFullError: The node takes no more interests of this one.
            RuntimeError: Called from another thread than the system's, or with a node in a system without ``remote=``.
        """
        stream = TopicStream(buffer)
        _check(pattern, _PATTERN)
        await trio.lowlevel.checkpoint()
        audience = self._audience(node)
        if self._closed:
            stream.close()
        else:
            audience.add(pattern, stream)
        try:
            if node is not None and self.relay is not None and audience is not self.audience:
                await self.relay.stated(node, pattern, stream)
            yield stream
        finally:
            audience.remove(stream)
            stream.close()

    def subscribe_ref(self, pattern: str, ref: ActorRef[Any], *, node: str | None = None) -> None:
        """Tell an actor what is published, until it ends or ``unsubscribe_ref``; a restart changes nothing.

        Its mailbox says what becomes of messages when it is slow. What a mailbox refuses is a dead letter. With
        ``node``, ``SubscriptionLost`` tells it that the link was lost, or never came about; then it can subscribe anew.

        Raises:
            ValueError, RuntimeError: As ``subscribe``.
        """
        _check(pattern, _PATTERN)
        if not isinstance(ref, ActorRef):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"an actor is subscribed by its ref, got {ref!r}")
        audience = self._audience(node)
        if not self._closed:
            audience.add(pattern, ref)

    def unsubscribe_ref(self, pattern: str, ref: ActorRef[Any], *, node: str | None = None) -> None:
        """Tell an actor no more of this pattern; without a subscription nothing happens.

        Raises:
            ValueError, RuntimeError: As ``subscribe``.
        """
        _check(pattern, _PATTERN)
        self._audience(node).discard(pattern, ref)

    def publish(self, topic: str, message: object, sender: ActorRef[Any] | None = None) -> None:
        """Hand a message to the subscribers of its topic now, never waiting. A slow or broken one harms no other.

        It goes to other nodes where somebody subscribes to this one's topics.

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
        self.audience.hand(self.audience.matching(topic), message, sender)
        if self.relay is not None:
            self.relay.published(topic, message, sender)

    def statistics(self) -> TopicStatistics:
        """Return frozen figures; subscriptions to topics of other nodes are not counted."""
        audience = self.audience
        lost = sum(each.lost for each in audience.subscribed if isinstance(each, TopicStream))
        return TopicStatistics(
            topics=len(audience.patterns),
            subscribers=len(audience.subscribed),
            published=self._published,
            missed=audience.missed + lost,
        )

    def close(self) -> None:
        """End all subscriptions; the system calls this at its end."""
        self._closed = True
        for subscriber in tuple(self.audience.subscribed):
            if isinstance(subscriber, TopicStream):
                subscriber.close()
            else:
                self.audience.remove(subscriber)

    def _audience(self, node: str | None) -> Audience:
        self._check_thread()
        if node is None:
            return self.audience
        if self.relay is None:
            raise RuntimeError(f"the system {self._system.name!r} reaches no other: give it remote=Remote(...)")
        return self.audience if node == self._system.address else self.relay.audience(node)

    def _changed(self, pattern: str) -> None:
        if self.relay is not None:
            self.relay.changed(pattern)

    def _check_thread(self) -> None:
        if self._system.thread not in (0, get_ident()):
            raise self._system.wrong_thread("system.topics")


def _check(name: str, kind: re.Pattern[str]) -> None:
    if kind.fullmatch(name) is None:
        star = ", or '*' for one part" if kind is _PATTERN else ""
        raise ValueError(f"a topic is parts separated by dots, without spaces{star}; got {name!r}")


def is_pattern(name: str) -> bool:
    """Return whether a text is a topic or a pattern."""
    return _PATTERN.fullmatch(name) is not None
