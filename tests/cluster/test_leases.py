"""What becomes of a lease while its engine answers late, or not, or something else."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from trioakt import LeaseLostError, NoQuorumError
from trioakt.cluster.lease import Lease, keep

TTL = 5.0


class Engine:
    """Notes what it is asked, and does as it is told."""

    def __init__(self) -> None:
        self.renewed: list[float] = []
        self.revoked: list[float] = []
        self.delay = 0.0
        self.is_there = True
        self.answers = True

    async def grant_lease(self, ttl: float) -> str:
        await self.answer()
        return "lease"

    async def renew_lease(self, key: str) -> bool:
        self.renewed.append(trio.current_time())
        await self.answer()
        return self.is_there

    async def revoke_lease(self, key: str) -> None:
        await self.answer()
        self.revoked.append(trio.current_time())

    async def answer(self) -> None:
        await trio.sleep(self.delay)
        if not self.answers:
            raise NoQuorumError("no answer")


async def lost(lease: Lease) -> float:
    """Wait until a lease is lost, and return when that was."""
    await lease.lost.wait()
    return trio.current_time()


async def test_it_holds_for_as_long_as_its_block_lasts_and_is_given_back_then(autojump_clock: MockClock) -> None:
    engine = Engine()
    async with keep(engine, TTL) as lease:
        await trio.sleep(99.5)
        assert lease.holds
    assert lease.lost.is_set()
    assert engine.revoked == [99.5]
    assert len(engine.renewed) == 99  # each fifth of its time to live


async def test_it_counts_from_the_moment_at_which_it_was_asked_for(autojump_clock: MockClock) -> None:
    engine = Engine()
    engine.delay = 1.0
    async with keep(engine, TTL) as lease:
        assert lease.deadline == 4.0
        await trio.sleep(2.5)  # renewed at 2, answered at 3
        assert lease.deadline == 6.0


async def test_it_is_lost_before_the_engine_lets_it_lapse_when_nothing_is_answered(autojump_clock: MockClock) -> None:
    engine = Engine()
    async with keep(engine, TTL) as lease:
        engine.delay = 1000.0
        assert await lost(lease) == 4.0
        engine.delay = 0.0


async def test_it_tries_again_when_the_engine_has_no_quorum(autojump_clock: MockClock) -> None:
    engine = Engine()
    async with keep(engine, TTL) as lease:
        engine.answers = False
        await trio.sleep(2.5)
        engine.answers = True
        await trio.sleep(10)
        assert lease.holds


async def test_it_is_lost_as_soon_as_the_engine_says_so(autojump_clock: MockClock) -> None:
    engine = Engine()
    async with keep(engine, TTL) as lease:
        engine.is_there = False
        assert await lost(lease) == 1.0
        with pytest.raises(LeaseLostError, match="lease"):
            lease.check()


async def test_it_is_not_renewed_any_more_once_it_is_lost(autojump_clock: MockClock) -> None:
    engine = Engine()
    async with keep(engine, TTL) as lease:
        engine.answers = False
        when = await lost(lease)
        engine.answers = True
        await trio.sleep(100)
    assert all(renewed <= when for renewed in engine.renewed)


async def test_it_is_given_back_when_its_block_is_cancelled(autojump_clock: MockClock) -> None:
    engine = Engine()
    with trio.move_on_after(3):
        async with keep(engine, TTL):
            await trio.sleep_forever()
    assert engine.revoked == [3.0]


async def test_giving_it_back_takes_a_bounded_time(autojump_clock: MockClock) -> None:
    engine = Engine()
    async with keep(engine, TTL):
        engine.delay = 1000.0
    assert trio.current_time() == 2.0


async def test_what_its_block_raises_comes_out_as_it_is(autojump_clock: MockClock) -> None:
    with pytest.raises(KeyError):
        async with keep(Engine(), TTL):
            raise KeyError


async def test_it_is_not_had_when_the_engine_does_not_answer(autojump_clock: MockClock) -> None:
    engine = Engine()
    engine.answers = False
    with pytest.raises(NoQuorumError):
        async with keep(engine, TTL):
            pass


async def test_it_says_what_it_is_and_whether_it_is_lost(autojump_clock: MockClock) -> None:
    async with keep(Engine(), TTL) as lease:
        assert repr(lease) == "<Lease lease>"
    assert repr(lease) == "<Lease lease, lost>"
