from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

import pytest
import trio
from trio.testing import MockClock
from trio.testing import wait_all_tasks_blocked as settle

from trioakt.observability.http import Page, Query, open_server

MEGABYTE = 2**20


async def pages(query: Query) -> Page:
    match query.path:
        case "/hello":
            return Page(200, b"hello " + query.headers.get("x-name", "").encode())
        case "/huge":
            return Page(200, b"x" * 64 * MEGABYTE)
        case "/broken":
            raise ValueError("no\nanswer")
        case "/never":
            await trio.sleep_forever()
        case _:
            pass
    return Page(404, b"")


@asynccontextmanager
async def server() -> AsyncGenerator[int]:
    """Serve the pages above on a free port of the loopback."""
    async with open_server(pages, "127.0.0.1", 0) as listener:
        yield listener.socket.getsockname()[1]


async def talk(port: int, request: bytes) -> str:
    """Send bytes to the server and return all it sends before it closes."""
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        await stream.send_all(request)
        return await rest(stream)


async def rest(stream: trio.SocketStream) -> str:
    received = b""
    with suppress(trio.BrokenResourceError):
        async for chunk in stream:
            received += chunk
    return received.decode("latin-1")


def get(path: str, *headers: str, method: str = "GET", close: bool = True) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: test", *headers, *(["Connection: close"] if close else [])]
    return "\r\n".join([*lines, "", ""]).encode()


async def test_it_answers_with_the_page() -> None:
    async with server() as port:
        answer = await talk(port, get("/hello?and=more", "X-Name: ada"))
    assert answer.startswith("HTTP/1.1 200")
    assert "content-length: 9\r\n" in answer
    assert answer.endswith("\r\n\r\nhello ada")


async def test_a_connection_serves_one_request_after_the_other() -> None:
    async with server() as port:
        answer = await talk(port, get("/hello", close=False) * 2 + get("/hello"))
    assert answer.count("HTTP/1.1 200") == 3


async def test_head_has_the_headers_alone() -> None:
    async with server() as port:
        answer = await talk(port, get("/hello", method="HEAD"))
    assert "content-length: 6\r\n" in answer
    assert answer.endswith("\r\n\r\n")


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (get("/nowhere"), 404),
        (get("/hello", method="DELETE"), 405),
        (get("/hello", "Content-Length: 5", method="POST") + b"12345", 405),
        (get("/hello", "Content-Length: 1000000000"), 413),
        (get("/broken"), 500),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 431),
        (get("/hello", *[f"X-{number}: {'y' * 100}" for number in range(1_000)]), 431),
    ],
    ids=lambda value: str(value)[:40] if isinstance(value, bytes) else str(value),
)
async def test_what_cannot_be_answered_has_a_status_that_says_why(request_bytes: bytes, status: int) -> None:
    async with server() as port:
        assert (await talk(port, request_bytes)).startswith(f"HTTP/1.1 {status}")
        assert (await talk(port, get("/hello"))).startswith("HTTP/1.1 200")


async def test_the_log_tells_why_a_page_is_broken(caplog: pytest.LogCaptureFixture) -> None:
    async with server() as port:
        assert "ValueError" not in await talk(port, get("/broken"))
    assert "no answer to /broken: ValueError: no\nanswer" in caplog.text


@pytest.mark.parametrize("begun", [b"", b"GET /hel", get("/hello")[:-2]])
async def test_a_client_that_never_finishes_its_request_is_sent_away(begun: bytes, autojump_clock: MockClock) -> None:
    async with server() as port:
        assert await talk(port, begun) == ""
        assert 10 <= trio.current_time() < 11


async def test_a_request_that_comes_drop_by_drop_is_cut_off(autojump_clock: MockClock) -> None:
    async with server() as port, await trio.open_tcp_stream("127.0.0.1", port) as stream:
        with pytest.raises(trio.BrokenResourceError):
            for byte in get("/hello", *["X-Slow: yes"] * 20):
                await stream.send_all(bytes([byte]))
                await trio.sleep(1)
        assert trio.current_time() < 15


async def test_a_connection_that_asks_no_more_is_closed_after_a_while(autojump_clock: MockClock) -> None:
    async with server() as port:
        answer = await talk(port, get("/hello", close=False))
        assert answer.count("200") == 1
        assert 120 <= trio.current_time() < 121


async def test_a_client_that_does_not_read_is_sent_away(autojump_clock: MockClock) -> None:
    async with server() as port, await trio.open_tcp_stream("127.0.0.1", port) as stream:
        await stream.send_all(get("/huge"))
        await trio.sleep(60)
        assert len(await rest(stream)) < 64 * MEGABYTE


async def test_a_client_that_goes_away_harms_nobody() -> None:
    async with server() as port:
        for request in get("/huge"), b"GET", b"":
            stream = await trio.open_tcp_stream("127.0.0.1", port)
            await stream.send_all(request)
            await trio.aclose_forcefully(stream)
        assert (await talk(port, get("/hello"))).startswith("HTTP/1.1 200")


async def test_clients_that_hold_on_to_their_connections_do_not_keep_others_out() -> None:
    async with server() as port:
        streams = [await trio.open_tcp_stream("127.0.0.1", port) for _ in range(100)]
        for stream in streams:
            with suppress(trio.BrokenResourceError):  # the server has hung up on it
                await stream.send_all(get("/never"))
        assert (await talk(port, get("/hello"))).startswith("HTTP/1.1 200")
        for stream in streams:
            await trio.aclose_forcefully(stream)


async def test_leaving_the_block_closes_every_connection_at_once() -> None:
    async with server() as port:
        stream = await trio.open_tcp_stream("127.0.0.1", port)
        await stream.send_all(get("/never"))
        await settle(0.01)
    assert await rest(stream) == ""
    await stream.aclose()
    with pytest.raises(OSError, match="all attempts to connect"):
        await trio.open_tcp_stream("127.0.0.1", port)


async def test_a_port_that_is_taken_is_an_error_at_once() -> None:
    async with server() as port:
        with pytest.raises(OSError, match="in use"):
            async with open_server(pages, "127.0.0.1", port):
                pytest.fail("it was served twice")


async def test_what_the_body_raises_leaves_the_block_as_it_is() -> None:
    with pytest.raises(KeyError):
        async with server():
            raise KeyError
