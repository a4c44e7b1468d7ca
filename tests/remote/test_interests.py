"""What a node may state, publish and skip that does not keep to the rules: it does no harm."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from tests.core.actors import collected
from tests.remote.listening import encode, interests, read
from tests.remote.nodes import Ping, nodes
from tests.remote.strangers import COOKIE, Member, member
from trioakt import (
    DeadLetter,
    LinkLost,
    Missed,
)
from trioakt.remote import records


async def test_a_node_may_not_hold_endless_interests(autojump_clock: MockClock) -> None:
    async with nodes("b", cookie=COOKIE) as net:
        (honest,) = net
        async with member(net.network.transport("eve"), "mem://eve:1", "mem://b:1") as eve:
            await eve.say(*(records.Subscribe(number, "x" * 5000 + f".{number}") for number in range(60)))
            assert (await eve.hears(records.Failed)).kind == "MailboxFullError"
            await trio.sleep(1)
            assert interests(honest) == 52
            await eve.say(records.Subscribe(1, "event nonsense.Kind"))
        await trio.sleep(5)
        assert interests(honest) == 0


@pytest.mark.parametrize(
    "breach", [records.Subscribe(1, "orders..new"), records.Subscribe(1, " "), records.Skipped("orders", 0)], ids=repr
)
async def test_what_is_no_interest_ends_the_session(autojump_clock: MockClock, breach: Any) -> None:
    async with nodes("b", cookie=COOKIE) as net:
        with collected(net.systems["b"], LinkLost) as lost:
            async with member(net.network.transport("eve"), "mem://eve:1", "mem://b:1") as eve:
                await eve.say(breach)
                with trio.fail_after(5):
                    await eve.over.wait()
            assert "broke the protocol" in lost[0].reason


async def test_what_a_member_publishes_unasked_or_unreadable_does_no_harm(autojump_clock: MockClock) -> None:
    async with nodes("b", cookie=COOKIE) as net:
        (honest,) = net
        async with (
            member(net.network.transport("eve"), "mem://eve:1", "mem://b:1") as eve,
            honest.topics.subscribe("orders") as ours,
            trio.open_nursery() as nursery,
        ):
            await eve.say(records.Published("orders", "", encode(Ping("unasked"))), records.Skipped("orders", 3))
            nursery.start_soon(agree, eve, 2)
            async with (
                honest.topics.subscribe("orders", node="trioakt://bank@eve:1") as orders,
                honest.remote_events("trioakt://bank@eve:1", DeadLetter) as events,
            ):
                await eve.say(
                    records.Published("orders", "", b"\xc1"),
                    records.Published("orders", "nonsense", encode(Ping())),
                    records.Published("*", "", encode(Ping())),
                    records.Published("event trioakt.DeadLetter", "", encode(Ping())),
                    records.Published("event trioakt.ActorStarted", "", encode(Ping())),
                    records.Published("event os.system", "", encode(Ping())),
                    records.Unsubscribe("orders"),
                    records.Published("orders", "", encode(Ping("read"))),
                )
                assert await read(orders, 3) == [Missed(1), Missed(1), Ping("read")]
                assert await read(events, 1) == [Missed(1)]
            assert not eve.over.is_set()
            honest.topics.publish("orders", "ours")
            assert await read(ours, 1) == ["ours"]


async def agree(eve: Member, number: int) -> None:
    """Take so many interests."""
    for _ in range(number):
        asked = await eve.hears(records.Subscribe)
        await eve.say(records.Done(asked.id, ""))
