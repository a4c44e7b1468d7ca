"""Compression: what is agreed on, what goes over the wire, and what those get who abuse it."""

from __future__ import annotations

import sys
import tracemalloc
from collections.abc import Generator
from contextlib import contextmanager, suppress
from random import Random
from typing import Any, get_args

import attrs
import lz4.block  # pyright: ignore[reportMissingTypeStubs]
import msgspec
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from tests.remote.nodes import Ping, Server, nodes
from tests.remote.pairs import RULES, End, answer, begin, exchange, identity
from trioakt import Remote
from trioakt.errors import ProtocolError
from trioakt.remote.compression import Compression, open_compressor
from trioakt.remote.frames import Alive, Compressed, Data, decode_frame, encode_frame
from trioakt.remote.session import Session

NAMES: tuple[Compression, ...] = get_args(Compression)
each_way = pytest.mark.parametrize("name", NAMES)
_lz4: Any = lz4.block  # it has no types


def pair(one: Compression | None, other: Compression | None) -> tuple[End, End]:
    """Return two ends that have proven themselves, each with its own compression."""
    first = begin(identity("one"), attrs.evolve(RULES, compression=one))
    first.pump(0.0)
    second = answer(first.out.popleft(), identity("other"), attrs.evolve(RULES, compression=other))
    exchange(first, second)
    assert first.is_open
    assert second.is_open
    return first, second


