"""Frames over TCP, TLS and Unix sockets, by pynng; the only file that knows it.

It never uses pynng's own asynchronous calls, which leak when they are cancelled: descriptors tell Trio when to try.
"""

from __future__ import annotations

import errno
import re
import socket
import ssl
from collections import deque
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from typing import Any

import attrs
import pynng  # pyright: ignore[reportMissingTypeStubs]
import trio

from trioakt.remote.settings import Tls
from trioakt.remote.transport import Frame, Pipe, PipeClosed

_nng: Any = pynng  # it has no types
_ffi: Any = _nng.ffi
_lib: Any = _nng.lib

_ADDRESS = re.compile(r"(?P<scheme>tcp|tls\+tcp)://(?P<host>\[[^]]+\]|[^:/\[\]]+):(?P<port>\d+)|ipc://.+")
_WITH_TLS = "tls+tcp"
_HOST_NAMES = {"DNS", "IP Address"}
_SEND_BUFFER = 8
"""Frames that nng holds for a link beside the one it is sending."""
_GRACE = 0.5
"""Seconds that a dial has to end by itself when it is cancelled: nng loses the descriptor of a connection that is just
being made when its socket is closed."""

_ERRORS = {
    _nng.AddressInUse: errno.EADDRINUSE,
    _nng.AddressInvalid: errno.EADDRNOTAVAIL,
    _nng.AuthenticationError: errno.EACCES,
    _nng.ConnectionRefused: errno.ECONNREFUSED,
    _nng.ConnectionReset: errno.ECONNRESET,
    _nng.CryptoError: errno.EACCES,
    _nng.NoEntry: errno.ENOENT,
    _nng.PermissionDenied: errno.EACCES,
    _nng.Timeout: errno.ETIMEDOUT,
}


class NngTransport:
    """Carries frames over ``tcp://HOST:PORT`` and ``ipc://PATH``, or, with certificates, over ``tls+tcp://HOST:PORT``.

    Args:
        tls: The certificates; each end must show one that the other's authority has signed. They are read anew for
            each listener and each link.
        max_frame: Bytes of the largest frame. A peer that sends a larger one is turned out.
    """

    def __init__(self, *, tls: Tls | None = None, max_frame: int = 16 * 2**20) -> None:
        self._tls = tls
        self._max_frame = max_frame

    @asynccontextmanager
    async def listen(self, address: str) -> AsyncGenerator[_NngListener]:
        """Listen as ``Transport.listen``."""
        self._parse(address)
        credentials = await _load(self._tls)
        config = credentials and credentials.config(_nng.TLSConfig.MODE_SERVER)
        listener = _NngListener(address, config, self._max_frame)
        try:
            await listener.listen()
            yield listener
        finally:
            listener.close()

    async def dial(self, address: str) -> _NngLink:
        """Connect as ``Transport.dial``.

        With TLS the name in the listener's certificate counts, not the address: it becomes the link's ``peer``.

        Raises:
            PermissionError: One of the two ends does not trust the other.
        """
        host, port = self._parse(address)
        credentials = await _load(self._tls)
        config = None
        if credentials is not None:
            name = await _name_of(address, host, port, credentials.context)
            config = credentials.config(_nng.TLSConfig.MODE_CLIENT, name)
        link = _NngLink(address, config, self._max_frame)
        try:
            await link.dial()
        except BaseException:
            link.close()
            raise
        return link

    def _parse(self, address: str) -> tuple[str, int]:
        """Return the host and the port, where there are."""
        match = _ADDRESS.fullmatch(address)
        if match is None:
            raise ValueError(f"{address!r} is no address like tcp://127.0.0.1:4040, tls+tcp://host:4040 or ipc:///path")
        if (match["scheme"] == _WITH_TLS) != (self._tls is not None):
            raise ValueError(f"{address}: {_WITH_TLS} needs certificates, and certificates need {_WITH_TLS}")
        return (match["host"] or "").strip("[]"), int(match["port"] or 0)


