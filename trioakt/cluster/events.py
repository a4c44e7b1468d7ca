"""What the event stream tells about the cluster."""

from __future__ import annotations

import attrs

from trioakt.cluster.member import Member
from trioakt.lowlevel import Event, Failure


@attrs.frozen
class NodeJoined(Event):
    """A node has become a member."""

    member: Member


@attrs.frozen
class NodeLeft(Event):
    """A node is no member any more: it has left, or its lease has lapsed."""

    member: Member


@attrs.frozen
class LeaderChanged(Event):
    """Another member is the oldest one; none when there is no member."""

    leader: Member | None


@attrs.frozen
class MembershipLost(Event):
    """This node has lost its lease, for a ``reason`` in words: it has stopped what it owned, and joins anew."""

    reason: str


@attrs.frozen
class RelocationStarted(Event):
    """This node takes over an actor whose node has left or was lost."""

    name: str


@attrs.frozen
class RelocationCompleted(Event):
    """An actor that this node has taken over has started; ``ref`` is its own."""

    name: str


@attrs.frozen
class RelocationFailed(Event):
    """An actor that this node was to take over has not started; it is tried again."""

    name: str
    failure: Failure
