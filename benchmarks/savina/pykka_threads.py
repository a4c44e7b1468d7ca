"""The programs on Pykka; absent where it is not installed."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

import pykka

from benchmarks.savina.twins.bank_transaction import bank_transaction
from benchmarks.savina.twins.big import big
from benchmarks.savina.twins.bounded_buffer import bounded_buffer
from benchmarks.savina.twins.chameneos import chameneos
from benchmarks.savina.twins.cigarette_smokers import cigarette_smokers
from benchmarks.savina.twins.concurrent_dictionary import concurrent_dictionary
from benchmarks.savina.twins.concurrent_sorted_list import concurrent_sorted_list
from benchmarks.savina.twins.counting import counting
from benchmarks.savina.twins.dining_philosophers import dining_philosophers
from benchmarks.savina.twins.fork_join_creation import fork_join_creation
from benchmarks.savina.twins.fork_join_throughput import fork_join_throughput
from benchmarks.savina.twins.ping_pong import ping_pong
from benchmarks.savina.twins.sleeping_barber import sleeping_barber
from benchmarks.savina.twins.thread_ring import thread_ring

if TYPE_CHECKING:
    from collections.abc import Callable

PROGRAMS: tuple[Callable[..., int], ...] = (
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


def _measure(program: Callable[..., int], *args: int) -> dict[str, float]:
    """Run a program from its first actor to its checked result; messages per second."""
    started = time.perf_counter()
    try:
        messages = program(*args)
        return {"value": messages / (time.perf_counter() - started)}
    finally:
        pykka.ActorRegistry.stop_all()


WORKLOADS = {program.__name__: partial(_measure, program) for program in PROGRAMS}
