"""etcd's JSON gateway: which member is asked, as whom, and what its errors mean; it knows nothing of keys."""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator
from contextlib import aclosing, asynccontextmanager, contextmanager, suppress
from typing import Any
from urllib.parse import unquote, urlsplit

import attrs
import httpx
import trio

from trioakt.errors import ClusterError, NoQuorumError

_PATIENCE = 5.0
"""Seconds until one of the members has to have answered."""
_ATTEMPT = 2.0
"""Seconds that one member has for each step: to accept a connection, to answer."""
_PAUSE = 0.1
"""Seconds between two attempts."""
_PULSE = 1.0
"""Seconds between two questions whether the member that is listened to still runs."""
_SILENCE = 900.0
"""Seconds without an answer after which a stream is given up; by default etcd notes its progress each ten minutes."""
_LANES = 8
"""Requests under way at a time, of those that can wait: more do not make etcd faster, and cost the pool dearly."""
_PORT = 2379

_UNKNOWN, _NOT_FOUND, _OUT_OF_RANGE, _UNAUTHENTICATED = 2, 5, 11, 16
_TRANSIENT = {1, _UNKNOWN, 4, 8, 13, 14}
"""gRPC's codes for: cancelled, unknown, deadline exceeded, resource exhausted, internal, unavailable."""
_STALE = "etcdserver: revision of auth store is old"
_UNTOUCHED = {"etcdserver: no leader", "etcdserver: too many requests"}
"""What etcd says before it has begun with a request."""

Json = dict[str, Any]


class RefusedError(ClusterError):
    """etcd does not do what it is asked for, and would not another time."""

    def __init__(self, text: str, code: int) -> None:
        super().__init__(text)
        self.is_missing = code == _NOT_FOUND
        """What was named is not there."""
        self.is_compacted = code == _OUT_OF_RANGE
        """The revision that was named is not there."""


class _UnansweredError(Exception):
    """A member has not answered; another may."""

    def __init__(self, text: str, *, untouched: bool) -> None:
        super().__init__(text)
        self.untouched = untouched
        """Whether it certainly has done nothing."""


@attrs.frozen
class EtcdAddress:
    """Where the members are, and who asks them."""

    endpoints: tuple[str, ...]
    user: str = ""
    password: str = attrs.field(default="", repr=False)

    @property
    def is_secure(self) -> bool:
        """Whether they are asked over TLS."""
        return self.endpoints[0].startswith("https:")


def parse_etcd_url(url: str) -> EtcdAddress:
    """Read ``etcd://[user:password@]host[:port][,host[:port]...]``, or the same with ``etcds://`` for TLS.

    Raises:
        ValueError: It is none.
    """
    parts = urlsplit(url)
    secret, _, hosts = parts.netloc.rpartition("@")
    members = hosts.split(",")
    if parts.scheme not in ("etcd", "etcds") or not all(members) or parts.path.strip("/") or parts.query:
        raise ValueError(f"a URL of etcd is like etcd://host:2379,host:2379, got {parts.scheme}://...{parts.path}")
    scheme = "https" if parts.scheme == "etcds" else "http"
    user, _, password = secret.partition(":")
    endpoints = (f"{scheme}://{member if _has_port(member) else f'{member}:{_PORT}'}" for member in members)
    return EtcdAddress(tuple(endpoints), unquote(user), unquote(password))


def _has_port(member: str) -> bool:
    return ":" in member.rpartition("]")[2]


