"""Two nodes and what can go wrong between them: crashes, partitions, restarts, strangers, lost frames."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from tests.core.actors import Recorder, collected
from tests.remote.nodes import Net, Ping, Server, Slow, nodes
from trioakt import (
    ActorRef,
    ActorStoppedError,
    ConnectionLostError,
    Context,
    DeadLetter,
    DeadLetterReason,
    NodeUnreachableError,
    TerminationCause,
)
from trioakt.remote.links import LinkLost, LinkRefused, LinkSuspected, LinkUp
from trioakt.testing import Probe

ADA = "trioakt://bank@b:1/user/ada"


async def meet(net: Net, log: list[Any] | None = None) -> ActorRef:
    """Spawn an actor on b, and return the ref that a has of it."""
    one, other = net
    await other.spawn(Server, log, name="ada")
    return await one.resolve(ADA)


async def test_a_crash_fails_pending_asks_and_is_told_to_watchers_at_once(autojump_clock: MockClock) -> None:
    async with nodes("a", "b") as net:
        ref = await meet(net)
        one = net.systems["a"]
        probe = await Probe.spawn(one)
        probe.watch(ref)
        with collected(one, LinkLost) as lost:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(crash_after, 5, net, "b")
                with pytest.raises(ConnectionLostError) as caught:
                    await ref.ask(Slow(60))
        assert caught.value.outcome == "unknown"
        assert trio.current_time() < 6
        assert (await probe.expect_terminated(ref)).cause == TerminationCause.NODE_LOST
        assert [event.address for event in lost] == ["b:1"]


async def crash_after(seconds: float, net: Net, host: str) -> None:
    await trio.sleep(seconds)
    net.crash(host)


@pytest.mark.parametrize("one_way", [None, ("a", "b"), ("b", "a")], ids=["both ways", "to", "from"])
async def test_a_partition_is_noticed_by_both_ends_within_the_suspicion(
    autojump_clock: MockClock, one_way: tuple[str, str] | None
) -> None:
    async with nodes("a", "b") as net:
        ref = await meet(net)
        one, other = net
        with collected(one, LinkSuspected, LinkLost) as here, collected(other, LinkLost) as there:
            cut = one_way or ("a", "b")
            net.network.partition({cut[0]}, {cut[1]}, one_way=one_way is not None)
            begun = trio.current_time()
            with pytest.raises(ConnectionLostError):
                await ref.ask(Slow(60))
            assert trio.current_time() - begun < 2.6
            await trio.sleep(3)
        assert LinkLost in map(type, here)
        assert len(there) == 1
        net.network.heal()
        await trio.sleep(6)
        assert await ref.ask(Ping("healed")) == "pong healed"


async def test_a_node_that_comes_back_is_another_one(autojump_clock: MockClock) -> None:
    log: list[Any] = []
    async with nodes("a", "b") as net:
        ref = await meet(net)
        one = net.systems["a"]
        net.crash("b")
        await trio.sleep(1)
        again = await net.start("b")
        await again.spawn(Server, log, name="ada")
        await trio.sleep(6)
        new = await one.resolve(ADA)
        assert new != ref
        assert not ref.is_alive
        with collected(one, DeadLetter) as letters:
            ref.tell(Ping("old"))
            with pytest.raises(ActorStoppedError):
                await ref.ask(Ping("old"))
        assert [letter.reason for letter in letters] == [DeadLetterReason.NODE_GONE] * 2
        assert await new.ask(Ping("new")) == "pong new"
        assert log == [Ping("new")]


async def test_what_waits_for_a_node_that_cannot_be_reached_is_lost_with_a_word(autojump_clock: MockClock) -> None:
    async with nodes("a", "b") as net:
        ref = await meet(net)
        one = net.systems["a"]
        probe = await Probe.spawn(one)
        net.crash("b")
        await trio.sleep(10)
        with collected(one, DeadLetter) as letters:
            ref.tell(Ping("lost"))
            with pytest.raises(ConnectionLostError) as caught:
                await ref.ask(Ping("lost"))
            probe.watch(ref)
            assert (await probe.expect_terminated(ref)).cause == TerminationCause.NODE_LOST
        assert caught.value.outcome == "not_sent"
        assert [(letter.message, letter.reason) for letter in letters] == [(Ping("lost"), DeadLetterReason.LINK_LOST)]


async def test_both_may_reach_for_the_other_at_once(autojump_clock: MockClock) -> None:
    async with nodes("a", "b") as net:
        one, other = net
        net.network.delay(0.05, 0.05)
        with collected(one, LinkUp) as ups:
            await one.spawn(Server, name="eve")
            await other.spawn(Server, name="ada")
            found: list[ActorRef] = []

            async def reach(system: Any, address: str) -> None:
                found.append(await system.resolve(address))

            async with trio.open_nursery() as nursery:
                nursery.start_soon(reach, one, ADA)
                nursery.start_soon(reach, other, "trioakt://bank@a:1/user/eve")
            assert len(found) == 2
            await trio.sleep(5)
        assert len(ups) == 1


async def test_without_the_cookie_a_node_gets_nothing(autojump_clock: MockClock) -> None:
    async with nodes("b", cookie="secret") as net:
        other = net.systems["b"]
        await other.spawn(Server, name="ada")
        thief = await net.start("a", cookie="guess")
        with collected(other, LinkUp, LinkRefused) as seen, pytest.raises(NodeUnreachableError):
            await thief.resolve(ADA)
        assert LinkUp not in map(type, seen)


async def test_the_end_of_a_system_is_told_before_it_goes(autojump_clock: MockClock) -> None:
    async with nodes("a", "b") as net:
        ref = await meet(net)
        one, other = net
        with collected(one, LinkLost) as lost:
            begun = trio.current_time()
            other.shutdown()
            await ref.wait_stopped()
            assert trio.current_time() - begun < 0.5
            await trio.sleep(1)
        assert [event.reason for event in lost] == ["its system has ended"]


async def test_lost_frames_end_the_session_and_never_the_order(autojump_clock: MockClock) -> None:
    log: list[Any] = []
    async with nodes("a", "b") as net:
        ref = await meet(net, log)
        net.network.drop(0.05)
        for number in range(2000):
            ref.tell(number)
            await trio.sleep(0.02)
    numbers = [entry for entry in log if isinstance(entry, int)]
    assert numbers == sorted(set(numbers))
    assert len(numbers) > 200


async def test_a_node_that_is_too_slow_to_read_slows_nobody_else(autojump_clock: MockClock) -> None:
    async with nodes("a", "b", "c") as net:
        one, other, third = net
        await other.spawn(Server, name="ada")
        await third.spawn(Server, name="eve")
        slow, quick = await one.resolve(ADA), await one.resolve("trioakt://bank@c:1/user/eve")
        net.network.delay(1.0, 1.0, between=("a", "b"))
        for number in range(20_000):
            slow.tell(number)
        begun = trio.current_time()
        assert await quick.ask(Ping()) == "pong "
        assert trio.current_time() - begun < 0.5


async def test_an_actor_whose_node_was_lost_can_be_reached_when_the_node_is_back(autojump_clock: MockClock) -> None:
    async with nodes("a", "b") as net:
        ref = await meet(net)
        probe = await Probe.spawn(net.systems["a"])
        probe.watch(ref)
        net.network.partition({"a"}, {"b"})
        assert (await probe.expect_terminated(ref)).cause == TerminationCause.NODE_LOST
        net.network.heal()
        await trio.sleep(6)
        assert await ref.ask(Ping()) == "pong "
        probe.watch(ref)
        ref.stop()
        assert (await probe.expect_terminated(ref)).cause == TerminationCause.STOPPED


async def test_a_node_that_calls_itself_otherwise_says_how_to_reach_it(autojump_clock: MockClock) -> None:
    async with nodes("a") as net:
        await net.start("b", advertise="elsewhere:1")
        begun = trio.current_time()
        with pytest.raises(NodeUnreachableError, match="calls itself elsewhere:1"):
            await net.systems["a"].resolve(ADA)
        assert trio.current_time() - begun < 1


async def test_what_is_given_up_before_there_is_a_session_is_not_sent(autojump_clock: MockClock) -> None:
    log: list[Any] = []
    async with nodes("a", "b") as net:
        ref = await meet(net, log)
        net.network.partition({"a"}, {"b"})
        await trio.sleep(5)
        net.network.heal()
        net.network.delay(0.3, 0.3)
        await trio.sleep(6)
        with trio.move_on_after(0.1) as scope:
            await ref.send(1)
        assert scope.cancelled_caught
        assert await ref.ask(Ping()) == "pong "
    assert log == [Ping()]


async def test_last_hooks_of_a_node_that_ends_at_once_find_that_nothing_gets_out(autojump_clock: MockClock) -> None:
    outcomes: list[Any] = []

    async def try_to_send(ctx: Context, ref: ActorRef) -> None:
        ref.tell(Ping("lost"))
        for attempt in (ref.ask(Ping("ask")), ref.send(Ping("send"))):
            try:
                await attempt
            except ConnectionLostError as error:
                outcomes.append(error.outcome)

    async with nodes("a", "b") as net:
        ref = await meet(net)
        one = net.systems["a"]
        await one.spawn(lambda: Recorder(post_stop=lambda ctx: try_to_send(ctx, ref)))
        with collected(one, DeadLetter) as letters:
            net.crash("a")
            await trio.sleep(10)
    assert outcomes == ["not_sent", "not_sent"]
    assert Ping("lost") in [letter.message for letter in letters]