class _NngListener:
    """A Pull0 socket."""

    def __init__(self, address: str, tls_config: Any, max_frame: int) -> None:
        self.address = address
        self._closed = False
        self._ended: deque[Pipe] = deque()
        self._pipes: dict[int, Pipe] = {}
        self._nng_pipes: dict[Pipe, Any] = {}
        self._wants_name = tls_config is not None
        self._token = trio.lowlevel.current_trio_token()
        self._socket = _nng.Pull0(recv_max_size=max_frame, tls_config=tls_config)
        self._socket.add_pre_pipe_connect_cb(self._add)
        self._socket.add_post_pipe_remove_cb(partial(_run_soon, self._token, self._remove))
        self._descriptor: int = self._socket.recv_fd
        self._message = _ffi.new("nng_msg **")

    async def listen(self) -> None:
        with _as_os_error(self.address):
            listening = await trio.to_thread.run_sync(self._socket.listen, self.address)  # it may look up a name
        if not self.address.startswith("ipc:"):
            port = socket.ntohs(listening.local_address.port)
            self.address = f"{self.address.rpartition(':')[0]}:{port}"

    async def receive(self) -> Frame | PipeClosed:
        await trio.lowlevel.checkpoint_if_cancelled()
        received = self._take()
        if received is not None:
            await trio.lowlevel.cancel_shielded_checkpoint()
            return received
        while received is None:
            await _wait_ready(self._descriptor)
            received = self._take()
        return received

    def close_pipe(self, pipe: Pipe) -> None:
        nng_pipe = self._nng_pipes.get(pipe)
        if nng_pipe is not None:
            _lib.nng_pipe_close(nng_pipe.pipe)

    async def aclose(self) -> None:
        self.close()
        await trio.lowlevel.checkpoint()

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            trio.lowlevel.notify_closing(self._descriptor)
            self._socket.close()

    def _take(self) -> Frame | PipeClosed | None:
        """Return what is there. A pipe does not end before all its frames have been taken, so its end may go first."""
        if self._closed:
            raise trio.ClosedResourceError(f"the listener at {self.address} is closed")
        if self._ended:
            return PipeClosed(self._ended.popleft())
        failure: int = _lib.nng_recvmsg(self._socket.socket, self._message, _lib.NNG_FLAG_NONBLOCK)
        if failure == _lib.NNG_EAGAIN:
            return None
        _nng.check_err(failure)
        message = self._message[0]
        pipe = self._pipes[_lib.nng_pipe_id(_lib.nng_msg_get_pipe(message))]
        data: bytes = _ffi.buffer(_lib.nng_msg_body(message), _lib.nng_msg_len(message))[:]
        _lib.nng_msg_free(message)
        return Frame(pipe, data)

    def _add(self, nng_pipe: Any) -> None:
        """Take a connection, in a thread of nng and before the first frame; or turn it out."""
        peer = _common_name(nng_pipe)
        if self._wants_name and peer is None:
            nng_pipe.close()
            return
        pipe = Pipe(peer)
        self._nng_pipes[pipe] = nng_pipe
        self._pipes[nng_pipe.id] = pipe

    def _remove(self, nng_id: int) -> None:
        pipe = self._pipes.pop(nng_id)
        del self._nng_pipes[pipe]
        self._ended.append(pipe)
        if not self._closed:
            trio.lowlevel.notify_closing(self._descriptor)  # so the one who receives looks again


class _NngLink:
    """A Push0 socket that is closed when its first connection is lost, so that it never serves another one."""

    def __init__(self, address: str, tls_config: Any, max_frame: int) -> None:
        self.peer: str | None = None
        self._address = address
        self._max_frame = max_frame
        self._wants_name = tls_config is not None
        self._closed = False
        self._connected = False
        self._failure: OSError | None = None
        self._lost = trio.Event()
        self._token = trio.lowlevel.current_trio_token()
        self._socket = _nng.Push0(send_buffer_size=_SEND_BUFFER, tls_config=tls_config)
        self._socket.add_pre_pipe_connect_cb(self._add)
        self._socket.add_post_pipe_remove_cb(partial(_run_soon, self._token, self._end))
        self._descriptor: int = self._socket.send_fd

    async def dial(self) -> None:
        """Connect in a thread, and end with it; it ends at the latest when the socket is closed."""
        ended = trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._connect, ended)
            try:
                await ended.wait()
            finally:
                with trio.move_on_after(_GRACE, shield=True):
                    await ended.wait()
                if not ended.is_set():
                    self.close()
        if self._failure is not None:
            raise self._failure

    async def _connect(self, ended: trio.Event) -> None:
        dial = partial(self._socket.dial, self._address, block=True)
        limiter = trio.CapacityLimiter(1)  # dials that take long take no thread from anybody else
        with trio.CancelScope(shield=True):  # no deadline: whoever has started this closes the socket
            try:
                with _as_os_error(self._address):
                    await trio.to_thread.run_sync(dial, limiter=limiter)
            except OSError as failure:
                self._failure = failure
        ended.set()

    async def send(self, data: bytes) -> None:
        if len(data) > self._max_frame:
            raise ValueError(f"a frame of {len(data)} bytes is larger than max_frame, {self._max_frame}")
        await trio.lowlevel.checkpoint_if_cancelled()
        if self._give(data):
            await trio.lowlevel.cancel_shielded_checkpoint()
            return
        while not self._give(data):
            await _wait_ready(self._descriptor)

    async def wait_lost(self) -> None:
        await self._lost.wait()

    async def aclose(self) -> None:
        self.close()
        await trio.lowlevel.checkpoint()

    def close(self) -> None:
        self._closed = True
        self._end()

    def _give(self, data: bytes) -> bool:
        """Give a frame to nng, if that has room."""
        if self._closed:
            raise trio.ClosedResourceError("the link is closed")
        if self._lost.is_set():
            raise trio.BrokenResourceError(f"the connection to {self._address} is lost")
        failure: int = _lib.nng_send(self._socket.socket, data, len(data), _lib.NNG_FLAG_NONBLOCK)
        if failure == _lib.NNG_EAGAIN:
            return False
        _nng.check_err(failure)
        return True

    def _add(self, nng_pipe: Any) -> None:
        """Take the first connection, in a thread of nng; nng's own further ones would carry frames of this one."""
        peer = _common_name(nng_pipe)
        if self._connected or (self._wants_name and peer is None):
            nng_pipe.close()
            return
        self._connected = True
        self.peer = peer

    def _end(self, _nng_id: int | None = None) -> None:
        if not self._lost.is_set():
            self._lost.set()
            trio.lowlevel.notify_closing(self._descriptor)
            self._socket.close()


