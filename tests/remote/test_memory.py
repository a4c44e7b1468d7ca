"""The network in memory: its faults, and that the same seed brings the same ones."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from random import Random

import attrs
import pytest
import trio
from trio.testing import MockClock

from trioakt.remote.memory import MemoryNetwork
from trioakt.remote.transport import Frame, Link, Listener, PipeClosed


@attrs.frozen
class Ends:
    network: MemoryNetwork
    listener: Listener
    link: Link


@asynccontextmanager
async def connected(seed: int = 1, *, buffer: int = 128) -> AsyncGenerator[Ends]:
    """A link from a to b."""
    network = MemoryNetwork(Random(seed), buffer=buffer)
    async with network.transport("b").listen("mem://b:0") as listener:
        yield Ends(network, listener, await network.transport("a").dial(listener.address))


@pytest.fixture
async def ends() -> AsyncGenerator[Ends]:
    async with connected() as ends:
        yield ends


async def send(link: Link, numbers: range) -> None:
    for number in numbers:
        await link.send(b"%d" % number)


async def arrivals(listener: Listener, *, within: float = 60.0) -> list[int]:
    """The numbers that come before nothing more does."""
    numbers: list[int] = []
    with trio.move_on_after(within):
        while True:
            got = await listener.receive()
            if isinstance(got, Frame):
                numbers.append(int(got.data))
    return numbers


@contextmanager
def nothing_happens(seconds: float = 600.0) -> Generator[None]:
    with trio.move_on_after(seconds) as scope:
        yield
    assert scope.cancelled_caught


async def is_lost(link: Link) -> bool:
    with trio.move_on_after(600):
        await link.wait_lost()
        return True
    return False


# ------------------------------------------------------------------------- addresses


async def test_port_zero_is_the_next_free_one(autojump_clock: MockClock) -> None:
    transport = MemoryNetwork().transport("a")
    async with transport.listen("mem://a:0") as one, transport.listen("mem://a:0") as two:
        assert (one.address, two.address) == ("mem://a:1", "mem://a:2")


async def test_a_port_is_free_again_when_its_listener_has_ended(autojump_clock: MockClock) -> None:
    transport = MemoryNetwork().transport("a")
    for _ in range(2):
        async with transport.listen("mem://a:7") as listener:
            assert listener.address == "mem://a:7"


async def test_a_host_listens_at_no_address_of_another(autojump_clock: MockClock) -> None:
    with pytest.raises(OSError, match="no address of a"):
        async with MemoryNetwork().transport("a").listen("mem://b:1"):
            pass


# ------------------------------------------------------------------- losses and delays


async def test_a_dropped_frame_vanishes_alone_and_the_others_keep_their_order(
    ends: Ends, autojump_clock: MockClock
) -> None:
    ends.network.drop(0.5)
    await send(ends.link, range(100))
    numbers = await arrivals(ends.listener)
    assert numbers == sorted(numbers)
    assert 30 < len(numbers) < 70


async def test_drops_between_two_hosts_spare_the_others(ends: Ends, autojump_clock: MockClock) -> None:
    ends.network.drop(1.0, between=("b", "c"))
    await send(ends.link, range(10))
    assert await arrivals(ends.listener) == [*range(10)]
    ends.network.drop(1.0, between=("b", "a"))
    await send(ends.link, range(10))
    assert await arrivals(ends.listener) == []
    ends.network.drop(0.0)
    await send(ends.link, range(10))
    assert await arrivals(ends.listener) == [*range(10)]


async def test_a_delayed_frame_takes_its_time(ends: Ends, autojump_clock: MockClock) -> None:
    ends.network.delay(0.5, 0.5)
    start = trio.current_time()
    await ends.link.send(b"late")
    await ends.listener.receive()
    assert trio.current_time() - start == pytest.approx(0.5)


async def test_delays_that_vary_never_turn_the_order(ends: Ends, autojump_clock: MockClock) -> None:
    ends.network.delay(0.0, 10.0)
    await send(ends.link, range(100))
    ends.network.delay(0.0, 0.0)
    await send(ends.link, range(100, 120))
    assert await arrivals(ends.listener) == [*range(120)]


async def test_a_receive_that_gives_up_before_the_frame_is_due_loses_nothing(
    ends: Ends, autojump_clock: MockClock
) -> None:
    ends.network.delay(2.0, 2.0)
    await ends.link.send(b"1")
    with nothing_happens(1.0):
        await ends.listener.receive()
    assert await arrivals(ends.listener) == [1]


async def test_a_full_link_waits_until_a_frame_has_been_received(autojump_clock: MockClock) -> None:
    async with connected(buffer=3) as ends:
        await send(ends.link, range(3))
        with nothing_happens():
            await ends.link.send(b"3")
        await ends.listener.receive()
        await ends.link.send(b"4")
        assert await arrivals(ends.listener) == [1, 2, 4]


# -------------------------------------------------------------------------- partitions


async def test_in_a_partition_frames_vanish_and_nobody_is_told(autojump_clock: MockClock) -> None:
    async with connected(buffer=3) as ends:
        ends.network.partition({"a"}, {"b"})
        await send(ends.link, range(10))
        with nothing_happens():
            await ends.listener.receive()
        with nothing_happens():
            await ends.link.wait_lost()


async def test_after_healing_frames_arrive_again_but_not_those_that_have_vanished(
    ends: Ends, autojump_clock: MockClock
) -> None:
    ends.network.partition({"a"}, {"b"})
    await send(ends.link, range(5))
    ends.network.heal()
    await send(ends.link, range(5, 10))
    assert await arrivals(ends.listener) == [*range(5, 10)]


@pytest.mark.parametrize(("hosts", "others", "numbers"), [("a", "b", []), ("b", "a", [0, 1, 2])])
async def test_a_one_way_partition_cuts_only_one_way(
    ends: Ends, autojump_clock: MockClock, hosts: str, others: str, numbers: list[int]
) -> None:
    ends.network.partition({hosts}, {others}, one_way=True)
    await send(ends.link, range(3))
    assert await arrivals(ends.listener) == numbers


async def test_a_partition_spares_who_is_on_the_same_side(ends: Ends, autojump_clock: MockClock) -> None:
    ends.network.partition({"a", "b"}, {"c"})
    await send(ends.link, range(3))
    assert await arrivals(ends.listener) == [0, 1, 2]


@pytest.mark.parametrize("one_way", [False, True])
async def test_a_dial_across_a_partition_takes_until_it_has_healed(
    ends: Ends, autojump_clock: MockClock, one_way: bool
) -> None:
    ends.network.partition({"b"}, {"a"}, one_way=one_way)
    transport = ends.network.transport("a")
    with nothing_happens():
        await transport.dial(ends.listener.address)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(transport.dial, ends.listener.address)
        await trio.sleep(5)
        ends.network.heal()


async def test_the_end_of_a_link_is_seen_when_the_partition_has_healed(ends: Ends, autojump_clock: MockClock) -> None:
    ends.network.partition({"a"}, {"b"})
    await ends.link.aclose()
    with nothing_happens():
        await ends.listener.receive()
    ends.network.heal()
    assert isinstance(await ends.listener.receive(), PipeClosed)


async def test_the_end_of_a_listener_is_seen_when_the_partition_has_healed(
    ends: Ends, autojump_clock: MockClock
) -> None:
    ends.network.partition({"b"}, {"a"}, one_way=True)
    await ends.listener.aclose()
    assert not await is_lost(ends.link)
    await ends.link.send(b"to nobody")
    ends.network.heal()
    assert await is_lost(ends.link)


# ----------------------------------------------------------------------------- crashes


async def test_the_crash_of_a_host_ends_its_links_and_flushes_nothing(ends: Ends, autojump_clock: MockClock) -> None:
    await send(ends.link, range(10))
    ends.network.crash("a")
    assert isinstance(await ends.listener.receive(), PipeClosed)
    with pytest.raises(trio.ClosedResourceError):
        await ends.link.send(b"x")


async def test_the_crash_of_a_host_ends_the_links_to_it(ends: Ends, autojump_clock: MockClock) -> None:
    ends.network.crash("b")
    assert await is_lost(ends.link)
    with pytest.raises(trio.BrokenResourceError):
        await ends.link.send(b"x")
    with pytest.raises(trio.ClosedResourceError):
        await ends.listener.receive()


async def test_a_crashed_host_can_come_back_at_its_address(ends: Ends, autojump_clock: MockClock) -> None:
    await send(ends.link, range(3))
    ends.network.crash("b")
    async with ends.network.transport("b").listen(ends.listener.address) as listener:
        link = await ends.network.transport("a").dial(listener.address)
        await send(link, range(5, 8))
        assert await arrivals(listener) == [5, 6, 7]


async def test_the_crash_of_another_host_changes_nothing(ends: Ends, autojump_clock: MockClock) -> None:
    ends.network.crash("c")
    await send(ends.link, range(3))
    assert await arrivals(ends.listener) == [0, 1, 2]


# ------------------------------------------------------------------------- determinism


async def story(seed: int) -> list[tuple[float, int]]:
    """What arrives when, of frames that are lost and delayed by chance."""
    async with connected(seed) as ends:
        ends.network.drop(0.2)
        ends.network.delay(0.0, 1.0)
        start = trio.current_time()
        await send(ends.link, range(50))
        await ends.link.aclose()
        told: list[tuple[float, int]] = []
        while isinstance(got := await ends.listener.receive(), Frame):
            told.append((round(trio.current_time() - start, 6), int(got.data)))
        return told


async def test_the_same_seed_brings_the_same_faults_at_the_same_times(autojump_clock: MockClock) -> None:
    assert await story(7) == await story(7)
    assert await story(7) != await story(8)
