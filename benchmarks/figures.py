"""The figures: what is measured, on whom, how much of it, and the bars trioakt has set itself. Pure data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Unit:
    """How a value is written: times `scale`, with `digits` decimals, before `suffix`."""

    suffix: str
    scale: float = 1.0
    digits: int = 0

    def show(self, value: float) -> str:
        """Write a value for people."""
        return f"{value * self.scale:,.{self.digits}f}{self.suffix}"


@dataclass(frozen=True, slots=True)
class AtLeast:
    """Reached when trioakt's value is `factor` times another contender's, or more."""

    factor: float
    against: str = "floor"
    stretch: float | None = None


@dataclass(frozen=True, slots=True)
class AtMost:
    """Reached when trioakt's value is `limit` or less."""

    limit: float
    stretch: float | None = None


PER_SECOND = Unit(" /s")
BYTES = Unit(" B")
MEGABYTES = Unit(" MB", 1e-6)
MILLISECONDS = Unit(" ms", 1e3, 2)
TIMES = Unit(" x", 1.0, 2)


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table."""

    title: str
    workload: str
    args: tuple[int, ...]
    quick: tuple[int, ...]
    unit: Unit = PER_SECOND
    contenders: tuple[str, ...] = ("trioakt", "floor")
    bars: tuple[AtLeast | AtMost, ...] = ()
    rounds: int | None = None
    """How many measurements of each contender; None takes the run's."""
    suite: str = "contenders"
    """The package that has the contenders' modules."""


PEERS = ("naive", "pykka", "pykka2", "triotp")
TASKS = ("bare", "pykka")

FIGURES = {
    "tell": Figure(
        "tell, bursts, async handler", "tell", (300,), (5,), contenders=("trioakt", "floor", *PEERS),
        bars=(AtLeast(0.60, stretch=0.85), AtLeast(10, "naive"), AtLeast(2.5, "pykka")),
    ),
    "tell-plain": Figure(
        "tell, bursts, plain handler", "tell_plain", (300,), (5,), bars=(AtLeast(0.60, stretch=0.85),),
    ),
    "tell-yield": Figure(
        "tell, sender yields after each", "tell_yield", (100_000,), (2000,), contenders=("trioakt", "floor", "naive"),
    ),
    "ask": Figure(
        "ask, one asker", "ask", (1, 30_000), (1, 500), contenders=("trioakt", "floor", *PEERS),
        bars=(AtLeast(0.70, stretch=1.1),),
    ),
    "ask-100": Figure(
        "ask, 100 askers", "ask", (100, 500), (100, 5), contenders=("trioakt", "floor", *PEERS),
        bars=(AtLeast(0.65, stretch=1.2),),
    ),
    "ping-pong": Figure(
        "ping-pong, per hop", "ping_pong", (100_000,), (2000,), contenders=("trioakt", "floor", "pykka", "pykka2"),
        bars=(AtLeast(0.65, stretch=1.0),),
    ),
    "fan-out-1k": Figure(
        "fan-out to 1,000 actors", "fan_out", (1000, 200), (1000, 2), bars=(AtLeast(0.65, stretch=1.0),),
    ),
    "fan-out-10k": Figure(
        "fan-out to 10,000 actors", "fan_out", (10_000, 20), (1000, 2), bars=(AtLeast(0.65, stretch=1.0),),
    ),
    "spawn": Figure(
        "spawn, one spawner", "spawn", (1, 10_000), (1, 200), contenders=("trioakt", "floor", *TASKS),
        bars=(AtLeast(0.45, "bare", stretch=0.8),),
    ),
    "spawn-100": Figure(
        "spawn, 100 spawners", "spawn", (100, 100), (100, 2), contenders=("trioakt", "floor", "bare"),
        bars=(AtLeast(0.45, "bare", stretch=0.8),),
    ),
    "idle-bytes": Figure(
        "memory per idle actor", "idle_bytes", (20_000,), (500,), BYTES, contenders=("trioakt", "floor", *TASKS),
        bars=(AtMost(3000, stretch=2000),),
    ),
    "answered-bytes": Figure("memory per actor that answered", "answered_bytes", (20_000,), (500,), BYTES),
    "timer": Figure(
        "timer lateness, p99, 100 floods", "timer", (100, 1000), (100, 50), MILLISECONDS,
        bars=(AtMost(0.005, stretch=0.002),),
    ),
    "growth": Figure(
        "cost per message, 10 → 100,000 actors", "growth", (10, 100_000, 20_000), (10, 1000, 50), TIMES,
        bars=(AtMost(2.5, stretch=1.5),),
    ),
    "million": Figure(
        "1,000,000 actors, each answering", "million", (1_000_000,), (2000,), MEGABYTES, rounds=1,
        bars=(AtMost(3.5e9),),
    ),
}  # fmt: skip

