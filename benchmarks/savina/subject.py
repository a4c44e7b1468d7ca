"""The programs on trioakt."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

import trio

from benchmarks.savina.bank_transaction import bank_transaction
from benchmarks.savina.big import big
from benchmarks.savina.bounded_buffer import bounded_buffer
from benchmarks.savina.chameneos import chameneos
from benchmarks.savina.cigarette_smokers import cigarette_smokers
from benchmarks.savina.concurrent_dictionary import concurrent_dictionary
from benchmarks.savina.concurrent_sorted_list import concurrent_sorted_list
from benchmarks.savina.counting import counting
from benchmarks.savina.dining_philosophers import dining_philosophers
from benchmarks.savina.fork_join_creation import fork_join_creation
from benchmarks.savina.fork_join_throughput import fork_join_throughput
from benchmarks.savina.ping_pong import ping_pong
from benchmarks.savina.sleeping_barber import sleeping_barber
from benchmarks.savina.thread_ring import thread_ring
from trioakt import ActorSystem

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

PROGRAMS: tuple[Callable[..., Awaitable[int]], ...] = (
    bank_transaction,
    big,
    bounded_buffer,
    chameneos,
    cigarette_smokers,
    concurrent_dictionary,
    concurrent_sorted_list,
    counting,
    dining_philosophers,
    fork_join_creation,
    fork_join_throughput,
    ping_pong,
    sleeping_barber,
    thread_ring,
)


async def _measure(program: Callable[..., Awaitable[int]], *args: int) -> dict[str, float]:
    """Run a program from its first actor to its checked result; messages per second."""
    async with ActorSystem("savina") as system:
        started = time.perf_counter()
        messages = await program(system, *args)
        return {"value": messages / (time.perf_counter() - started)}


WORKLOADS = {program.__name__: partial(trio.run, _measure, program) for program in PROGRAMS}
