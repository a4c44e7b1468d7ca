"""Pykka's threading actors as a contender; blocking calls, so it shares no workload code with the Trio contenders."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pykka

from benchmarks.memory import resident_bytes
from benchmarks.messages import BURST, TICK, Ball, Countdown

if TYPE_CHECKING:
    from collections.abc import Callable


class Sink(pykka.ThreadingActor):
    """Does the work of a message, or answers a tick that was asked."""

    def on_receive(self, message: Any) -> int:
        """Handle one message."""
        if message is not TICK:
            message.act()
        return 1


def tell(bursts: int) -> float:
    """Tell one actor in bursts of a thousand; messages per second."""
    ref = Sink.start()
    _bursts(ref, 1 + bursts // 10)
    started = time.perf_counter()
    _bursts(ref, bursts)
    return bursts * BURST / (time.perf_counter() - started)


def _bursts(ref: pykka.ActorRef[Sink], bursts: int) -> None:
    for _ in range(bursts):
        handled = threading.Event()
        for _ in range(BURST - 1):
            ref.tell(TICK)
        ref.tell(Countdown(1, handled.set))
        handled.wait()


def ask(askers: int, each: int) -> float:
    """Ask one actor from `askers` threads; replies per second."""
    ref = Sink.start()

    def asker() -> None:
        for _ in range(each):
            ref.ask(TICK)

    if askers == 1:
        started = time.perf_counter()
        asker()
    else:
        with ThreadPoolExecutor(askers) as pool:
            started = time.perf_counter()
            for _ in range(askers):
                pool.submit(asker)
    return askers * each / (time.perf_counter() - started)


def ping_pong(hops: int) -> float:
    """Let a ball fly between two actors; hops per second."""
    players = [Sink.start(), Sink.start()]
    done = threading.Event()
    started = time.perf_counter()
    players[0].tell(Ball(hops, players, done.set))
    done.wait()
    return hops / (time.perf_counter() - started)


def spawn(_spawners: int, count: int) -> float:
    """Start actors one after the other; actors per second."""
    started = time.perf_counter()
    for _ in range(count):
        Sink.start()
    return count / (time.perf_counter() - started)


def idle_bytes(count: int) -> float:
    """Start actors that nobody uses; resident bytes per actor."""
    spawn(1, 10)
    before = resident_bytes()
    spawn(1, count)
    return (resident_bytes() - before) / count


def _runner(measure: Callable[..., float]) -> Callable[..., dict[str, float]]:
    def run(*args: int) -> dict[str, float]:
        try:
            return {"value": measure(*args)}
        finally:
            pykka.ActorRegistry.stop_all()

    return run


WORKLOADS = {measure.__name__: _runner(measure) for measure in (tell, ask, ping_pong, spawn, idle_bytes)}
