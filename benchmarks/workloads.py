"""What is measured on Trio: each workload drives an arena, knowing only its refs, and returns figures by name.

`value` is the figure itself, the other entries are what else was seen.
"""

from __future__ import annotations

import gc
import time
from functools import partial
from itertools import cycle, islice
from typing import TYPE_CHECKING, Any, Protocol

import trio

from benchmarks.memory import resident_bytes
from benchmarks.messages import BURST, TICK, Ball, Countdown, Flood

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from contextlib import AbstractAsyncContextManager

Measured = dict[str, float]


class Ref(Protocol):
    """One actor as its senders see it."""

    def tell(self, message: Any, /) -> object:
        """Enqueue a message."""
        ...

    def ask(self, request: Any, /) -> Awaitable[Any]:
        """Send a request and wait for its reply."""
        ...


class Spawner(Protocol):
    """Where tasks are started that will wait for work."""

    async def sink(self) -> object:
        """Start an actor whose async handler does the work of each message, if any."""
        ...


class Arena(Protocol):
    """Where one contender's actors are started."""

    request: Any
    """What an echo answers."""

    async def sink(self) -> Ref:
        """Start an actor whose async handler does the work of each message, if any."""
        ...

    async def plain_sink(self) -> Ref:
        """Start the same with a plain `def` handler, where the contender has such."""
        ...

    async def echo(self) -> Ref:
        """Start an actor that answers each request with a small integer."""
        ...


async def _bursts(ref: Ref, bursts: int) -> None:
    for _ in range(bursts):
        handled = trio.Event()
        tell = ref.tell
        for _ in range(BURST - 1):
            tell(TICK)
        tell(Countdown(1, handled.set))
        await handled.wait()


async def tell(arena: Arena, bursts: int) -> Measured:
    """Tell one actor in bursts of a thousand; messages per second."""
    return await _time_bursts(await arena.sink(), bursts)


async def tell_plain(arena: Arena, bursts: int) -> Measured:
    """Tell one actor with a plain `def` handler in bursts; messages per second."""
    return await _time_bursts(await arena.plain_sink(), bursts)