@asynccontextmanager
async def open_gateway(address: EtcdAddress, context: ssl.SSLContext | None) -> AsyncGenerator[Gateway]:
    """Give a gateway for as long as the block lasts."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=100)
    async with httpx.AsyncHTTPTransport(verify=context or False, limits=limits) as transport:
        yield Gateway(transport, address)


class Gateway:
    """Asks one member of etcd after the other until one answers, and stays with that one.

    It drives httpx by its transport: a client would log each request, and each renewal of a lease is one.
    """

    def __init__(self, transport: httpx.AsyncBaseTransport, address: EtcdAddress) -> None:
        self._transport = transport
        self._address = address
        self._place = 0
        self._token = ""
        self._one_login = trio.Lock()
        self._lanes = trio.CapacityLimiter(_LANES)
        self._last_heard = float("-inf")

    @asynccontextmanager
    async def lane(self) -> AsyncGenerator[None]:
        """Wait for a turn among those that can wait; what keeps a lease cannot.

        Raises:
            NoQuorumError: etcd has fallen silent before it came.
        """
        arrived = trio.current_time()
        while True:
            deadline = max(arrived, self._last_heard) + _PATIENCE
            with trio.move_on_at(deadline):
                await self._lanes.acquire()
                break
            if max(arrived, self._last_heard) + _PATIENCE <= trio.current_time():
                raise NoQuorumError("etcd has fallen silent")
        try:
            yield
        finally:
            self._lanes.release()

    async def call(self, verb: str, body: Json, *, once: bool = False) -> Json:
        """Ask for something and return the answer.

        Args:
            verb: The path after ``/v3/``.
            body: As etcd describes it.
            once: It must not be done twice: do not ask again where it may have been done.

        Raises:
            NoQuorumError: The outcome is not known.
            RefusedError: It was refused.
        """
        failure = "no answer in time"
        with trio.move_on_after(_PATIENCE):
            while True:
                endpoint = self._endpoint
                try:
                    return await self._post(endpoint, verb, body)
                except _UnansweredError as error:
                    failure = f"{endpoint}: {error}"
                    self._turn_from(endpoint)
                    if once and not error.untouched:
                        break
                await trio.sleep(_PAUSE)
        raise NoQuorumError(f"etcd does not answer to {verb}: {failure}")

    async def follow(self, verb: str, ask: Callable[[], Json], hear: Callable[[Json], Awaitable[bool]]) -> None:
        """Listen to a stream of answers, and ask again when it breaks, until ``hear`` returns false.

        Raises:
            NoQuorumError: It has broken, and no member answers.
            RefusedError: It was refused.
        """
        given_up = float("inf")

        async def note(answer: Json) -> bool:
            nonlocal given_up
            given_up = float("inf")
            return await hear(answer)

        while True:
            endpoint = self._endpoint
            try:
                return await self._listen(endpoint, verb, ask(), note)
            except _UnansweredError as error:
                self._turn_from(endpoint)
                given_up = min(given_up, trio.current_time() + _PATIENCE)
                if trio.current_time() + _PAUSE > given_up:
                    raise NoQuorumError(f"etcd has fallen silent to {verb}: {endpoint}: {error}") from None
            await trio.sleep(_PAUSE)

    @property
    def _endpoint(self) -> str:
        return self._address.endpoints[self._place]

    def _turn_from(self, endpoint: str) -> None:
        if endpoint == self._endpoint:  # or another task has turned already
            self._place = (self._place + 1) % len(self._address.endpoints)

    async def _post(self, endpoint: str, verb: str, body: Json) -> Json:
        token = await self._log_in(endpoint)
        return self._judge(await self._exchange(endpoint, verb, body, token), token)

    async def _log_in(self, endpoint: str, *, afresh: bool = False) -> str:
        token = self._token
        if not self._address.user or (token and not afresh):
            return token
        async with self._one_login:
            if self._token == token:  # else another task has
                body = {"name": self._address.user, "password": self._address.password}
                answer = self._judge(await self._exchange(endpoint, "auth/authenticate", body, ""), "")
                self._token = answer["token"]
            return self._token

    async def _listen(self, endpoint: str, verb: str, body: Json, hear: Callable[[Json], Awaitable[bool]]) -> None:
        token = await self._log_in(endpoint, afresh=True)  # of a stream etcd does not say that a login has lapsed
        failure: Exception | None = _UnansweredError("it has stopped", untouched=True)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._feel_pulse, endpoint, nursery.cancel_scope)
            try:
                await self._read(endpoint, verb, body, token, hear)
                failure = None
            except Exception as error:
                failure = error  # it leaves as it is, not inside the nursery's group
            nursery.cancel_scope.cancel()
        if failure is not None:
            raise failure

    async def _feel_pulse(self, endpoint: str, listening: trio.CancelScope) -> None:
        """Stop the listening to a member that runs no more: its connections may stay open, and silent."""
        while True:
            await trio.sleep(_PULSE)
            try:
                await self._exchange(endpoint, "maintenance/status", {}, self._token)
            except _UnansweredError:
                listening.cancel()

    async def _read(
        self, endpoint: str, verb: str, body: Json, token: str, hear: Callable[[Json], Awaitable[bool]]
    ) -> None:
        with _failing():
            with trio.fail_after(_ATTEMPT):
                response = await self._send(endpoint, verb, body, token, _SILENCE)
            async with _lines(response) as lines:
                async for line in lines:
                    if not await hear(self._judge(line, token)):
                        return
        raise _UnansweredError("it has ended the stream", untouched=True)

    async def _exchange(self, endpoint: str, verb: str, body: Json, token: str) -> bytes:
        with _failing():
            response = await self._send(endpoint, verb, body, token, _ATTEMPT)
            async with aclosing(response):
                answer = await response.aread()
        self._last_heard = trio.current_time()
        return answer

    async def _send(self, endpoint: str, verb: str, body: Json, token: str, silence: float) -> httpx.Response:
        headers = {"Grpc-Metadata-hasleader": "true"}  # else a member that is cut off stays silent
        if token:
            headers["Authorization"] = token
        timeout = {"connect": _ATTEMPT, "pool": _ATTEMPT, "write": _ATTEMPT, "read": silence}
        url, extensions = f"{endpoint}/v3/{verb}", {"timeout": timeout}
        request = httpx.Request("POST", url, headers=headers, json=body, extensions=extensions)
        request.stream = _Body(request.content)
        return await self._transport.handle_async_request(request)

    def _judge(self, text: str | bytes, token: str) -> Json:
        """Return an answer, or raise what it means."""
        try:
            answer: Json = json.loads(text)
        except ValueError:
            raise _UnansweredError(f"this is no JSON: {text[:80]!r}", untouched=False) from None
        complaint = _complaint(answer)
        if complaint is None:
            result: Json = answer.get("result", answer)  # which a stream wraps each in
            return result
        code, words = complaint
        if code == _UNAUTHENTICATED or words == _STALE:
            if token == self._token:
                self._token = ""  # it has lapsed: log in again
            raise _UnansweredError(words, untouched=True)
        if code in _TRANSIENT:
            raise _UnansweredError(words, untouched=words in _UNTOUCHED)
        raise RefusedError(f"etcd refuses: {words}", code)


class _Body(httpx.AsyncByteStream):
    """The body of a request, as a plain iterator: of a generator Trio complains when a request is cancelled."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._left: list[bytes] = []

    def __aiter__(self) -> AsyncIterator[bytes]:
        self._left = [self._content]
        return self

    async def __anext__(self) -> bytes:
        if not self._left:
            raise StopAsyncIteration
        return self._left.pop()


def _complaint(answer: Json) -> tuple[int, str] | None:
    """Find the code and the text of an error, which a stream tells in another way, and etcd 3.6 in a third one."""
    error: Any = answer.get("error", answer)
    if isinstance(error, str):
        return answer.get("code", _UNKNOWN), error
    code = error.get("grpc_code", error.get("code"))
    return None if code is None else (code, error["message"])


@asynccontextmanager
async def _lines(response: httpx.Response) -> AsyncGenerator[AsyncIterator[str]]:
    """Read a response by lines, and let httpx's generators come to their end, which do not close one another."""
    lines = response.aiter_lines()
    async with aclosing(response):
        try:
            yield lines
        finally:
            with trio.CancelScope() as unwinding, suppress(httpx.TransportError):
                unwinding.cancel()
                async for _ in lines:
                    pass


@contextmanager
def _failing() -> Generator[None]:
    """Tell the failures of a member from all others."""
    try:
        yield
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
        raise _UnansweredError(f"it cannot be reached ({error})", untouched=True) from None
    except (httpx.TransportError, trio.TooSlowError) as error:
        raise _UnansweredError(f"{type(error).__name__}", untouched=False) from None
