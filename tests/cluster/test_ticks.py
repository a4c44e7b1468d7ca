"""Schedules of the cluster: each tick is told once, whoever tells it."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from tests.cluster.nodes import open_town
from trioakt import Actor, ActorSystem, Context

EPOCH = 1_700_000_000.0
NOBODY: list[tuple[str, float]] = []


class Bell(Actor):
    """Notes when it is rung, where all bells do."""

    def __init__(self, log: list[tuple[str, float]]) -> None:
        self._log = log

    def receive(self, ctx: Context, msg: Any) -> None:
        self._log.append((ctx.system.address, round(trio.current_time(), 1)))


async def _ring(system: ActorSystem, log: list[tuple[str, float]]) -> None:
    bell = await system.spawn(Bell, log)
    system.scheduler.cron("* * * * *", bell, "ring", name="bell", cluster=True)


def _clock(ahead: float) -> Any:
    return lambda: EPOCH + trio.current_time() + ahead


async def test_of_three_nodes_one_tells_each_tick(autojump_clock: MockClock) -> None:
    log: list[tuple[str, float]] = []
    async with open_town() as town:
        for name, ahead in {"a": 0.0, "b": 0.4, "c": -0.4}.items():
            await _ring(await town.start(name, wall_clock=_clock(ahead)), log)

        await trio.sleep(10 * 60)

    assert len(log) == 10


async def test_the_others_go_on_when_a_node_is_lost(autojump_clock: MockClock) -> None:
    log: list[tuple[str, float]] = []
    async with open_town() as town:
        nodes = [await town.start(name, wall_clock=_clock(0.0)) for name in "ab"]
        for node in nodes:
            await _ring(node, log)
        await trio.sleep(5 * 60)

        await town.crash(nodes[0])
        await trio.sleep(5 * 60)

    assert len(log) == 10
    assert {address for address, _ in log[5:]} == {nodes[1].address}


async def test_ticks_do_not_pile_up_in_the_store(autojump_clock: MockClock) -> None:
    async with open_town() as town:
        await _ring(await town.start("a", wall_clock=_clock(0.0)), [])

        await trio.sleep(3 * 3600)

        assert town.store.statistics().keys < 20


async def test_a_schedule_of_the_cluster_needs_a_name_and_a_cluster(autojump_clock: MockClock) -> None:
    async with open_town() as town, ActorSystem("alone") as alone:
        here = await town.start("a")
        with pytest.raises(TypeError, match="name="):
            here.scheduler.cron("* * * * *", await here.spawn(Bell, NOBODY), "ring", cluster=True)
        with pytest.raises(RuntimeError, match="in no cluster"):
            alone.scheduler.cron("* * * * *", await alone.spawn(Bell, NOBODY), "ring", name="bell", cluster=True)