async def _time_bursts(ref: Ref, bursts: int) -> Measured:
    await _bursts(ref, 1 + bursts // 10)
    started = time.perf_counter()
    await _bursts(ref, bursts)
    return {"value": bursts * BURST / (time.perf_counter() - started)}


async def tell_yield(arena: Arena, count: int) -> Measured:
    """Tell one actor, the sender yielding after each message; messages per second."""
    ref = await arena.sink()
    await _bursts(ref, 1)
    handled = trio.Event()
    started = time.perf_counter()
    for _ in range(count):
        ref.tell(TICK)
        await trio.lowlevel.checkpoint()
    ref.tell(Countdown(1, handled.set))
    await handled.wait()
    return {"value": count / (time.perf_counter() - started)}


async def ask(arena: Arena, askers: int, each: int) -> Measured:
    """Ask one actor from `askers` tasks, `each` asks one after the other; replies per second."""
    ref, request = await arena.echo(), arena.request

    async def asker(count: int) -> None:
        for _ in range(count):
            await ref.ask(request)

    await asker(100)
    started = time.perf_counter()
    if askers == 1:
        await asker(each)
    else:
        async with trio.open_nursery() as nursery:
            for _ in range(askers):
                nursery.start_soon(asker, each)
    return {"value": askers * each / (time.perf_counter() - started)}


async def ping_pong(arena: Arena, hops: int) -> Measured:
    """Let a ball fly between two actors; hops per second."""
    players = [await arena.sink(), await arena.sink()]
    started = 0.0
    for flight in (1 + hops // 10, hops):  # the first warms up
        done = trio.Event()
        started = time.perf_counter()
        players[0].tell(Ball(flight, players, done.set))
        await done.wait()
    return {"value": hops / (time.perf_counter() - started)}


async def fan_out(arena: Arena, width: int, waves: int) -> Measured:
    """Tell each of `width` actors once and wait for all, wave after wave; messages per second."""
    refs = [await arena.sink() for _ in range(width)]
    await _wave(refs)
    started = time.perf_counter()
    for _ in range(waves):
        await _wave(refs)
    return {"value": width * waves / (time.perf_counter() - started)}


async def _wave(refs: list[Ref]) -> None:
    done = trio.Event()
    message = Countdown(len(refs), done.set)
    for ref in refs:
        ref.tell(message)
    await done.wait()


async def spawn(arena: Spawner, spawners: int, each: int) -> Measured:
    """Start actors from `spawners` tasks, `each` one after the other, until all wait for work; actors per second."""
    await _settle(arena, 100)
    started = time.perf_counter()
    if spawners == 1:
        await _settle(arena, each)
    else:
        async with trio.open_nursery() as nursery:
            for _ in range(spawners):
                nursery.start_soon(_settle, arena, each)
    return {"value": spawners * each / (time.perf_counter() - started)}


async def _settle(arena: Spawner, count: int) -> None:
    for _ in range(count):
        await arena.sink()
    for _ in range(2):  # a task started before the first of them has run when the second returns
        await trio.lowlevel.checkpoint()


async def idle_bytes(arena: Spawner, count: int) -> Measured:
    """Start actors that nobody uses; resident bytes per actor."""
    await _settle(arena, 1000)
    before = resident_bytes()
    await _settle(arena, count)
    return {"value": (resident_bytes() - before) / count}


async def answered_bytes(arena: Arena, count: int) -> Measured:
    """Start actors and ask each once; resident bytes per actor."""
    for _ in range(1000):
        await (await arena.echo()).ask(arena.request)
    before = resident_bytes()
    refs = [await arena.echo() for _ in range(count)]
    for ref in refs:
        await ref.ask(arena.request)
    return {"value": (resident_bytes() - before) / count}


async def million(arena: Arena, count: int) -> Measured:
    """Start `count` actors and ask each once, all alive together; resident bytes of the whole process."""
    started = time.perf_counter()
    refs = [await arena.echo() for _ in range(count)]
    spawned = time.perf_counter()
    for ref in refs:
        await ref.ask(arena.request)
    answered = time.perf_counter()
    return {
        "value": resident_bytes(),
        "spawn_seconds": spawned - started,
        "ask_seconds": answered - spawned,
    }


async def timer(arena: Arena, actors: int, beats: int) -> Measured:
    """Sleep a millisecond again and again while `actors` flood themselves; seconds late at the 99th percentile."""
    floods = [Flood(await arena.sink()) for _ in range(actors)]
    for flood in floods:
        flood.recipient.tell(flood)
    await trio.sleep(0.05)
    handled, started = sum(flood.handled for flood in floods), time.perf_counter()
    late = sorted([await _lateness(0.001) for _ in range(beats)])
    elapsed = time.perf_counter() - started
    handled = sum(flood.handled for flood in floods) - handled
    for flood in floods:
        flood.running = False
    return {"value": late[len(late) * 99 // 100], "worst": late[-1], "messages_per_second": handled / elapsed}


async def _lateness(delay: float) -> float:
    deadline = trio.current_time() + delay
    await trio.sleep_until(deadline)
    return trio.current_time() - deadline


async def growth(arena: Arena, few: int, many: int, waves: int) -> Measured:
    """Tell the next ten of `few`, later of `many`, live actors per wave; how many times the cost per message grew."""
    refs = [await arena.sink() for _ in range(few)]
    few_cost = await _cost_in_turn(refs, waves)
    refs += [await arena.sink() for _ in range(many - few)]
    many_cost = await _cost_in_turn(refs, waves)
    return {"value": many_cost / few_cost, "few_us": few_cost * 1e6, "many_us": many_cost * 1e6}


async def _cost_in_turn(refs: list[Ref], waves: int) -> float:
    turn = cycle(refs)
    for _ in range(max(waves // 10, len(refs) // 10)):
        await _wave(list(islice(turn, 10)))
    gc.collect()  # what starting the actors left to collect is not the messages' cost
    started = time.perf_counter()
    for _ in range(waves):
        await _wave(list(islice(turn, 10)))
    return (time.perf_counter() - started) / (10 * waves)


def workloads_in(open_arena: Callable[[], AbstractAsyncContextManager[Any]]) -> dict[str, Callable[..., Measured]]:
    """Return each workload of this module as a plain function that opens an arena and runs it there."""

    async def measure(workload: Callable[..., Awaitable[Measured]], *args: int) -> Measured:
        async with open_arena() as arena:
            return await workload(arena, *args)

    return on_trio({workload.__name__: partial(measure, workload) for workload in _ALL})


def on_trio(workloads: Mapping[str, Callable[..., Awaitable[Measured]]]) -> dict[str, Callable[..., Measured]]:
    """Return workloads as plain functions, each of which runs Trio."""
    return {name: partial(trio.run, workload) for name, workload in workloads.items()}


_ALL: tuple[Callable[..., Awaitable[Measured]], ...] = (
    tell,
    tell_plain,
    tell_yield,
    ask,
    ping_pong,
    fan_out,
    spawn,
    idle_bytes,
    answered_bytes,
    million,
    timer,
    growth,
)
