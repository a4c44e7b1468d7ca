"""Simulation: a scenario with several nodes in one process, where a seed decides about everything left to chance."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

import attrs
import trio
from trio.testing import MockClock

from trioakt.testing.chance import repeatable
from trioakt.testing.gates import Gates
from trioakt.testing.invariants import Invariants
from trioakt.testing.nodes import SimulatedNodes
from trioakt.testing.trace import TraceEntry


@attrs.frozen
class SimulationResult:
    """What a simulation has seen.

    Attributes:
        seed: Its seed.
        trace: What happened: the events of all nodes, the messages handled, and what was done to nodes and network.
        trace_hash: A hash of the trace; the same seed and scenario bring the same one, in every process.
        violations: The promises that were broken; it should be empty.
        virtual_seconds: How long the scenario took by its own clock.
    """

    seed: int
    trace: tuple[TraceEntry, ...] = attrs.field(repr=False)
    trace_hash: str
    violations: tuple[str, ...]
    virtual_seconds: float


class Simulation:
    """Runs scenarios with several nodes in one thread, on virtual time, with a network and a store in memory.

    From the seed come the order in which tasks run, the delays and losses of the network and the store, the ids and
    challenges of the nodes, the ``rng`` of each system and that of the scenario. A scenario that leaves nothing to any
    other chance, to threads or to the real time does the same each time.

    Args:
        seed: Any number.
    """

    def __init__(self, seed: int = 0) -> None:
        self._seed = seed

    def run(self, scenario: Callable[..., Awaitable[object]], *args: object) -> SimulationResult:
        """Run ``scenario(sim, *args)`` in a Trio run of its own; ``sim`` is a ``SimulatedNodes``.

        When it returns, the network and the store are mended. After 5 virtual seconds, or up to 12 where names of the
        cluster have no owner yet, all nodes end in order.

        Raises:
            Exception: What the scenario raised, or the exception group of a node that failed, with the seed added.
            RuntimeError: Called inside a Trio run.
        """
        seeds = Random(self._seed)
        try:
            with repeatable(Random(seeds.getrandbits(64))):
                clock, gates = MockClock(autojump_threshold=0), Gates()
                return trio.run(self._run, seeds, scenario, args, gates, clock=clock, instruments=[gates])
        except BaseException as error:
            _tell(error, f"simulation seed {self._seed}")
            raise

    async def _run(self, seeds: Random, scenario: Any, args: tuple[object, ...], gates: Gates) -> SimulationResult:
        invariants = Invariants(Random(seeds.getrandbits(64)))
        before = trio.lowlevel.current_statistics().tasks_living
        failed: BaseException | None = None
        seconds = 0.0
        async with trio.open_nursery() as nursery:
            try:
                seconds = await SimulatedNodes(nursery, seeds, invariants, gates).play(scenario, args)
            except (trio.Cancelled, KeyboardInterrupt):
                raise
            except BaseException as error:
                failed = error  # it leaves as it is, not inside the nursery's group
            nursery.cancel_scope.cancel()
        if failed is not None:
            raise failed
        left = trio.lowlevel.current_statistics().tasks_living - before
        if left:
            invariants.report(f"left behind: {left} tasks")
        return SimulationResult(
            self._seed, tuple(invariants.trace.entries), invariants.trace.hash(), tuple(invariants.violations), seconds
        )


def _tell(error: BaseException, text: str) -> None:
    """Put a text into the message of an exception, or where that is not the plain one, into its notes."""
    match error.args:
        case (str(said),):
            error.args = (f"{said} ({text})",)
        case _:
            pass
    if text not in str(error):
        error.add_note(text)
