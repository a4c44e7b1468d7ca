"""Events of another node: which are read, what becomes of those that cannot travel, and when it ends."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from tests.remote.listening import B, Sold, Unregistered, read, two
from tests.remote.nodes import Fail, Ping, Server, nodes
from tests.remote.strangers import COOKIE, Member, member
from trioakt import (
    ActorFailed,
    ActorStarted,
    ActorStopped,
    CodecError,
    ConnectionLostError,
    DeadLetter,
    DeadLetterReason,
    Missed,
    NodeUnreachableError,
    TerminationCause,
)
from trioakt.remote import records


async def test_a_task_reads_the_events_of_another_node(autojump_clock: MockClock) -> None:
    async with two() as (_, one, other):
        async with one.remote_events(B, DeadLetter, ActorStopped, ActorFailed) as events:
            ada = await other.spawn(Server, name="ada")
            ref = await one.resolve(f"{B}/user/ada")
            other.events.publish(DeadLetter(ada, 1.5, Ping("x"), None, DeadLetterReason.MAILBOX_FULL))
            assert await read(events, 1) == [DeadLetter(ref, 1.5, Ping("x"), None, DeadLetterReason.MAILBOX_FULL)]
            ada.tell(Fail("out of ink"))
            failed, *_ = await read(events, 1)
            assert (type(failed), failed.ref, failed.failure.text) == (ActorFailed, ref, "out of ink")
            assert failed.failure.exception is None
            assert "in receive" in failed.failure.traceback_text
            other.events.publish(ActorStopped(ada, 2.5, TerminationCause("FAILED", failed.failure)))
            stopped, *_ = await read(events, 1)
            assert (stopped.cause, stopped.cause.failure) == (TerminationCause.FAILED, failed.failure)
        await trio.sleep(0.1)
        assert not other.events.wants(DeadLetter)


async def test_all_events_of_another_node_are_read_where_none_are_named(autojump_clock: MockClock) -> None:
    async with two() as (_, one, other), one.remote_events(B) as events, one.remote_events(B, Sold) as sold:
        ada = await other.spawn(Server, name="ada")
        other.events.publish(Sold(ada, 1.0, "tea"))
        assert [type(event) for event in await read(events, 2)] == [ActorStarted, Sold]
        assert [event.what for event in await read(sold, 1)] == ["tea"]


async def test_an_event_that_cannot_travel_is_missed(autojump_clock: MockClock) -> None:
    async with two() as (_, one, other), one.remote_events(B, DeadLetter) as events:
        ada = await other.spawn(Server, name="ada")
        ada.stop()
        await ada.wait_stopped()
        ada.tell(Unregistered())
        ada.tell("plain")
        missed, letter = await read(events, 2)
        assert missed == Missed(1)
        assert (letter.message, letter.reason) == ("plain", DeadLetterReason.STOPPED)


async def test_a_lost_link_ends_the_events_with_an_error(autojump_clock: MockClock) -> None:
    async with two() as (net, one, _), one.remote_events(B, DeadLetter) as events:
        net.crash("b")
        with pytest.raises(ConnectionLostError):
            await read(events, 1)
        with pytest.raises(NodeUnreachableError):
            async with one.remote_events(B, DeadLetter):
                pass


async def test_what_is_no_class_of_events_is_refused(autojump_clock: MockClock) -> None:
    async with two() as (_, one, _):
        with pytest.raises(TypeError, match="event classes"):
            async with one.remote_events(B, Unregistered):
                pass


async def test_a_class_of_events_that_is_not_known_there_is_refused(autojump_clock: MockClock) -> None:
    async with (
        nodes("b", cookie=COOKIE) as net,
        member(net.network.transport("eve"), "mem://eve:1", "mem://b:1") as eve,
        trio.open_nursery() as nursery,
    ):
        (honest,) = net
        await eve.say(records.Subscribe(1, "event shop.Sold"))
        assert (await eve.hears(records.Failed)).kind == "CodecError"
        nursery.start_soon(refuse, eve)
        with pytest.raises(CodecError, match="not known"):
            async with honest.remote_events("trioakt://bank@eve:1", Sold):
                pass


async def refuse(eve: Member) -> None:
    """Refuse an interest."""
    asked = await eve.hears(records.Subscribe)
    await eve.say(records.Failed(asked.id, "CodecError", "it is not known here", "shop.Sold|"))
