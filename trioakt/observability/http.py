"""A small HTTP server for reading: GET and HEAD, everything bounded in size and in time. It knows h11 and Trio.

It is for a program's own figures on a trusted network: no TLS, no bodies, and nothing that can be changed through it.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

import attrs
import h11
import trio

from trioakt.lowlevel import Failure

_log = logging.getLogger("trioakt")

_CLIENTS = 32
"""Connections at a time; one more, and the oldest is closed for it."""
_HEAD = 16 * 1024
"""Bytes of a request, at most."""
_READING = 10.0
"""Seconds within which the first request of a connection must be there."""
_IDLE = 120.0
"""Seconds within which the next one must."""
_WRITING = 30.0
"""Seconds within which a client must take the response."""
_CHUNK = 64 * 1024


@attrs.frozen
class Query:
    """What a client wants: the path without what follows a ``?``, and the headers with their names in lower case."""

    path: str
    headers: dict[str, str]


@attrs.frozen
class Page:
    """What it gets."""

    status: int
    body: bytes
    content_type: str = "text/plain; charset=utf-8"


Answer = Callable[[Query], Awaitable[Page]]


@asynccontextmanager
async def open_server(answer: Answer, host: str, port: int) -> AsyncGenerator[trio.SocketListener]:
    """Serve while the block lasts; leaving it closes all connections at once.

    What ``answer`` raises is logged, and the client gets status 500.

    Raises:
        OSError: The address is not to be had.
    """
    listeners = await trio.open_tcp_listeners(port, host=host)
    failed: Exception | None = None
    async with trio.open_nursery() as nursery:
        await nursery.start(trio.serve_listeners, _Server(answer).serve, listeners)
        try:
            yield listeners[0]
        except Exception as error:
            failed = error  # it leaves the block as it is, not inside the nursery's group
        finally:
            nursery.cancel_scope.cancel()
    if failed is not None:
        raise failed


class _Server:
    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._clients: dict[trio.CancelScope, None] = {}  # the oldest first

    async def serve(self, stream: trio.SocketStream) -> None:
        """Serve one connection; nothing that it does harms another one."""
        if len(self._clients) >= _CLIENTS:
            oldest = next(iter(self._clients))
            del self._clients[oldest]
            oldest.cancel()
        scope = trio.CancelScope()
        self._clients[scope] = None
        try:
            with scope:
                await _Connection(stream, self._answer).converse()
        except (trio.BrokenResourceError, trio.TooSlowError):
            pass  # it went away, or takes nothing
        except Exception as error:
            _log.error("a connection failed: %s", Failure.of(error))
        finally:
            self._clients.pop(scope, None)
            await trio.aclose_forcefully(stream)


class _Connection:
    """One client, which may ask again and again."""

    def __init__(self, stream: trio.SocketStream, answer: Answer) -> None:
        self._stream = stream
        self._answer = answer
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=_HEAD)

    async def converse(self) -> None:
        """Answer one request after the other, until the client has gone, breaks a rule, or takes too long."""
        patience = _READING
        try:
            while (request := await self._request(patience)) is not None:
                page = await self._page(request)
                await self._respond(page, with_body=request.method != b"HEAD")
                if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
                    return
                self._http.start_next_cycle()
                patience = _IDLE
        except h11.RemoteProtocolError as error:
            if self._http.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
                await self._respond(Page(error.error_status_hint, b"this is not HTTP\n"))

    async def _request(self, patience: float) -> h11.Request | None:
        with trio.move_on_after(patience):
            while True:
                event = self._http.next_event()
                if isinstance(event, h11.Request):
                    return event
                if event is not h11.NEED_DATA:
                    return None
                self._http.receive_data(await self._stream.receive_some(_CHUNK))
        return None

    async def _page(self, request: h11.Request) -> Page:
        if request.method not in {b"GET", b"HEAD"}:
            return Page(405, b"only GET and HEAD\n")
        if not isinstance(self._http.next_event(), h11.EndOfMessage):
            return Page(413, b"a request here has no body\n")
        headers = {name.decode("ascii"): value.decode("latin-1") for name, value in request.headers}
        path = request.target.decode("ascii", "replace").partition("?")[0]
        try:
            return await self._answer(Query(path, headers))
        except Exception as error:
            _log.error("no answer to %s: %s", path[:200], Failure.of(error))
            return Page(500, b"something went wrong; the log of the server tells what\n")

    async def _respond(self, page: Page, *, with_body: bool = True) -> None:
        headers = [("content-type", page.content_type), ("content-length", str(len(page.body)))]
        if page.status == 405:
            headers.append(("allow", "GET, HEAD"))
        if self._http.their_state is not h11.DONE:  # what else it sends is not read
            headers.append(("connection", "close"))
        parts: list[h11.Event] = [h11.Response(status_code=page.status, headers=headers)]
        if with_body:
            parts.append(h11.Data(data=page.body))
        parts.append(h11.EndOfMessage())
        data = b"".join(self._http.send(part) or b"" for part in parts)
        with trio.fail_after(_WRITING):
            await self._stream.send_all(data)
