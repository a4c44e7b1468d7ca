"""trioakt with its patterns."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import trio

from benchmarks.contenders.subject import Echo, Get, Sink
from benchmarks.patterns.workloads import POOL, TIMERS, Alarm, ask, publish, tell
from benchmarks.workloads import on_trio
from trioakt import (
    ActorSystem,
    Broadcasting,
    ConsistentHash,
    Eviction,
    Idle,
    LeastFull,
    Random,
    RoundRobin,
    ScatterGatherFirst,
    TailChopping,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from benchmarks.workloads import Measured

TOLD = {
    "tell_round_robin": RoundRobin(),
    "tell_random": Random(),
    "tell_least_full": LeastFull(),
    "tell_consistent_hash": ConsistentHash(key=lambda job: job.key),
    "tell_broadcasting": Broadcasting(),
}
ASKED = {
    "ask_round_robin": RoundRobin(),
    "ask_scatter_gather_first": ScatterGatherFirst(within=60.0),
    "ask_tail_chopping": TailChopping(within=60.0, interval=1.0),
}
TOPIC = "benchmarks.deliveries"


async def _tell_router(strategy: Any, bursts: int) -> Measured:
    async with ActorSystem("benchmarks") as system:
        router = await system.spawn_router(Sink, size=POOL, strategy=strategy)
        return await tell([router], bursts, copies=POOL if isinstance(strategy, Broadcasting) else 1)


async def _ask_router(strategy: Any, count: int) -> Measured:
    async with ActorSystem("benchmarks") as system:
        return await ask(await system.spawn_router(Echo, size=POOL, strategy=strategy), Get(), count)


async def _topic_actors(subscribers: int, burst: int, waves: int) -> Measured:
    async with ActorSystem("benchmarks") as system:
        for _ in range(subscribers):
            system.topics.subscribe_ref(TOPIC, await system.spawn(Sink))
        return await publish(partial(system.topics.publish, TOPIC), subscribers, burst, waves)


async def _read(system: ActorSystem, task_status: trio.TaskStatus[None]) -> None:
    async with system.topics.subscribe(TOPIC) as stream:
        task_status.started()
        messages: AsyncIterator[Any] = stream  # none is missed: the buffer holds a wave
        async for message in messages:
            message.act()


async def _topic_streams(readers: int, burst: int, waves: int) -> Measured:
    async with ActorSystem("benchmarks") as system, trio.open_nursery() as nursery:
        for _ in range(readers):
            await nursery.start(_read, system)
        measured = await publish(partial(system.topics.publish, TOPIC), readers, burst, waves)
        nursery.cancel_scope.cancel()
    return measured


async def _timers(workload: Callable[..., Awaitable[Measured]], *args: int) -> Measured:
    async with ActorSystem("benchmarks") as system:
        ref = await system.spawn(Sink)

        def start(alarm: Alarm) -> None:
            system.scheduler.once(alarm.at - trio.current_time(), ref, alarm)

        return await workload(start, *args)


async def _tell_resting(bursts: int) -> Measured:
    async with ActorSystem("benchmarks") as system:
        return await tell([await system.spawn(Sink, passivation=Idle(300.0))], bursts)


async def _ask_resting(count: int, *, eviction: Eviction | None = None, **options: Any) -> Measured:
    """Ask an actor that comes to rest after each question."""
    async with ActorSystem("benchmarks", eviction=eviction) as system:
        return await ask(await system.spawn(Echo, **options), Get(), count)


WORKLOADS = on_trio(
    {
        **{name: partial(_tell_router, strategy) for name, strategy in TOLD.items()},
        **{name: partial(_ask_router, strategy) for name, strategy in ASKED.items()},
        **{workload.__name__: partial(_timers, workload) for workload in TIMERS},
        "topic_actors": _topic_actors,
        "topic_streams": _topic_streams,
        "tell_idle": _tell_resting,
        "ask_idle": partial(_ask_resting, passivation=Idle(300.0)),
        "ask_eviction": partial(_ask_resting, eviction=Eviction(limit=10_000)),
    }
)
