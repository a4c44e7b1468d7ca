"""A pool whose routees are in several processes: it is one router, whatever becomes of the processes."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
import trio

from tests.core.actors import collected
from tests.multiprocess.kinds import Broken, Leave, Pid, Worker
from tests.multiprocess.processes import PATIENCE
from tests.patterns.test_processes import gone
from trioakt import (
    Actor,
    ActorStoppedError,
    ActorSystem,
    Bounded,
    Broadcast,
    CodecError,
    ConnectionLostError,
    DeadLetter,
    DeadLetterReason,
    LeastFull,
    LinkUp,
    Remote,
    Resizer,
    RouterRef,
    StartError,
)


@asynccontextmanager
async def pool_of(size: int) -> AsyncGenerator[tuple[ActorSystem, RouterRef]]:
    """Start a pool in two processes, and set a limit for all of it."""
    with trio.fail_after(PATIENCE):
        async with ActorSystem("bank", remote=Remote(cookie="secret")) as system:
            yield system, await system.spawn_router(Worker, processes=2, size=size, name="pool")


async def pids(pool: RouterRef, times: int) -> list[int]:
    """Ask one routee after the other where it is."""
    return [await pool.ask(Pid()) for _ in range(times)]


async def settled(pool: RouterRef, size: int) -> list[int]:
    """Wait until the pool has so many routees, and return where they are."""
    found: list[int] = []
    while len(found) != size:
        await trio.sleep(0.01)
        with suppress(ActorStoppedError, ConnectionLostError):
            found = await pool.ask(Broadcast(Pid()))
    return found


async def test_its_routees_are_spread_over_the_processes_and_take_turns() -> None:
    async with pool_of(4) as (system, pool):
        found = await pids(pool, 8)
        assert sorted(Counter(found).values()) == [4, 4]
        assert os.getpid() not in found
        assert found[:4] == found[4:]
        assert sorted(ref.name for ref in system.actors()) == ["pool", "process-1", "process-2"]
        await pool.send("what?")
    for pid in found:
        await gone(pid)


async def test_a_process_that_dies_is_replaced_with_its_routees_and_the_others_go_on_meanwhile() -> None:
    async with pool_of(4) as (_, pool):
        first, second = sorted(set(await pids(pool, 4)))
        os.kill(first, signal.SIGKILL)
        await gone(first)
        assert await settled(pool, 2) == [second, second]
        assert set(await pids(pool, 4)) == {second}
        found = await settled(pool, 4)
        assert sorted(Counter(found).values()) == [2, 2]
        assert first not in found


async def test_a_routee_that_stops_is_replaced() -> None:
    async with pool_of(2) as (system, pool):
        before = set(await pids(pool, 2))
        with collected(system, DeadLetter) as letters:
            for _ in range(3):
                pool.tell(Broadcast(Leave()))
                assert set(await settled(pool, 2)) == before
        assert system.statistics().restarts == 0
        assert {letter.message for letter in letters} <= {Pid(), Broadcast(Pid())}  # asked of those just stopping
        assert {letter.reason for letter in letters} <= {DeadLetterReason.STOPPED}


async def test_it_is_resized() -> None:
    async with pool_of(2) as (_, pool):
        both = set(await pids(pool, 2))
        await pool.resize(6)
        assert sorted(Counter(await pids(pool, 6)).values()) == [3, 3]
        await pool.resize(1)
        assert len(set(await pids(pool, 3))) == 1
        await pool.resize(2)
        assert set(await pids(pool, 2)) == both


async def test_a_message_that_cannot_travel_harms_its_sender_alone() -> None:
    async with pool_of(2) as (system, pool):
        with collected(system, DeadLetter) as letters:
            with pytest.raises(CodecError):
                await pool.ask(object())
            with pytest.raises(CodecError):
                await pool.send(object())
            pool.tell(lost := object())
            assert len(await pids(pool, 2)) == 2
        assert [letter.message for letter in letters] == [lost]
        assert system.statistics().failures == 0


async def test_a_routee_that_does_not_start_is_an_error_and_no_process_is_left() -> None:
    async with ActorSystem("bank", remote=Remote()) as system:
        with collected(system, LinkUp) as links, pytest.raises(StartError):
            await system.spawn_router(Broken, processes=2)
        assert len(links) == 2
        assert system.actors() == ()


class Unsendable:
    """No message, and no plain value."""


@pytest.mark.parametrize(
    ("factory", "args", "options", "error", "text"),
    [
        (lambda: Worker(), (), {}, TypeError, "actor class"),
        (Worker, (Unsendable(),), {}, CodecError, "Unsendable"),
        (Worker, (), {"processes": 0}, ValueError, "at least one routee"),
        (Worker, (), {"size": 1}, ValueError, "at least one routee"),
        (Worker, (), {"strategy": LeastFull()}, ValueError, "other processes"),
        (Worker, (), {"resizer": Resizer(1, 2, 3)}, ValueError, "other processes"),
        (Worker, (), {"mailbox": Bounded(1)}, ValueError, "'mailbox' is no option"),
    ],
)
async def test_what_cannot_be_is_refused_before_anything_starts(
    factory: Any, args: tuple[Any, ...], options: dict[str, Any], error: type[Exception], text: str
) -> None:
    settings: dict[str, Any] = {"processes": 2, **options}
    async with ActorSystem("bank", remote=Remote()) as system:
        with pytest.raises(error, match=text):
            await system.spawn_router(factory, *args, **settings)
        assert system.actors() == ()


async def test_a_local_kind_and_a_system_that_reaches_no_other_are_refused() -> None:
    class Local(Actor):
        pass

    async with ActorSystem("bank", remote=Remote()) as system:
        with pytest.raises(ValueError, match="top of a module"):
            await system.spawn_router(Local, processes=2)
    async with ActorSystem("bank") as system:
        with pytest.raises(RuntimeError, match="remote=Remote"):
            await system.spawn_router(Worker, processes=2)
