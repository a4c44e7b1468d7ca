"""Interests: what another node wants to hear of what is published here, for as long as a session with it lasts."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import trio

from trioakt.errors import CodecError, MailboxFullError, ProtocolError
from trioakt.lowlevel import Event
from trioakt.patterns.topics import is_pattern
from trioakt.remote.events import event_name, find_event, write_event
from trioakt.remote.records import EVENT, Published, Skipped

if TYPE_CHECKING:
    from trioakt.remote.house import House
    from trioakt.remote.peer import Peer

_ROOM = 2**18
"""Characters, at most, of all that one node is interested in."""
_LONGEST = 1000
"""Characters of a topic that is named to another node."""
_MOST = 1000
"""Topics whose missed messages are counted one by one."""
_OFTEN = 0.1
"""Seconds after which it is looked whether there is room to tell what was missed."""


class Interests:
    """One session's.

    Args:
        peer: The other node.
        house: This node's.
        nursery: Where it is waited for room.
    """

    def __init__(self, peer: Peer, house: House, nursery: trio.Nursery) -> None:
        self._peer = peer
        self._house = house
        self._nursery = nursery
        self._names: set[str] = set()
        self._length = 0
        self._kinds: dict[str, type[Event]] = {}
        self._listening = ExitStack()
        self._missed: dict[str, int] = {}
        self._waiting = False
        self._closed = trio.Event()

    def add(self, name: str) -> CodecError | MailboxFullError | None:
        """Take an interest in, or return why not: a class of events is not known here, or it is one too many.

        Raises:
            ProtocolError: It is no pattern.
        """
        if name in self._names:
            return None
        if self._length + len(name) > _ROOM:
            return MailboxFullError("that is more than one node may be interested in", "")
        if name.startswith(EVENT):
            try:
                self._kinds[name] = find_event(name.removeprefix(EVENT))
            except CodecError as error:
                return error
            self._listen()
        elif is_pattern(name):
            self._house.topics.interests.add(name, self)
        else:
            raise ProtocolError(f"{name[:200]!r} is no topic")
        self._names.add(name)
        self._length += len(name)
        return None

    def discard(self, name: str) -> None:
        """Forget an interest; one that is not there is no matter."""
        if name not in self._names:
            return
        self._names.remove(name)
        self._length -= len(name)
        if self._kinds.pop(name, None) is not None:
            self._listen()
        else:
            self._house.topics.interests.discard(name, self)

    def take(self, topic: str, record: Published | None) -> None:
        """Send a message that was published, or count it as missed when there is no room, or no record."""
        if len(topic) > _LONGEST:
            topic, record = "", None
        if record is not None and self._tell_missed() and self._peer.takes_more:
            self._peer.put(record)
            return
        counted = topic if topic in self._missed or len(self._missed) < _MOST else ""
        self._missed[counted] = self._missed.get(counted, 0) + 1
        if not self._tell_missed() and not self._waiting:
            self._waiting = True
            self._nursery.start_soon(self._wait_for_room)

    def close(self) -> None:
        """Forget everything: the session is over."""
        for name in tuple(self._names):
            self.discard(name)
        self._missed.clear()
        self._closed.set()

    def _tell_missed(self) -> bool:
        """Tell what was missed, as long as there is room; return whether all is told."""
        for topic, count in tuple(self._missed.items()):
            if not self._peer.takes_more:
                return False
            self._peer.put(Skipped(topic, count))
            del self._missed[topic]
        return True

    async def _wait_for_room(self) -> None:
        while not self._tell_missed():
            with trio.move_on_after(_OFTEN):
                await self._closed.wait()
        self._waiting = False

    def _listen(self) -> None:
        self._listening.close()
        if self._kinds:
            listening = self._house.system.events.listen(self._happened, *self._kinds.values())
            self._listening.enter_context(listening)

    def _happened(self, event: Event) -> None:
        name = EVENT + event_name(type(event))
        try:
            record = Published(name, "", self._house.encode(write_event(event)))
        except CodecError:
            record = None
        self.take(name, record)
