"""What a transport owes to the sessions above it. To it, frames are bytes, and nodes are addresses.

A transport is one-way and reports what it sees; heartbeats, acknowledgements and reconnecting are for those above it.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Protocol, runtime_checkable

import attrs


@attrs.frozen(eq=False)
class Pipe:
    """One connection that somebody has made to a listener; equal only to itself, and never used again.

    Attributes:
        peer: The name that the connection has proved, the common name of its certificate; None where none is proved.
    """

    peer: str | None = None


@attrs.frozen
class Frame:
    """What has come through a pipe, whole."""

    pipe: Pipe
    data: bytes


@attrs.frozen
class PipeClosed:
    """The connection is gone: nothing comes through this pipe any more."""

    pipe: Pipe


@runtime_checkable
class Listener(Protocol):
    """The end at which frames arrive, through any number of pipes. One task receives."""

    @property
    def address(self) -> str:
        """Where it listens, with the real port."""
        ...

    async def receive(self) -> Frame | PipeClosed:
        """Wait for the next frame, or the end of a pipe, which comes after all frames of the pipe.

        When cancelled, nothing is lost. The end of a connection that is lost while frames of it are on the way may go
        unseen, as that of one to a host that has vanished: it takes heartbeats, and ``close_pipe``, to end it.

        Raises:
            trio.ClosedResourceError: The listener is closed.
        """
        ...

    def close_pipe(self, pipe: Pipe) -> None:
        """Turn a peer out: no frame of it is received any more, only the end of the pipe. Once more changes nothing."""
        ...

    async def aclose(self) -> None:
        """Close it with all pipes; frames not received yet are lost. Once more changes nothing."""
        ...


@runtime_checkable
class Link(Protocol):
    """One connection to one listener; it never reconnects. One task sends.

    Frames arrive in order, each at most once. When the connection is lost, so is what was on the way.
    """

    @property
    def peer(self) -> str | None:
        """The name that the listener has proved, the common name of its certificate; None where none is proved."""
        ...

    async def send(self, data: bytes) -> None:
        """Give a frame to the transport, waiting while that is full; arrived it has not yet.

        When cancelled, the frame is not sent.

        Raises:
            ValueError: The frame is larger than the transport's ``max_frame``.
            trio.BrokenResourceError: The connection is lost.
            trio.ClosedResourceError: The link is closed.
        """
        ...

    async def wait_lost(self) -> None:
        """Return when the connection is lost, or the link closed."""
        ...

    async def aclose(self) -> None:
        """Close it at once; what is still on the way may be lost. Once more changes nothing."""
        ...


@runtime_checkable
class Transport(Protocol):
    """Makes listeners and links. Test one of your own with ``trioakt.testing.check_transport``."""

    def listen(self, address: str) -> AbstractAsyncContextManager[Listener]:
        """Listen at an address, port 0 being any that is free, until the block ends.

        Raises:
            OSError: The address cannot be had.
            ValueError: It is no address of this transport.
        """
        ...

    async def dial(self, address: str) -> Link:
        """Connect to a listener, however long that takes; whoever calls this must close the link.

        When cancelled, nothing is left behind.

        Raises:
            OSError: There is no listener, or one of the two ends does not trust the other.
            ValueError: It is no address of this transport.
        """
        ...
