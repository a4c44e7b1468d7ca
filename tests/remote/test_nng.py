"""nng: other processes that die, stall and come back; certificates; and strangers at the socket."""

from __future__ import annotations

import os
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path

import pytest
import trio

import trioakt
from tests.remote.authority import Authority
from tests.remote.nng_peer import memory
from trioakt.remote.nng import NngTransport
from trioakt.remote.settings import Tls
from trioakt.remote.transport import Frame, Link, Listener, PipeClosed, Transport

ANYWHERE = "tcp://127.0.0.1:0"
PEER = str(Path(__file__).with_name("nng_peer.py"))


class Peer:
    """Another process, and what it says."""

    def __init__(self, process: trio.Process) -> None:
        assert process.stdout is not None
        self.process = process
        self._said = process.stdout
        self._rest = b""

    async def line(self) -> str:
        while b"\n" not in self._rest:
            said = await self._said.receive_some()
            assert said, "the peer has ended"
            self._rest += said
        line, _, self._rest = self._rest.partition(b"\n")
        return line.decode()


@asynccontextmanager
async def peer(*arguments: object) -> AsyncGenerator[Peer]:
    """Run nng_peer.py; it is killed at the end."""
    process = await trio.lowlevel.open_process(
        [sys.executable, PEER, *map(str, arguments)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(trioakt.__file__).parent.parent)},
    )
    try:
        with trio.fail_after(60):
            yield Peer(process)
    finally:
        process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()
        assert process.stdout is not None
        await process.stdout.aclose()


async def frame(listener: Listener) -> Frame:
    got = await listener.receive()
    assert isinstance(got, Frame)
    return got


async def fill(link: Link, size: int = 2**16) -> int:
    """Send frames until one has to wait."""
    for number in count():
        with trio.move_on_after(0.3) as stall:
            await link.send(bytes(size))
        if stall.cancelled_caught:
            return number
    raise AssertionError("unreachable")


# --------------------------------------------------------------------- other processes


async def test_a_killed_listener_is_seen_by_those_who_send_to_it() -> None:
    async with peer("receive", ANYWHERE) as other:
        link = await NngTransport().dial(await other.line())
        await link.send(b"x")
        other.process.send_signal(signal.SIGKILL)
        await link.wait_lost()
        with pytest.raises(trio.BrokenResourceError):
            await link.send(b"x")
        await link.aclose()


async def test_a_killed_sender_is_seen_after_all_that_has_come_from_it() -> None:
    async with NngTransport().listen(ANYWHERE) as listener, peer("send", listener.address, 100, 10) as other:
        assert await other.line() == "sent"
        got = [await frame(listener) for _ in range(100)]
        other.process.send_signal(signal.SIGKILL)
        assert await listener.receive() == PipeClosed(got[0].pipe)


async def test_a_stopped_listener_makes_its_senders_wait_and_nothing_is_lost() -> None:
    async with peer("receive", ANYWHERE) as other:
        link = await NngTransport().dial(await other.line())
        other.process.send_signal(signal.SIGSTOP)
        sent = await fill(link)
        other.process.send_signal(signal.SIGCONT)
        await link.send(b"report")
        assert int((await other.line()).split()[0]) == sent
        await link.aclose()


async def test_a_link_to_a_stopped_listener_closes_at_once() -> None:
    async with peer("receive", ANYWHERE) as other:
        link = await NngTransport().dial(await other.line())
        other.process.send_signal(signal.SIGSTOP)
        await fill(link)
        with trio.fail_after(5):
            await link.aclose()


async def test_what_was_meant_for_one_listener_never_reaches_the_next_at_its_address() -> None:
    transport = NngTransport()
    async with peer("receive", ANYWHERE) as other:
        address = await other.line()
        link = await transport.dial(address)
        other.process.send_signal(signal.SIGSTOP)
        await fill(link)
        other.process.send_signal(signal.SIGKILL)
        await other.process.wait()
    async with transport.listen(address) as listener:
        await link.wait_lost()
        another = await transport.dial(address)
        await another.send(b"another")
        assert (await frame(listener)).data == b"another"
        await another.aclose()
    await link.aclose()


async def test_many_small_frames_leave_no_memory_behind() -> None:
    async with peer("receive", ANYWHERE) as other:
        link = await NngTransport().dial(await other.line())
        before = memory()
        for _ in range(50_000):
            await link.send(bytes(500))
        await link.send(b"report")
        frames, grown, _ = (await other.line()).split()
        assert int(frames) == 50_000
        assert int(grown) < 8 * 2**20
        assert memory() - before < 8 * 2**20
        await link.aclose()


# ------------------------------------------------------------------------ certificates


SECURE = "tls+tcp://127.0.0.1:0"


@pytest.mark.parametrize("hosts", [["localhost"], ["127.0.0.1"], ["elsewhere.example", "*.example"]])
async def test_each_end_learns_the_common_name_of_the_other(authority: Authority, hosts: list[str]) -> None:
    async with NngTransport(tls=authority.tls("alpha", *hosts)).listen(SECURE) as listener:
        link = await NngTransport(tls=authority.tls("beta", *hosts, unit="CN=alpha")).dial(listener.address)
        await link.send(b"hello")
        assert (await frame(listener)).pipe.peer == "beta"
        assert link.peer == "alpha"
        await link.aclose()