FIGURES |= {
    f"savina-{program.replace('_', '-')}": Figure(
        f"Savina: {program.replace('_', ' ')}", program, args, quick, contenders=("trioakt", "pykka"), suite="savina"
    )
    for program, args, quick in (
        ("ping_pong", (80_000,), (100,)),
        ("thread_ring", (100, 150_000), (10, 105)),
        ("counting", (600_000,), (1000,)),
        ("fork_join_throughput", (60, 8000), (10, 20)),
        ("fork_join_creation", (10_000,), (50,)),
        ("chameneos", (100, 40_000), (10, 100)),
        ("big", (100, 1000), (10, 20)),
        ("concurrent_dictionary", (20, 4000), (4, 50)),
        ("concurrent_sorted_list", (20, 5000), (4, 50)),
        ("bounded_buffer", (50, 40, 1000), (4, 5, 20)),
        ("dining_philosophers", (20, 4000), (5, 20)),
        ("sleeping_barber", (20, 24, 1000), (2, 4, 20)),
        ("cigarette_smokers", (200, 80_000), (10, 100)),
        ("bank_transaction", (1000, 30_000), (20, 100)),
    )
}

FIGURES |= {
    name: Figure(title, workload, args, quick, unit, contenders=("trioakt", beside), suite="patterns")
    for name, title, workload, args, quick, unit, beside in (
        ("router-round-robin", "router, round robin", "tell_round_robin", (200,), (2,), PER_SECOND, "without"),
        ("router-random", "router, random", "tell_random", (200,), (2,), PER_SECOND, "without"),
        ("router-least-full", "router, least full", "tell_least_full", (50,), (2,), PER_SECOND, "without"),
        ("router-hash", "router, consistent hash", "tell_consistent_hash", (200,), (2,), PER_SECOND, "without"),
        ("router-broadcasting", "router, broadcasting", "tell_broadcasting", (40,), (1,), PER_SECOND, "without"),
        ("router-ask", "router, round robin, ask", "ask_round_robin", (20_000,), (200,), PER_SECOND, "without"),
        ("router-first", "router, scatter-gather", "ask_scatter_gather_first", (4000,), (50,), PER_SECOND, "without"),
        ("router-chopping", "router, tail chopping", "ask_tail_chopping", (8000,), (50,), PER_SECOND, "without"),
        ("timers-set", "timers, 100,000 to set", "timers_set", (100_000,), (500,), PER_SECOND, "bare"),
        ("timers-bytes", "timers, memory of each", "timers_bytes", (100_000,), (500,), BYTES, "bare"),
        ("timers-late", "timers, p99 late", "timers_late", (10_000, 90_000, 4), (50, 450, 1), MILLISECONDS, "bare"),
        ("passivation-tell", "tell, Idle(300)", "tell_idle", (300,), (2,), PER_SECOND, "without"),
        ("passivation-ask", "ask, Idle(300)", "ask_idle", (30_000,), (200,), PER_SECOND, "without"),
        ("passivation-eviction", "ask, Eviction(10,000)", "ask_eviction", (30_000,), (200,), PER_SECOND, "without"),
    )
}

