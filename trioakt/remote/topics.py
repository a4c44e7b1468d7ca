"""Topics of other nodes: who here hears what is published there, and which nodes hear what is published here."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import trio

from trioakt.errors import CodecError, ConnectionLostError, NodeUnreachableError, ProtocolError, TrioaktError
from trioakt.lowlevel import ActorRef, Address, Event, Missed
from trioakt.patterns.topics import Audience, Patterns, Topics, TopicStream
from trioakt.remote.events import event_name, find_event, read_event
from trioakt.remote.records import EVENT, Published, Unsubscribe

if TYPE_CHECKING:
    from trioakt.patterns.topics import Subscriber
    from trioakt.remote.house import House
    from trioakt.remote.interests import Interests
    from trioakt.remote.peer import Peer

_log = logging.getLogger("trioakt")


class RemoteTopics:
    """The topics and events of other nodes, as far as they are heard here, and this node's, as far as they are there.

    However many subscribe here, a node is told once of each pattern, and sends each message once. What comes from
    there is handed to subscribers of this node alone, so that nothing goes in circles.

    Args:
        house: This node's.
        peer_at: Returns the peer with an address.

    Attributes:
        interests: What other nodes want to hear, of all sessions.
    """

    def __init__(self, house: House, peer_at: Callable[[str], Peer]) -> None:
        self.interests = Patterns()
        self._house = house
        self._peer_at = peer_at
        self._sources: dict[str, Source] = {}
        self._warned: WeakSet[type] = WeakSet()
        self._topics = house.system.service(Topics)
        self._topics.relay = self

    # --------------------------------------------------------- subscribers of this node

    def audience(self, node: str) -> Audience:
        """Return who here hears what is published on the node at an address."""
        return self._source(self._house.address(node).node).audience

    async def stated(self, node: str, pattern: str, stream: TopicStream) -> None:
        """Return when the node at an address knows that somebody here subscribes to a pattern.

        Raises:
            NodeUnreachableError: There is no session with it, and none comes about.
            MailboxFullError: It takes no more interests of this one.
        """
        await self._settled(self._house.address(node).node, [pattern], stream)

    @asynccontextmanager
    async def events(self, node: str, kinds: tuple[type[Any], ...], buffer: int) -> AsyncGenerator[TopicStream]:
        """Subscribe a task to events of the node at an address; see ``ActorSystem.remote_events``."""
        for kind in kinds:
            if not issubclass(kind, Event):
                raise TypeError(f"subscribe to event classes, got {kind!r}")
        stream = TopicStream(buffer)
        address = self._house.address(node).node
        await trio.lowlevel.checkpoint()
        if address == self._house.system.node:
            with self._house.system.events.listen(stream.offer, *(kinds or (Event,))):
                yield stream
            return
        source = self._source(address)
        names = source.add(stream, kinds or (Event,))
        try:
            await self._settled(address, names, stream)
            yield stream
        finally:
            source.remove(stream)
            stream.close()

    async def _settled(self, node: str, names: list[str], stream: TopicStream) -> None:
        source = self._sources.get(node)
        for name in names:
            statement = None if source is None else source.stated.get(name)
            if statement is not None:
                await statement.settled.wait()
        if isinstance(stream.error, ConnectionLostError):
            raise NodeUnreachableError(str(stream.error)) from stream.error
        if stream.error is not None:
            raise stream.error

    # -------------------------------------------------------- for those who know members

    def join(self, node: str) -> None:
        """Hand what is published on the node at ``host:port`` to all subscribers of this node, until ``leave``.

        Whenever there is a session with it, and not before, it is told what this node is interested in.
        """
        source = self._source(node)
        source.is_joined = True
        for pattern in tuple(self._topics.audience.patterns):
            source.adjust(pattern)

    def leave(self, node: str) -> None:
        """Hand what is published on the node at ``host:port`` to nobody but those who subscribe to it by address."""
        source = self._sources.get(node)
        if source is not None and source.is_joined:
            source.is_joined = False
            for pattern in tuple(self._topics.audience.patterns):
                source.adjust(pattern)
            self.forget(source)

    def changed(self, pattern: str) -> None:
        """Hear that somebody, or nobody any more, subscribes to a pattern of this node's topics."""
        for source in tuple(self._sources.values()):
            if source.is_joined:
                source.adjust(pattern)

    # ------------------------------------------------------------------ what goes there

    def published(self, topic: str, message: object, sender: ActorRef[Any] | None) -> None:
        """Send a message to the nodes that are interested in its topic, never waiting."""
        interested: tuple[Interests, ...] = self.interests.matching(topic)
        if interested:
            record = self._record(topic, message, sender)
            for each in interested:
                each.take(topic, record)

    def _record(self, topic: str, message: object, sender: ActorRef[Any] | None) -> Published | None:
        """Return the record of a message; one that cannot travel is missed, and the first of its class is told of."""
        try:
            body = self._house.encode(message)
        except CodecError as error:
            if type(message) not in self._warned:
                self._warned.add(type(message))
                _log.warning("what is published to %r does not get to other nodes: %s", topic, error)
            return None
        return Published(topic, "" if sender is None else self._house.names.write_ref(sender), body)

    # -------------------------------------------------------------- what comes from there

    def arrived(self, node: str, published: Published) -> None:
        """Hand on what was published on the node at ``host:port``; what cannot be read is missed."""
        source = self._sources.get(node)
        topic = published.topic
        hearers = None if source is None else source.hearers(topic)
        if source is None or not hearers:
            return
        try:
            value = self._house.decode(published.body)
            sender = self._house.names.read_ref(published.sender) if published.sender else None
            if topic.startswith(EVENT):
                value = read_event(find_event(topic.removeprefix(EVENT)), value)
        except (CodecError, ValueError):
            value, sender = Missed(1), None
        source.audience.hand(hearers, value, sender)

    def skipped(self, node: str, topic: str, count: int) -> None:
        """Tell those who would have heard what was published on the node at ``host:port`` that they have missed it.

        Raises:
            ProtocolError: That is no number of messages.
        """
        if count < 1:
            raise ProtocolError(f"{count} messages skipped")
        source = self._sources.get(node)
        if source is not None:
            source.audience.hand(source.hearers(topic), Missed(count), None)

    def opened(self, node: str) -> None:
        """Hear that a session with the node at ``host:port`` has begun."""
        source = self._sources.get(node)
        if source is not None and source.is_joined:
            for pattern in tuple(self._topics.audience.patterns):
                source.adjust(pattern)

    def lost(self, node: str, error: ConnectionLostError) -> None:
        """Hear that the session with the node at ``host:port`` is over, or did not come about."""
        source = self._sources.get(node)
        if source is not None:
            source.lost(error)

    def _source(self, node: str) -> Source:
        source = self._sources.get(node)
        if source is None:
            source = self._sources[node] = Source(self, self._house, self._peer_at(node))
        return source

    def forget(self, source: Source) -> None:
        """Forget a node that nobody hears of any more."""
        node = source.peer.address
        if source.is_idle and self._sources.get(node) is source:
            del self._sources[node]


