"""Replies and plain data between nodes: whatever the kind, it comes as it was, and bytes that are none are refused."""

from __future__ import annotations

from contextlib import suppress
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from tests.remote.nodes import nodes
from trioakt import ActorSystem, CodecError, Context
from trioakt.remote.house import House
from trioakt.remote.peer import Peer


class NoLines:
    def connect(self, peer: Peer) -> None:
        raise AssertionError

    def wake(self, session: Any) -> None:
        raise AssertionError


def house() -> House:
    return House(ActorSystem("bank"), b"i" * 16, lambda address: Peer(address, HOUSE, NoLines()), 2**20)


HOUSE = house()
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()


@given(SCALARS)
def test_scalars_make_the_round_trip(value: Any) -> None:
    back = HOUSE.decode(HOUSE.encode(value))
    assert back == value
    assert type(back) is type(value)


@given(st.binary(max_size=200))
def test_bytes_that_are_no_value_are_refused_and_nothing_else(body: bytes) -> None:
    with suppress(CodecError):
        HOUSE.decode(body)


@pytest.mark.parametrize(
    "value", [2**64, -(2**63) - 1, "x" * 1000, b"", [1, "two", None], {"a": [1.5]}, Decimal("1.10"), (1, 2)]
)
async def test_a_reply_is_what_was_replied(autojump_clock: MockClock, value: Any) -> None:
    async def reply(ctx: Context, msg: object) -> None:
        ctx.reply(value)

    async with nodes("a", "b") as (one, other):
        await other.spawn_func(reply, name="ada")
        assert await (await one.resolve("trioakt://bank@b:1/user/ada")).ask("what?") == value


def test_a_value_that_is_too_long_is_refused() -> None:
    with pytest.raises(CodecError, match="more than"):
        HOUSE.encode("x" * 2**20)
