"""Whatever bytes come: a registered message comes out, or a CodecError, and nothing else happens."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from contextlib import suppress
from typing import Any

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.codec.generated import ANYTHING, messages
from tests.codec.shapes import (
    Anything,
    Containers,
    Four,
    Objects,
    Scalars,
    Times,
    Tree,
    Unions,
    codec,
    refused,
    round_trip,
)
from tests.codec.test_round_trips import MESSAGES
from trioakt import CodecError
from trioakt.codec import Codec, fingerprint
from trioakt.codec.depth import check_plain, walk
from trioakt.codec.packing import pack, pack_wide
from trioakt.lowlevel import registration

VALID = [codec.encode(each) for each in MESSAGES]
NAMES = [registration(each) for each in (Scalars, Times, Containers, Objects, Unions, Anything, Four)]


def _decode(data: bytes) -> None:
    """Decode, and check that nothing comes of it but a registered message or a CodecError."""
    with suppress(CodecError):
        assert registration(codec.decode(data).__class__) is not None


@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(messages())
def test_a_generated_message_makes_the_round_trip(generated: Any) -> None:
    by = Codec()
    assert round_trip(generated, by) == generated
    assert fingerprint(generated.__class__) == fingerprint(generated.__class__)


@given(st.binary(max_size=200))
def test_arbitrary_bytes_raise_nothing_but_codec_errors(data: bytes) -> None:
    _decode(data)


@st.composite
def _mutated(draw: st.DrawFn) -> bytes:
    data = bytearray(draw(st.sampled_from(VALID)))
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(data)))
        removed = draw(st.integers(0, 3))
        data[place : place + removed] = draw(st.binary(max_size=3))
    return bytes(data)


@settings(max_examples=300)
@given(_mutated())
def test_mutated_bytes_raise_nothing_but_codec_errors(data: bytes) -> None:
    _decode(data)


SHAPES: list[Any] = [Scalars, Containers, Objects, Unions]
_KEYS = sorted({field.alias for kind in SHAPES for field in attrs.fields(kind)})
_PARTS: list[Any] = ["list", "set", "dict", "ref", "test.square", 1, 3, {}, []]
_TREES: st.SearchStrategy[Any] = ANYTHING | st.lists(st.sampled_from(_PARTS), max_size=3)


@settings(max_examples=300)
@given(st.sampled_from(NAMES), st.dictionaries(st.sampled_from(_KEYS), _TREES, max_size=20))
def test_well_formed_nonsense_raises_nothing_but_codec_errors(info: Any, body: dict[str, Any]) -> None:
    _decode(pack_wide([info.name, info.version, body]))


HEADER = b"\x93" + pack("tests.codec.shapes.Anything") + b"\x01\x81" + pack("value")


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"\xc1",
        b"\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff",
        b"\xdb\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
        b"\xc9\xff\xff\xff\xff\x01",
        b"\xc9\x00\x00",
        b"\xa2\xff\xfe",
        b"\xd6\xff\x00\x00\x00\x01",
        b"\xd7\xff" + b"\xff" * 8,
        b"\xd4\x07\x00",
        b"\x81\x90\x01",
        b"\x81\x80\x01",
        b"\x82\xcb\x7f\xf8" + bytes(5) + b"\x01\x01\xcb\x7f\xf8" + bytes(5) + b"\x01\x02",
        b"\x81\xd4\x01\x05\x01",
        b"\x92\xa3set\x91\x92\xa4list\x90",
        b"\x01\x01",
    ],
    ids=lambda value: value.hex()[:24],
)
def test_malformed_bytes_are_refused(value: bytes) -> None:
    refused(codec.decode, value)
    refused(codec.decode, HEADER + value)


def test_a_huge_length_takes_no_memory() -> None:
    tracemalloc.start()
    try:
        for prefix in (b"\xdd", b"\xdf", b"\xdb", b"\xc6"):
            refused(codec.decode, HEADER + prefix + b"\xff\xff\xff\xff")
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("opening", [b"\x91", b"\x81\x00", b"\xdc\x00\x01", b"\xde\x00\x01\xa0", b"\x92\xc0"])
def test_deep_nesting_is_refused(opening: bytes) -> None:
    refused(codec.decode, opening * 2_000_000)
    with pytest.raises(ValueError, match="cut off"):
        walk(opening * 64, 64)
    with pytest.raises(ValueError, match="deeper than 64"):
        walk(opening * 2_000_000, 64)


def _depth(plain: Any) -> int:
    if plain.__class__ not in (list, tuple, dict):
        return 0
    return 1 + max((_depth(each) for each in (plain.values() if plain.__class__ is dict else plain)), default=0)


@given(ANYTHING.map(lambda inner: [inner]))
def test_the_depth_is_found_in_bytes_and_in_plain_data(plain: Any) -> None:
    data, depth = pack_wide(plain), _depth(plain)
    walk(data, depth)
    check_plain(plain, data, depth)
    with pytest.raises(ValueError, match="deeper"):
        walk(data, depth - 1)
    with pytest.raises(ValueError, match="deeper"):
        check_plain(plain, data, depth - 1)


def test_deep_nesting_is_refused_where_the_interpreter_would_not() -> None:
    program = (
        "import sys; from trioakt import CodecError; from trioakt.codec import Codec\n"
        "sys.setrecursionlimit(10**8)\n"
        "try: Codec().decode(b'\\x91' * 10_000_000)\n"
        "except CodecError: print('refused')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.returncode) == ("refused\n", 0), done.stderr


def test_where_the_depth_is_counted_does_not_matter() -> None:
    tree = Tree(1)
    for _ in range(20):
        tree = Tree(1, (tree,))
    shallow = Codec(max_depth=40)
    wide = Anything([[str(each)] for each in range(1000)])
    assert round_trip(wide, shallow) == wide
    assert "deeper" in str(refused(shallow.encode, Anything([[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]])))


def test_only_a_registered_class_is_ever_built() -> None:
    for name in ("tests.codec.shapes.Money", "tests.codec.shapes.Stray", "builtins.object", "os.system"):
        data = pack([name, 1, {"amount": "1", "name": "rex"}])
        assert "registered" in str(refused(codec.decode, data))
        assert "registered" in str(
            refused(codec.decode, pack(["tests.codec.shapes.Anything", 1, {"value": [name, 1, {}]}]))
        )
