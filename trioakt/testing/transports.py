"""Checks that a transport of your own keeps the promises of its protocols; it knows no particular transport."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from itertools import count
from typing import Any, cast

import trio
import trio.testing

from trioakt.remote.transport import Frame, Link, Listener, Pipe, PipeClosed, Transport

_MAX_FRAME = 2**20
_LARGE = bytes(2**16)
_STEPS = 12
"""Steps of the scheduler after which things are cancelled, at most."""
_STALL = 0.3
"""Seconds after which a frame that is not taken is held to wait for room."""
_MANY = 8192
"""Large frames that no transport holds for one that does not receive."""
_PATIENCE = 60.0
"""Seconds that a check may take."""


async def check_transport(make: Callable[[int], Transport], address: str) -> None:
    """Listen, dial, send and receive, cancel and close, and check what every transport owes to those above it.

    Per link, frames arrive in order and at most once, and all of them while the connection lasts. A frame whose
    ``send`` was cancelled does not arrive. Who does not receive makes the others wait. The end of a pipe comes after
    its frames, and the end of a connection at rest is seen at both ends. Closing wakes whoever waits. No task is left
    behind; for threads and descriptors, use the fixture ``no_leaks`` too.

    Args:
        make: Makes a transport that takes frames of so many bytes. All it makes can reach each other.
        address: Where to listen, such as ``tcp://127.0.0.1:0``, again and again.

    Raises:
        AssertionError: The transport breaks a promise; the text says which.
    """
    for check in _CHECKS:
        name = check.__name__.strip("_")
        tasks = trio.lowlevel.current_statistics().tasks_living
        try:
            with trio.fail_after(_PATIENCE):
                await check(_Bench(make, address))
        except trio.TooSlowError as error:
            raise AssertionError(f"{name}: what must happen does not") from error
        except ExceptionGroup as group:
            raise _first(group) from group
        left = trio.lowlevel.current_statistics().tasks_living - tasks
        assert left == 0, f"{name}: {left} tasks are left behind"


class _Bench:
    """Makes what a check needs."""

    def __init__(self, make: Callable[[int], Transport], address: str) -> None:
        self.make = make
        self.address = address

    @asynccontextmanager
    async def open(
        self, links: int = 1, *, max_frame: int = _MAX_FRAME, taken: int = _MAX_FRAME
    ) -> AsyncGenerator[tuple[Listener, list[Link]]]:
        """Connect links that send up to ``max_frame`` to a listener that takes frames up to another size."""
        async with self.make(taken).listen(self.address) as listener, AsyncExitStack() as stack:
            made = [await stack.enter_async_context(self._dial(listener, max_frame)) for _ in range(links)]
            yield listener, made

    @asynccontextmanager
    async def _dial(self, listener: Listener, max_frame: int) -> AsyncGenerator[Link]:
        link = await self.make(max_frame).dial(listener.address)
        try:
            yield link
        finally:
            await link.aclose()


# ------------------------------------------------------------------------- the checks


async def _delivery(bench: _Bench) -> None:
    frames = [b"%d" % number + bytes(number * 37 % 5000) for number in range(500)]
    frames[7:7] = [b"", bytes(_MAX_FRAME)]
    async with bench.open() as (listener, [link]), trio.open_nursery() as nursery:
        nursery.start_soon(_send_all, link, frames)
        pipe = None
        for number, data in enumerate(frames):
            got = await _frame(listener)
            assert got.data == data, f"frame {number} arrives as it was sent, once and in order"
            assert pipe in (None, got.pipe), "all frames of a link come through one pipe"
            pipe = got.pipe


async def _many_links(bench: _Bench) -> None:
    async with bench.open(links=8) as (listener, links), trio.open_nursery() as nursery:
        for name, link in enumerate(links):
            nursery.start_soon(_send_all, link, [b"%d:%d" % (name, number) for number in range(100)])
        through: dict[Pipe, list[bytes]] = {}
        for _ in range(800):
            got = await _frame(listener)
            through.setdefault(got.pipe, []).append(got.data)
        arrived = {frames[0].partition(b":")[0]: frames for frames in through.values()}
        assert len(through) == len(arrived) == 8, "each link has a pipe of its own"
        for key, frames in arrived.items():
            assert frames == [b"%s:%d" % (key, number) for number in range(100)], "each link keeps its order"


async def _backpressure(bench: _Bench) -> None:
    async with bench.open() as (listener, [link]):
        sent = await _fill(link)
        for number in range(sent):
            got = (await _frame(listener)).data
            assert got[:8] == b"%08d" % number, "what waited arrives in order, without the frame that was cancelled"
        await link.send(b"after")
        assert (await _frame(listener)).data == b"after", "there is room again when the other end has received"


async def _cancelled_send(bench: _Bench) -> None:
    async with bench.open() as (listener, [link]):
        taken: list[bytes] = []

        async def send(data: bytes) -> None:
            await link.send(data)
            taken.append(data)

        async def try_sends() -> None:
            for steps in range(_STEPS):
                await _cancel_after(steps, partial(send, b"%d" % steps))

        sent = await _fill(link)
        await try_sends()
        for _ in range(sent):  # now there is room
            await _frame(listener)
        await try_sends()
        await send(b"end")
        arrived = await _receive_until(listener, b"end")
        assert arrived == taken, "a send that was cancelled has not sent, and one that returned has"


async def _cancelled_receive(bench: _Bench) -> None:
    async with bench.open() as (listener, [link]):
        received: list[bytes] = []

        async def receive() -> None:
            received.append((await _frame(listener)).data)

        for steps in range(_STEPS):
            await link.send(b"%d" % steps)
            await _cancel_after(steps, receive)
        await link.send(b"end")
        received += await _receive_until(listener, b"end") if b"end" not in received else []
        wanted = [*(b"%d" % steps for steps in range(_STEPS)), b"end"]
        assert received == wanted, "a receive that is cancelled loses nothing"


async def _cancelled_dial(bench: _Bench) -> None:
    transport = bench.make(_MAX_FRAME)
    async with transport.listen(bench.address) as listener:

        async def dial() -> None:
            await (await transport.dial(listener.address)).aclose()

        for steps in range(_STEPS):
            await _cancel_after(steps, dial)
        link = await transport.dial(listener.address)
        await link.send(b"still there")
        assert await _receive_until(listener, b"still there") == [b"still there"], "a cancelled dial sends nothing"
        await link.aclose()


async def _refused_dial(bench: _Bench) -> None:
    transport = bench.make(_MAX_FRAME)
    async with transport.listen(bench.address) as listener:
        address = listener.address
        try:
            async with transport.listen(address):
                raise AssertionError("an address where somebody listens is refused with an OSError")
        except OSError:
            pass
    try:
        link = await transport.dial(address)
    except OSError:
        return
    await link.aclose()
    raise AssertionError("a dial where nobody listens is refused with an OSError")


async def _nonsense(bench: _Bench) -> None:
    transport = bench.make(_MAX_FRAME)
    for address in ("", "nonsense", "nonsense://127.0.0.1:0"):
        try:
            async with transport.listen(address):
                raise AssertionError(f"listen({address!r}) raises a ValueError")
        except ValueError:
            pass
        try:
            await (await transport.dial(address)).aclose()
        except ValueError:
            continue
        raise AssertionError(f"dial({address!r}) raises a ValueError")


async def _end_of_a_link(bench: _Bench) -> None:
    async with bench.open(links=2) as (listener, [link, other]):
        await _send_all(link, [b"%d" % number for number in range(20)])
        got = [await _frame(listener) for _ in range(20)]
        await link.aclose()
        end = await listener.receive()
        assert end == PipeClosed(got[0].pipe), "when all frames have been received, the end of the pipe comes"
        await other.send(b"another")
        assert (await _frame(listener)).pipe is not got[0].pipe, "the other links go on"


async def _hasty_end(bench: _Bench) -> None:
    frames = [b"%d" % number for number in range(20)]
    async with bench.open() as (listener, [link]):
        await link.send(b"hello")  # else the listener need not even have heard of it
        pipe = (await _frame(listener)).pipe
        await _send_all(link, frames)
        await link.aclose()
        arrived: list[bytes] = []
        got: Frame | PipeClosed | None = None
        with trio.move_on_after(_STALL):
            while isinstance(got := await listener.receive(), Frame):
                arrived.append(got.data)
        assert arrived == frames[: len(arrived)], "of a link closed in haste the first frames arrive, or none"
        listener.close_pipe(pipe)
        if not isinstance(got, PipeClosed):
            got = await listener.receive()
        assert got == PipeClosed(pipe), "a pipe whose end is not seen ends when it is closed"


async def _end_of_a_listener(bench: _Bench) -> None:
    async with bench.open(links=2) as (listener, links):
        for link in links:
            await link.send(b"hello")
            await _frame(listener)
        await listener.aclose()
        for link in links:
            await link.wait_lost()
            await _raises(trio.BrokenResourceError, link.send, b"x", what="a send through a lost connection")


async def _turned_out(bench: _Bench) -> None:
    async with bench.open(links=2) as (listener, [stranger, friend]):
        await stranger.send(b"one")
        pipe = (await _frame(listener)).pipe
        await stranger.send(b"two")
        listener.close_pipe(pipe)
        listener.close_pipe(pipe)
        got = await listener.receive()
        assert got == PipeClosed(pipe), "nothing comes through a pipe that was closed, but for its end"
        listener.close_pipe(pipe)
        await stranger.wait_lost()
        await friend.send(b"hello")
        assert (await _frame(listener)).data == b"hello", "the other pipes stay"


async def _closing_wakes(bench: _Bench) -> None:
    async with bench.open() as (listener, [link]):
        await _fill(link)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(link.wait_lost)
            nursery.start_soon(_closed, link.send, _LARGE)
            await trio.testing.wait_all_tasks_blocked(0.01)
            await link.aclose()
        await _closed(link.send, b"x")
        await link.aclose()
    async with bench.open() as (listener, [link]):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_closed, listener.receive)
            await trio.testing.wait_all_tasks_blocked(0.01)
            await listener.aclose()
        await _closed(listener.receive)
        await listener.aclose()


async def _too_large(bench: _Bench) -> None:
    async with bench.open(max_frame=1000, taken=1000) as (listener, [link]):
        await _raises(ValueError, link.send, bytes(1001), what="a send of more than max_frame")
        await link.send(bytes(1000))
        assert len((await _frame(listener)).data) == 1000, "a frame of max_frame bytes is taken"
    async with bench.open(links=2, taken=1000) as (listener, [stranger, friend]):
        await stranger.send(b"hello")
        pipe = (await _frame(listener)).pipe
        await stranger.send(bytes(1001))
        got = await listener.receive()
        assert got == PipeClosed(pipe), "a frame larger than the receiver's max_frame ends the pipe"
        await stranger.wait_lost()
        await friend.send(b"hello")
        assert (await _frame(listener)).data == b"hello", "the other pipes stay"


_CHECKS: list[Callable[[_Bench], Awaitable[None]]] = [
    _delivery,
    _many_links,
    _backpressure,
    _cancelled_send,
    _cancelled_receive,
    _cancelled_dial,
    _refused_dial,
    _nonsense,
    _end_of_a_link,
    _hasty_end,
    _end_of_a_listener,
    _turned_out,
    _closing_wakes,
    _too_large,
]

# ----------------------------------------------------------------------------- inside


def _first(group: ExceptionGroup[Any]) -> Exception:
    error: Any = group
    while inner := getattr(error, "exceptions", ()):
        error = inner[0]
    return cast("Exception", error)


async def _send_all(link: Link, frames: list[bytes]) -> None:
    for data in frames:
        await link.send(data)


async def _frame(listener: Listener) -> Frame:
    got = await listener.receive()
    assert isinstance(got, Frame), "a pipe does not end while its link is open"
    return got


async def _receive_until(listener: Listener, last: bytes) -> list[bytes]:
    """Receive frames up to one, whatever pipes end meanwhile."""
    received: list[bytes] = []
    while not received or received[-1] != last:
        got = await listener.receive()
        if isinstance(got, Frame):
            received.append(got.data)
    return received


async def _fill(link: Link) -> int:
    """Send large numbered frames until one has to wait; cancel that one, and return how many were sent."""
    for number in count():
        assert number < _MANY, "a link whose other end does not receive makes send() wait"
        with trio.move_on_after(_STALL) as stall:
            await link.send(b"%08d" % number + _LARGE)
        if stall.cancelled_caught:
            return number
    raise AssertionError("unreachable")


async def _cancel_after(steps: int, fn: Callable[[], Awaitable[None]]) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(fn)
        for _ in range(steps):
            await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()


async def _closed(fn: Callable[..., Awaitable[object]], *args: bytes) -> None:
    await _raises(trio.ClosedResourceError, fn, *args, what=f"{getattr(fn, '__name__', fn)}() at a closed end")


async def _raises(error: type[Exception], fn: Callable[..., Awaitable[object]], *args: bytes, what: str) -> None:
    try:
        await fn(*args)
    except error:
        return
    raise AssertionError(f"{what} raises {error.__name__}")