async def test_without_tls_no_name_is_proved() -> None:
    async with NngTransport().listen(ANYWHERE) as listener:
        link = await NngTransport().dial(listener.address)
        await link.send(b"hello")
        assert (await frame(listener)).pipe.peer is None
        assert link.peer is None
        await link.aclose()


Case = Callable[[Authority, Authority], Tls]


def of_a_rogue(ours: Authority, rogue: Authority) -> Tls:
    return rogue.tls("beta", "127.0.0.1", trusts=ours.ca)


def expired(ours: Authority, rogue: Authority) -> Tls:
    return ours.tls("beta", "127.0.0.1", valid=False)


@pytest.mark.parametrize("bad", [of_a_rogue, expired])
async def test_a_dial_with_a_certificate_that_is_no_good_is_refused(
    authority: Authority, rogue: Authority, bad: Case
) -> None:
    good = NngTransport(tls=authority.tls("alpha", "127.0.0.1"))
    async with good.listen(SECURE) as listener:
        with pytest.raises(PermissionError):
            await NngTransport(tls=bad(authority, rogue)).dial(listener.address)
        await _only_hears(listener, good)


@pytest.mark.parametrize("bad", [of_a_rogue, expired])
async def test_a_listener_with_a_certificate_that_is_no_good_is_not_spoken_to(
    authority: Authority, rogue: Authority, bad: Case
) -> None:
    async with NngTransport(tls=bad(authority, rogue)).listen(SECURE) as listener:
        with pytest.raises(PermissionError):
            await NngTransport(tls=authority.tls("alpha", "127.0.0.1")).dial(listener.address)


async def test_who_shows_no_certificate_is_not_heard(authority: Authority) -> None:
    transport = NngTransport(tls=authority.tls("alpha", "127.0.0.1"))
    async with transport.listen(SECURE) as listener:
        plain = "tcp://" + listener.address.partition("://")[2]
        with pytest.raises(OSError, match="tcp://"):
            await NngTransport().dial(plain)
        await _only_hears(listener, transport)


async def _only_hears(listener: Listener, transport: Transport) -> None:
    """The first thing that a listener hears of is a link that is made now."""
    link = await transport.dial(listener.address)
    await link.send(b"friend")
    assert (await frame(listener)).data == b"friend"
    await link.aclose()


@pytest.mark.parametrize("listen", [True, False])
async def test_tls_and_certificates_need_each_other(authority: Authority, listen: bool) -> None:
    with_tls = NngTransport(tls=authority.tls("alpha"))
    for transport, address in ((with_tls, ANYWHERE), (with_tls, "ipc:///x"), (NngTransport(), SECURE)):
        with pytest.raises(ValueError, match="needs certificates"):
            async with transport.listen(address):
                pass
        with pytest.raises(ValueError, match="needs certificates"):
            await transport.dial(address)


async def test_missing_files_are_an_os_error(tmp_path: Path) -> None:
    transport = NngTransport(tls=Tls(tmp_path / "certificate", tmp_path / "key", tmp_path / "ca"))
    with pytest.raises(FileNotFoundError):
        await transport.dial(SECURE)


# --------------------------------------------------------------------------- strangers

GREETING = b"\x00SP\x00\x00\x50\x00\x00"
"""How a Push0 socket introduces itself."""

STRANGERS = {
    "noise": os.urandom(4096),
    "http": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "silence": b"",
    "half a greeting": GREETING[:5],
    "another protocol": b"\x00SP\x00\x00\x10\x00\x00",
    "a huge frame": GREETING + struct.pack(">Q", 2**62) + b"x" * 100,
    "a frame too large": GREETING + struct.pack(">Q", 16 * 2**20 + 1) + b"x" * 100,
    "half a frame": GREETING + struct.pack(">Q", 1000) + b"x" * 10,
}


@pytest.mark.parametrize("what", STRANGERS)
async def test_a_stranger_at_the_socket_harms_nobody(what: str) -> None:
    transport = NngTransport()
    async with transport.listen(ANYWHERE) as listener:
        before = memory()
        for _ in range(20):
            with socket.create_connection(("127.0.0.1", int(listener.address.rpartition(":")[2]))) as stranger:
                stranger.sendall(STRANGERS[what])
        link = await transport.dial(listener.address)
        await link.send(b"friend")
        while not isinstance(got := await listener.receive(), Frame):
            pass
        assert got.data == b"friend"
        assert memory() - before < 8 * 2**20
        await link.aclose()


# --------------------------------------------------------------------------- addresses


async def test_a_dial_that_nobody_answers_takes_until_it_is_cancelled() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        with trio.move_on_after(0.1) as scope:
            await NngTransport().dial(f"tcp://127.0.0.1:{silent.getsockname()[1]}")
        assert scope.cancelled_caught


@pytest.mark.parametrize(
    "address", ["tcp://127.0.0.1", "tcp://:1", "tcp://a:b", "tcp://::1:1", "ipc://", "tcp://a:1/b"]
)
async def test_a_malformed_address_is_a_value_error(address: str) -> None:
    with pytest.raises(ValueError, match="is no address"):
        await NngTransport().dial(address)


async def test_a_host_that_nobody_knows_is_an_os_error() -> None:
    with pytest.raises(OSError, match="nowhere"):
        await NngTransport().dial("tcp://nowhere.invalid:1")