class Source:
    """Another node, as far as what is published there is heard here.

    Attributes:
        peer: That node.
        audience: Those who have subscribed to its topics by its address.
        stated: What it was told, in this session or for the one that is to begin.
        is_joined: Whether all subscribers of this node hear of it.
    """

    def __init__(self, topics: RemoteTopics, house: House, peer: Peer) -> None:
        self.peer = peer
        self.audience = Audience(house.system, self.adjust)
        self.stated: dict[str, Statement] = {}
        self.is_joined = False
        self._topics = topics
        self._address = str(Address(house.system.name, peer.address))
        self._ours = house.system.service(Topics).audience
        self._streams: dict[TopicStream, tuple[type[Any], ...]] = {}
        self._kinds: Counter[str] = Counter()

    @property
    def is_idle(self) -> bool:
        """Whether nobody hears of it."""
        return not (self.is_joined or self.audience.patterns or self._streams)

    def adjust(self, name: str) -> None:
        """State an interest, or withdraw it, as those who subscribe here make it necessary."""
        by_address = name in self.audience.patterns or name in self._kinds
        wanted = by_address or (self.is_joined and name in self._ours.patterns)
        statement = self.stated.get(name)
        if not wanted and statement is not None:
            del self.stated[name]
            if self.peer.session is not None:
                self.peer.put(Unsubscribe(name))
            else:
                self.peer.cancel(statement.number)
        elif wanted and statement is None and (by_address or self.peer.session is not None):
            statement = self.stated[name] = Statement(self, name)
            statement.number = self.peer.subscribe(name, statement)
        self._topics.forget(self)

    def add(self, stream: TopicStream, kinds: tuple[type[Any], ...]) -> list[str]:
        """Subscribe a stream to events, and return the names of the interests that this takes."""
        names = [EVENT + event_name(kind) for kind in kinds]
        self._streams[stream] = kinds
        self._kinds.update(names)
        for name in names:
            self.adjust(name)
        return names

    def remove(self, stream: TopicStream) -> None:
        """Unsubscribe a stream from events."""
        names = [EVENT + event_name(kind) for kind in self._streams.pop(stream, ())]
        self._kinds -= Counter(names)
        for name in names:
            self.adjust(name)

    def hearers(self, topic: str) -> dict[Subscriber, None]:
        """Return who hears what is published there to a topic, each once; an empty topic stands for any."""
        heard = [*self._matching(self.audience, topic), *self._listening(topic)]
        if self.is_joined:
            heard += self._matching(self._ours, topic)
        return dict.fromkeys(heard)

    def _matching(self, audience: Audience, topic: str) -> tuple[Subscriber, ...]:
        return audience.matching(topic) if topic else tuple(audience.subscribed)

    def _listening(self, topic: str) -> list[TopicStream]:
        if not topic:
            return list(self._streams)
        if not topic.startswith(EVENT) or not self._streams:
            return []
        try:
            kind = find_event(topic.removeprefix(EVENT))
        except CodecError:
            return []
        return [stream for stream, kinds in self._streams.items() if issubclass(kind, kinds)]

    def begun(self, name: str) -> None:
        """Hear that an interest is known there: what has come before is left of an earlier one, and may have gaps."""
        for stream in self._streams_of(name):
            stream.clear()

    def _streams_of(self, name: str) -> list[TopicStream]:
        of_topics = [
            each
            for each, patterns in self.audience.subscribed.items()
            if name in patterns and isinstance(each, TopicStream)
        ]
        of_events = [
            stream for stream, kinds in self._streams.items() if any(EVENT + event_name(kind) == name for kind in kinds)
        ]
        return of_topics + of_events

    def refused(self, name: str, error: TrioaktError) -> None:
        """Hear that the node does not take an interest."""
        self.stated.pop(name, None)
        if self.is_joined and name in self._ours.patterns:
            _log.warning("%s does not tell what is published to %r: %s", self._address, name, error)
        self.audience.end(self._address, error, name)
        for stream in self._streams_of(name):
            self.remove(stream)
            stream.fail(error)

    def lost(self, error: ConnectionLostError) -> None:
        """Hear that nothing more comes in this session."""
        self.stated.clear()
        self.audience.end(self._address, error)
        for stream in tuple(self._streams):
            self.remove(stream)
            stream.fail(error)


class Statement:
    """An interest on its way to another node; ``settled`` is set when that has taken it, or never will."""

    def __init__(self, source: Source, name: str) -> None:
        self.number = 0
        self.settled = trio.Event()
        self._source = source
        self._name = name

    def answered(self, value: Any) -> None:
        """Hear that it is known there."""
        if self._source.stated.get(self._name) is self:
            self._source.begun(self._name)
        self.settled.set()

    def failed(self, error: TrioaktError) -> None:
        """Hear that it was refused."""
        if self._source.stated.get(self._name) is self:
            self._source.refused(self._name, error)
        self.settled.set()

    def lost(self, error: ConnectionLostError) -> None:
        """Hear that the link was lost; the source hears of it too."""
        self.settled.set()