@attrs.frozen
class _Credentials:
    """What the files of a ``Tls`` contain."""

    certificate: str
    key: str
    ca: str
    context: ssl.SSLContext

    @classmethod
    def read(cls, tls: Tls) -> _Credentials:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.load_verify_locations(tls.ca)
        context.load_cert_chain(tls.certificate, tls.key)
        certificate, key, ca = (file.read_text() for file in (tls.certificate, tls.key, tls.ca))
        return cls(certificate, key, ca, context)

    def config(self, mode: int, server_name: str | None = None) -> Any:
        """Say for nng that both ends must show a certificate; without this mode it would let in anybody."""
        return _nng.TLSConfig(
            mode,
            server_name=server_name,
            ca_string=self.ca,
            own_cert_string=self.certificate,
            own_key_string=self.key,
            auth_mode=_nng.TLSConfig.AUTH_MODE_REQUIRED,
        )


async def _load(tls: Tls | None) -> _Credentials | None:
    return None if tls is None else await trio.to_thread.run_sync(_Credentials.read, tls)


async def _name_of(address: str, host: str, port: int, context: ssl.SSLContext) -> str:
    """Connect once to learn a name in the listener's certificate: nng wants to be told one, and then checks it.

    Raises:
        OSError: There is no listener, or its certificate is not to be trusted.
    """
    stream = trio.SSLStream(await trio.open_tcp_stream(host, port), context)
    try:
        await stream.do_handshake()
        certificate: dict[str, Any] = stream.getpeercert()
    except trio.BrokenResourceError as broken:
        raise PermissionError(errno.EACCES, f"{address}: {broken.__cause__ or broken}") from broken
    finally:
        await trio.aclose_forcefully(stream)
    names = [name for kind, name in certificate.get("subjectAltName", ()) if kind in _HOST_NAMES]
    names += [value for part in certificate["subject"] for key, value in part if key == "commonName"]
    return next(iter(names), host)


def _common_name(nng_pipe: Any) -> str | None:
    """Return the common name that the peer has proved; nng tells it only while it announces a connection."""
    text = _ffi.new("char **")
    if _lib.nng_pipe_get_string(nng_pipe.pipe, b"tls-peer-cn", text) != 0:
        return None
    name: bytes = _ffi.string(text[0])
    _lib.nng_strfree(text[0])
    return name.decode(errors="replace")


async def _wait_ready(descriptor: int) -> None:
    """Wait until nng may have something to take or room for more, or until something else has changed."""
    with suppress(trio.ClosedResourceError):
        await trio.lowlevel.wait_readable(descriptor)


def _run_soon(token: trio.lowlevel.TrioToken, fn: Callable[[int], object], nng_pipe: Any) -> None:
    """Run a function of a pipe's number in Trio's thread; in threads of nng nothing else is safe."""
    with suppress(trio.RunFinishedError):
        token.run_sync_soon(fn, nng_pipe.id)


@contextmanager
def _as_os_error(address: str) -> Generator[None]:
    """Raise what nng cannot do as an OSError."""
    try:
        yield
    except _nng.NNGException as failure:
        raise OSError(_ERRORS.get(type(failure), errno.EIO), f"{address}: {failure}") from failure
