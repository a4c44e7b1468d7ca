"""Eviction: a system with too many actors passivates those that the policy names, and only those at rest."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from tests.core.actors import Echo, Recorder, Sleep, collected, sleeping
from trioakt import ActorPassivated, ActorRef, ActorSystem, DeadLetter, Eviction, Never


async def spawn_numbered(system: ActorSystem, count: int, **options: Any) -> list[ActorRef]:
    """Spawn actors that come to rest one after the other."""
    refs: list[ActorRef] = []
    for number in range(count):
        refs.append(await system.spawn(Recorder, name=str(number), **options))
        await trio.sleep(0.01)
    return refs


def alive(refs: list[ActorRef]) -> list[int]:
    return [number for number, ref in enumerate(refs) if ref.is_alive]


async def test_up_to_the_limit_all_stay(autojump_clock: MockClock) -> None:
    async with ActorSystem("test", eviction=Eviction(limit=10)) as system:
        refs = await spawn_numbered(system, 10)
        await trio.sleep(100)
        assert alive(refs) == list(range(10))


async def test_beyond_the_limit_the_least_recently_used_go_until_a_part_of_it_is_free(
    autojump_clock: MockClock,
) -> None:
    async with ActorSystem("test", eviction=Eviction(limit=10, fraction=0.2)) as system:
        refs = await spawn_numbered(system, 11)
        refs[0].tell("used again")
        await trio.sleep(5)
        assert alive(refs) == [0, 4, 5, 6, 7, 8, 9, 10]


async def test_the_most_recently_used_go_first_when_that_is_the_policy(autojump_clock: MockClock) -> None:
    async with ActorSystem("test", eviction=Eviction(limit=10, policy="mru")) as system:
        refs = await spawn_numbered(system, 11)
        refs[0].tell("used again")
        await trio.sleep(5)
        assert alive(refs) == [1, 2, 3, 4, 5, 6, 7, 8]


async def test_the_least_frequently_used_go_first_when_that_is_the_policy(autojump_clock: MockClock) -> None:
    async with ActorSystem("test", eviction=Eviction(limit=10, policy="lfu")) as system:
        refs = await spawn_numbered(system, 11)
        for ref in refs[2:]:
            ref.tell("once")
            ref.tell("twice")
            await trio.sleep(0.01)
        refs[1].tell("once")
        await trio.sleep(5)
        assert alive(refs) == [3, 4, 5, 6, 7, 8, 9, 10]


async def test_who_said_never_is_spared(autojump_clock: MockClock) -> None:
    async with ActorSystem("test", eviction=Eviction(limit=1, fraction=1.0)) as system:
        spared = await spawn_numbered(system, 3, passivation=Never())
        other = await system.spawn(Echo)
        await trio.sleep(5.1)
        assert alive(spared) == [0, 1, 2]
        assert not other.is_alive


async def test_nobody_is_evicted_in_the_middle_of_a_message_and_no_message_is_lost(autojump_clock: MockClock) -> None:
    async with ActorSystem("test", eviction=Eviction(limit=2)) as system:
        with collected(system, DeadLetter) as letters:
            refs = await spawn_numbered(system, 5)
            for ref in refs[:4]:
                ref.tell(Sleep(60))
                ref.tell("more")
            await trio.sleep(50)
            assert alive(refs) == [0, 1, 2, 3]
            await trio.sleep(20)
        assert len(alive(refs)) == 1
        assert letters == []


async def test_those_who_take_long_to_stop_do_not_make_others_go(autojump_clock: MockClock) -> None:
    eviction = Eviction(limit=10, fraction=0.2, interval=1.0)
    async with ActorSystem("test", eviction=eviction, stop_grace=60) as system:
        refs = [await system.spawn(lambda: Recorder(post_stop=sleeping(30))) for _ in range(11)]
        with collected(system, ActorPassivated) as events:
            await trio.sleep(60)
        assert len(events) == 3
        assert len(alive(refs)) == 8


async def test_a_system_of_nobody_but_its_guardian_stays(autojump_clock: MockClock) -> None:
    async with ActorSystem("test", eviction=Eviction(limit=1)) as system:
        for _ in range(3):
            ref = await system.spawn(Echo)
            other = await system.spawn(Echo)
            await trio.sleep(10)
            assert not (ref.is_alive and other.is_alive)
        assert await (await system.spawn(Echo)).ask("works") == "works"


@pytest.mark.parametrize(
    "wrong",
    [{"limit": 0}, {"policy": "fifo"}, {"fraction": 0}, {"fraction": 1.1}, {"interval": 0}],
)
def test_settings_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Eviction(**{"limit": 1, **wrong})  # pyright: ignore[reportArgumentType]


def test_something_else_as_eviction_is_refused() -> None:
    with pytest.raises(TypeError, match=r"eviction must be Eviction\(\.\.\.\)"):
        ActorSystem("test", eviction=10_000)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def test_a_router_to_actors_of_others_stays(autojump_clock: MockClock) -> None:
    async with ActorSystem("test", eviction=Eviction(limit=1)) as system:
        ref = await system.spawn(Echo, passivation=Never())
        group = await system.spawn_group_router([ref])
        await trio.sleep(100)
        assert await group.ask("there?") == "there?"