def text(size: int) -> msgspec.Raw:
    return msgspec.Raw(msgspec.msgpack.encode("to be or not to be " * (size // 19)))


def noise(size: int) -> msgspec.Raw:
    return msgspec.Raw(msgspec.msgpack.encode(Random(1).randbytes(size)))


def sent(end: End, *records: msgspec.Raw) -> bytes:
    """Return the frame in which an end sends these records."""
    for record in records:
        end.session.put(record)
    end.pump(0.0)
    (frame,) = end.out
    return frame


def breach(end: End, data: bytes) -> str:
    """Let an end take a frame that breaks the protocol, and return what it says of it."""
    end.receive(data, 0.0)
    assert end.closed is not None
    assert isinstance(end.closed.error, ProtocolError)
    assert end.received == []
    return str(end.closed.error)


def compressed(name: Compression, data: bytes) -> bytes:
    return encode_frame(Compressed(open_compressor(name).compress(data)))


# ------------------------------------------------------------------------- what is agreed on


@each_way
def test_nodes_that_say_the_same_compress_both_ways(name: Compression) -> None:
    one, other = pair(name, name)
    for sender, receiver in (one, other), (other, one):
        frame = sent(sender, text(20_000))
        assert len(frame) < 2_000
        exchange(one, other)
        assert receiver.received == [msgspec.msgpack.decode(text(20_000))]


@pytest.mark.parametrize("names", [("zstd", None), (None, "lz4"), ("zstd", "lz4"), (None, None)])
def test_nodes_that_say_different_things_understand_each_other_without(names: tuple[Any, Any]) -> None:
    one, other = pair(*names)
    for sender, receiver in (one, other), (other, one):
        assert isinstance(decode_frame(sent(sender, text(20_000))), Data)
        exchange(one, other)
        assert receiver.received == [msgspec.msgpack.decode(text(20_000))]


@each_way
def test_what_is_small_and_what_does_not_get_smaller_goes_as_it_is(name: Compression) -> None:
    for record in text(500), noise(20_000):
        one, _ = pair(name, name)
        assert isinstance(decode_frame(sent(one, record)), Data)


@each_way
@given(st.lists(st.text() | st.integers(0, 5000).map("x".__mul__) | st.binary(max_size=3000), max_size=20))
def test_whatever_is_sent_arrives_as_it_was(name: Compression, values: list[object]) -> None:
    one, other = pair(name, name)
    for value in values:
        one.session.put(msgspec.Raw(msgspec.msgpack.encode(value)))
    one.session.leave("enough")
    exchange(one, other)
    assert other.received == values


# -------------------------------------------------------------------------- what is abuse


@pytest.mark.parametrize("ours", [None, "lz4"])
def test_a_compressed_frame_that_was_not_agreed_on_is_a_breach(ours: Compression | None) -> None:
    _, other = pair("zstd", ours)
    assert "none was agreed on" in breach(other, compressed("zstd", encode_frame(Data(0, [text(2000)]))))


@each_way
def test_a_compressed_frame_before_the_proof_is_a_breach(name: Compression) -> None:
    rules = attrs.evolve(RULES, compression=name)
    one = begin(identity("one"), rules)
    one.pump(0.0)
    other = answer(one.out.popleft(), identity("other"), rules)
    assert "while proving" in breach(other, compressed(name, encode_frame(Data(0, []))))


@each_way
@pytest.mark.parametrize("nested", [False, True])
def test_nothing_but_records_may_be_compressed(name: Compression, nested: bool) -> None:
    _, other = pair(name, name)
    inner = compressed(name, encode_frame(Data(0, []))) if nested else encode_frame(Alive(0))
    assert "a compressed " in breach(other, compressed(name, inner))


@contextmanager
def in_little_memory() -> Generator[None]:
    """Allow no more than a mebibyte at a time."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


BOMB = bytes(2**23)
ZSTD = zstandard.ZstdCompressor()


def lying(said: int) -> bytes:
    """Return a frame of zstd that says it has so many bytes, and has more."""
    small, large = ZSTD.compress(bytes(said)), ZSTD.compress(BOMB)
    return small[: zstandard.frame_header_size(small)] + large[zstandard.frame_header_size(large) :]


@pytest.mark.parametrize(
    ("name", "bomb"),
    [
        ("zstd", ZSTD.compress(BOMB)),
        ("zstd", zstandard.ZstdCompressor(write_content_size=False).compress(BOMB)),
        ("zstd", ZSTD.compress(bytes(2000)) * 100),
        ("zstd", lying(200)),
        ("zstd", lying(60_000)),
        ("lz4", _lz4.compress(BOMB)),
        ("lz4", (60_000).to_bytes(4, "little") + _lz4.compress(BOMB, store_size=False)),
        ("lz4", b"\xff" * 4 + _lz4.compress(bytes(2000), store_size=False)),
    ],
    ids=["large", "without size", "many", "lying", "lying more", "large", "lying", "negative"],
)
def test_a_bomb_is_a_breach_and_takes_no_memory(name: Compression, bomb: bytes) -> None:
    _, other = pair(name, name)
    with in_little_memory():
        assert "compressed" in breach(other, encode_frame(Compressed(bomb)))


@each_way
@given(st.binary(max_size=200), st.binary(max_size=200), st.integers(0, 200))
def test_any_bytes_are_a_breach_or_become_no_more_than_the_limit(
    name: Compression, plain: bytes, junk: bytes, at: int
) -> None:
    compressor = open_compressor(name)
    good = compressor.compress(plain)
    for data in junk, good[:at] + junk + good[at:], good[:at]:
        with suppress(ProtocolError):
            assert len(compressor.decompress(data, 100)) <= 100


# --------------------------------------------------------------------------------- nodes


def test_a_compression_that_is_unknown_or_not_installed_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    unknown: Any = "zip"
    with pytest.raises(ValueError, match="zstd, lz4, or None"):
        Remote(compression=unknown)
    monkeypatch.setitem(sys.modules, "zstandard", None)
    with pytest.raises(ModuleNotFoundError, match=r"trioakt\[compression\]"):
        Remote(compression="zstd")


@pytest.mark.parametrize(
    ("names", "most"), [(("zstd", "zstd"), 5_000), (("lz4", "lz4"), 5_000), (("zstd", None), 150_000)]
)
async def test_a_request_and_its_reply_go_compressed_between_nodes_that_both_say_so(
    names: tuple[Compression | None, ...], most: int, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    next_frame = Session.next_frame

    def measured(session: Session, now: float) -> bytes | None:
        frame = next_frame(session, now)
        sizes.append(len(frame or b""))
        return frame

    monkeypatch.setattr(Session, "next_frame", measured)
    async with nodes() as net:
        one, other = [await net.start(host, compression=name) for host, name in zip("ab", names, strict=True)]
        await other.spawn(Server, name="ada")
        ada = await one.resolve("trioakt://bank@b:1/user/ada")
        sizes.clear()  # of the frames that tell which messages each node knows
        assert await ada.ask(Ping("x" * 100_000)) == f"pong {'x' * 100_000}"
    assert most / 500 < max(sizes) < most
