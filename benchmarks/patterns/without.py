"""trioakt without the pattern: what can be had for less."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from benchmarks.contenders.subject import Echo, Get, Sink
from benchmarks.patterns.workloads import POOL, ask, publish, tell
from benchmarks.workloads import on_trio
from trioakt import ActorSystem

if TYPE_CHECKING:
    from benchmarks.workloads import Measured


async def _tell(bursts: int, *, by_hand: bool = False) -> Measured:
    """Tell eight actors, in turn or all of them."""
    async with ActorSystem("benchmarks") as system:
        refs = [await system.spawn(Sink) for _ in range(POOL)]
        return await tell(list(refs), bursts, copies=POOL if by_hand else 1, by_hand=by_hand)


async def _ask(count: int) -> Measured:
    async with ActorSystem("benchmarks") as system:
        return await ask(await system.spawn(Echo), Get(), count)


async def _tell_one(bursts: int) -> Measured:
    async with ActorSystem("benchmarks") as system:
        return await tell([await system.spawn(Sink)], bursts)


async def _tell_all(subscribers: int, burst: int, waves: int) -> Measured:
    """Tell every actor by hand."""
    async with ActorSystem("benchmarks") as system:
        refs = [await system.spawn(Sink) for _ in range(subscribers)]

        def hand_out(message: Any) -> None:
            for ref in refs:
                ref.tell(message)

        return await publish(hand_out, subscribers, burst, waves)


_TOLD = ("tell_round_robin", "tell_random", "tell_least_full", "tell_consistent_hash")
_ASKED = ("ask_round_robin", "ask_scatter_gather_first", "ask_tail_chopping", "ask_idle", "ask_eviction")

WORKLOADS = on_trio(
    {
        **dict.fromkeys(_TOLD, _tell),
        **dict.fromkeys(_ASKED, _ask),
        "tell_broadcasting": partial(_tell, by_hand=True),
        "tell_idle": _tell_one,
        "topic_actors": _tell_all,
    }
)