FIGURES |= {
    f"topic-{kind}-{size}": Figure(
        f"topic, {kind}: {size:,}", f"topic_{kind}", (size, burst, waves), (size, 2, 1),
        contenders=("trioakt", beside), suite="patterns",
    )
    for kind, beside in (("actors", "without"), ("streams", "naive"))
    for size, burst, waves in ((1, 100, 2000), (10, 100, 300), (100, 50, 80), (1000, 10, 40), (10_000, 2, 20))
}  # fmt: skip

FIGURES |= {
    f"instrument-{name}": Figure(
        f"tell, {title}", f"tell_{name}", (bursts,), (1,), contenders=("trioakt", "without"), suite="observability"
    )
    for name, title, bursts in (
        ("hook", "an idle instrument", 150),
        ("correlation", "Correlation()", 100),
        ("counts", "Metrics(), counts alone", 100),
        ("metrics", "Metrics()", 50),
        ("unsampled", "Tracing(), not sampled", 30),
        ("tracing", "Tracing()", 20),
    )
}

FIGURES |= {
    f"persist-{writers}": Figure(
        f"events kept, writers: {writers}", "persist", (writers, each), (writers, 2), contenders=("trioakt", "sqlite"),
        suite="persistence",
    )
    for writers, each in ((1, 600), (10, 200), (100, 100))
}  # fmt: skip

FIGURES |= {
    f"remote-{name}{suffix}": Figure(
        f"remote {title}{', TLS' if tls else ''}", workload, (servers, tls, *args), (servers, tls, *quick),
        bars=() if tls else bars, suite="remote",
    )
    for name, title, workload, servers, args, quick, bars in (
        ("tell-64", "tell, 64 B", "tell", 1, (64, 50, 4096), (64, 1, 128), (AtLeast(0.55, stretch=0.9),)),
        ("tell-1k", "tell, 1 kB", "tell", 1, (1024, 40, 4096), (1024, 1, 128), ()),
        ("tell-64k", "tell, 64 kB", "tell", 1, (65_536, 20, 256), (65_536, 1, 8), ()),
        ("tell-4", "tell, 64 B, 4 nodes in turn", "tell", 4, (64, 50, 4096), (64, 1, 128), ()),
        ("ask-64", "ask, 64 B", "ask", 1, (64, 1, 8000), (64, 1, 50), (AtLeast(0.6, stretch=0.8),)),
        ("ask-1k", "ask, 1 kB", "ask", 1, (1024, 1, 8000), (1024, 1, 50), ()),
        ("ask-64k", "ask, 64 kB", "ask", 1, (65_536, 1, 2000), (65_536, 1, 20), ()),
        ("ask-100-64", "ask, 100 askers, 64 B", "ask", 1, (64, 100, 800), (64, 100, 3), (AtLeast(0.55, stretch=0.9),)),
        ("ask-100-1k", "ask, 100 askers, 1 kB", "ask", 1, (1024, 100, 600), (1024, 100, 3), ()),
        ("ask-100-64k", "ask, 100 askers, 64 kB", "ask", 1, (65_536, 100, 30), (65_536, 100, 1), ()),
        ("ask-100-4", "ask, 100 askers, 64 B, 4 nodes", "ask", 4, (64, 100, 800), (64, 100, 3), ()),
    )
    for tls, suffix in ((0, ""), (1, "-tls"))
}  # fmt: skip

FIGURES |= {
    f"store-{name}": Figure(
        f"store, {title}", workload, args, quick, unit, contenders=("in-sqlite", "in-etcd", "in-postgresql"),
        suite="stores",
    )
    for name, title, workload, args, quick, unit in (
        ("create", "create", "create", (500,), (5,), MILLISECONDS),
        ("watch", "create until a watch hears", "watch", (500,), (5,), MILLISECONDS),
        ("creates-8", "creates, 8 tasks", "creates", (8, 250), (8, 2), PER_SECOND),
        ("creates-100", "creates, 100 tasks", "creates", (100, 20), (20, 2), PER_SECOND),
        ("leased", "20,000 leased keys vanish", "leased", (20, 1000), (5, 2), MILLISECONDS),
    )
}  # fmt: skip
