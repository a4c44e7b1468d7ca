"""What the contenders of the patterns have in common: how they are driven and timed; it knows no actors."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import trio

from benchmarks.memory import resident_bytes
from benchmarks.messages import BURST, Countdown

if TYPE_CHECKING:
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

    __slots__ = ("at", "note")

    def __init__(self, at: float, note: Callable[[float], None]) -> None:
        self.at = at
        self.note = note

    def act(self) -> None:
        """Note it."""
        self.note(trio.current_time() - self.at)


Set = Callable[[Alarm], object]
"""How a contender sets an alarm."""


def _alarms(count: int, after: float, span: float, note: Callable[[float], None]) -> list[Alarm]:
    """Make alarms that are due evenly over a span of seconds, in no order."""
    begin = trio.current_time() + after
    places = (number * 61_803 % count for number in range(count))  # each place once, for a count of tens
    return [Alarm(begin + span * place / count, note) for place in places]


async def _set(alarms: list[Alarm], start: Set) -> None:
    for alarm in alarms:
        start(alarm)
    for _ in range(2):  # tasks that were started have run when the second returns
        await trio.lowlevel.checkpoint()


async def timers_set(start: Set, count: int) -> Measured:
    """Set alarms; alarms per second."""
    alarms = _alarms(count, 3600.0, 3600.0, _never)
    started = time.perf_counter()
    await _set(alarms, start)
    return {"value": count / (time.perf_counter() - started)}


async def timers_bytes(start: Set, count: int) -> Measured:
    """Set alarms; resident bytes of each."""
    await _set(_alarms(10, 3600.0, 3600.0, _never), start)
    alarms = _alarms(count, 3600.0, 3600.0, _never)
    before = resident_bytes()
    await _set(alarms, start)
    return {"value": (resident_bytes() - before) / count}


async def timers_late(start: Set, count: int, others: int, span: int) -> Measured:
    """Set alarms that are due over a span of seconds, beside others; seconds late at the 99th percentile."""
    late: list[float] = []
    rung = trio.Event()

    def note(seconds: float) -> None:
        late.append(seconds)
        if len(late) == count:
            rung.set()

    await _set(_alarms(others, 3600.0, 3600.0, _never), start)
    await _set(_alarms(count, 1.0, span, note), start)
    await rung.wait()
    late.sort()
    return {"value": late[count * 99 // 100], "median": late[count // 2], "worst": late[-1]}


def _never(seconds: float) -> None:
    raise AssertionError(f"an alarm that was not due rang, {seconds} s late")


TIMERS: tuple[Callable[..., Awaitable[Measured]], ...] = (timers_set, timers_bytes, timers_late)
