"""What the contenders of the patterns have in common: how they are driven and timed; it knows no actors."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import trio

from benchmarks.messages import BURST, Countdown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from benchmarks.workloads import Measured, Ref

POOL = 8
"""Actors behind a router."""


class Job:
    """A message that a router can tell from others by its key; all of a burst share one countdown."""

    __slots__ = ("act", "key")

    def __init__(self, key: int, countdown: Countdown) -> None:
        self.key = key
        self.act = countdown.act


async def tell(refs: list[Ref], bursts: int, *, copies: int = 1, by_hand: bool = False) -> Measured:
    """Tell in bursts of a thousand, each message being handled by `copies` actors; messages handled per second.

    Each message is told to the next of the refs, or with `by_hand` to all of them.
    """
    countdown = Countdown(0, lambda: None)
    jobs = [Job(key, countdown) for key in range(BURST)]
    turns = [(refs if by_hand else [refs[job.key % len(refs)]], job) for job in jobs]
    told = [(ref.tell, job) for chosen, job in turns for ref in chosen]

    async def burst() -> None:
        handled = trio.Event()
        countdown.left, countdown.done = BURST * copies, handled.set
        for tell, job in told:
            tell(job)
        await handled.wait()

    return await _timed(burst, bursts, BURST * copies)


async def ask(ref: Ref, request: object, count: int) -> Measured:
    """Ask, one question at a time; replies per second."""

    async def once() -> None:
        await ref.ask(request)

    return await _timed(once, count, 1)


async def publish(hand_out: Callable[[Any], None], subscribers: int, burst: int, waves: int) -> Measured:
    """Hand out `burst` messages and wait until every subscriber has acted on each; deliveries per second."""
    countdown = Countdown(0, lambda: None)

    async def wave() -> None:
        handled = trio.Event()
        countdown.left, countdown.done = subscribers * burst, handled.set
        for _ in range(burst):
            hand_out(countdown)
        await handled.wait()

    return await _timed(wave, waves, subscribers * burst)


async def _timed(step: Callable[[], Any], steps: int, each: int) -> Measured:
    for _ in range(1 + steps // 10):
        await step()
    started = time.perf_counter()
    for _ in range(steps):
        await step()
    return {"value": steps * each / (time.perf_counter() - started)}


class Alarm:
    """A message that is due at a time, and notes how late it is handled."""

    __slots__ = ("at", "late")

    def __init__(self, at: float, late: list[float]) -> None:
        self.at = at
        self.late = late

    def act(self) -> None:
        """Note it."""
        self.late.append(trio.current_time() - self.at)


def alarms(count: int, span: float, late: list[float]) -> Iterable[Alarm]:
    """Yield alarms that are due evenly over a span of seconds, which begins in two, in no order of their times."""
    begin = trio.current_time() + 2.0
    step = 61_803  # a prime: it comes by every place once
    for number in range(count):
        yield Alarm(begin + span * (number * step % count) / count, late)
