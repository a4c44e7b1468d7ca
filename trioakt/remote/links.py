"""What the event stream tells about links to other nodes."""

from __future__ import annotations

import attrs

from trioakt.lowlevel import Event


@attrs.frozen
class LinkUp(Event):
    """A session with another node has begun; ``address`` is that node's, ``node`` its name."""

    address: str
    node: str


@attrs.frozen
class LinkSuspected(Event):
    """Another node has been silent for ``silence`` seconds, half of what it takes to give it up."""

    address: str
    silence: float


@attrs.frozen
class LinkLost(Event):
    """The session with another node is over: who waits for it has been told."""

    address: str
    reason: str


@attrs.frozen
class LinkRefused(Event):
    """A node, or somebody who says so, was not let in, or did not let this node in."""

    address: str
    reason: str
