"""Histories of real processes under SIGKILL and SIGSTOP, which are what one plain object would have done."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from itertools import permutations, product
from pathlib import Path
from random import Random
from typing import Any

import attrs
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from tests.multiprocess.cluster_history import (
    Added,
    Call,
    Found,
    Missing,
    Spawned,
    Stopped,
    Taken,
    counter_step,
    is_linearizable,
    name_step,
)
from tests.multiprocess.cluster_kinds import Ledger
from tests.multiprocess.cluster_processes import Node, Nodes, Refused, open_nodes, served
from tests.multiprocess.cluster_stores import Engine, engine
from tests.multiprocess.processes import PATIENCE

__all__ = ["engine"]

TTL = 2.0
"""Seconds to live of a lease; one that lapses because the machine has no time is but another fault."""
ANSWERED = 3 * TTL
"""Seconds after which nobody waits for the outcome of an operation any more."""
PACE = 0.2
"""Seconds, on average, from one operation of a client to the next."""


# -------------------------------------------------------------------------------------------------------- the checker


def calls(*history: tuple[Any, float, float]) -> list[Call[Any]]:
    return [Call(*each) for each in history]


@pytest.mark.parametrize(
    "history",
    [
        calls((Spawned("a"), 0, 1), (Found("a"), 2, 3), (Stopped(), 4, 5), (Missing(), 6, 7), (Spawned("b"), 8, 9)),
        calls((Spawned("a"), 0, 9), (Missing(), 1, 2), (Found("a"), 3, 4)),
        calls((Spawned("a"), 0, math.inf), (Missing(), 1, 2), (Taken(), 3, 4)),
        calls((Spawned("a"), 0, math.inf), (Missing(), 1, 2), (Spawned("b"), 3, 4)),
        calls((Spawned("a"), 0, 1), (Stopped(), 2, 5), (Stopped(), 2, 5), (Spawned("b"), 3, 4), (Found("b"), 6, 7)),
    ],
)
def test_what_a_plain_name_can_do_passes(history: Sequence[Call[Any]]) -> None:
    assert is_linearizable(history, "", name_step)


@pytest.mark.parametrize(
    "history",
    [
        calls((Spawned("a"), 0, 1), (Missing(), 2, 3)),
        calls((Spawned("a"), 0, 2), (Spawned("b"), 1, 3)),
        calls((Spawned("a"), 0, 9), (Found("a"), 1, 2), (Missing(), 3, 4)),
        calls((Spawned("a"), 0, 1), (Stopped(), 2, 3), (Found("a"), 4, 5)),
        calls((Spawned("a"), 0, math.inf), (Spawned("b"), 1, 2), (Found("a"), 3, 4)),
        calls((Taken(), 0, 1)),
    ],
)
def test_what_no_plain_name_does_is_seen(history: Sequence[Call[Any]]) -> None:
    assert not is_linearizable(history, "", name_step)


@pytest.mark.parametrize(
    ("history", "verdict"),
    [
        (calls((Added(1, 5), 0, 1), (Added(2, 5), 2, 3), (Added(3, 7), 4, 5)), True),
        (calls((Added(1, 5), 0, 1), (Added(), 2, math.inf), (Added(3, 5), 4, 5)), True),
        (calls((Added(1, 5), 0, 1), (Added(3, 5), 2, 3)), False),
        (calls((Added(1, 5), 0, 1), (Added(1, 7), 2, 3)), False),
        (calls((Added(1, 5), 0, 1), (Added(2, 4), 2, 3)), False),
        (calls((Added(2, 5), 0, 1), (Added(), 2, math.inf)), False),
    ],
)
def test_a_counter_counts_on_with_tokens_that_never_fall(history: Sequence[Call[Any]], verdict: bool) -> None:
    assert is_linearizable(history, (0, 0), counter_step) == verdict


def operations() -> st.SearchStrategy[Call[Any]]:
    names = st.sampled_from([Spawned("a"), Spawned("b"), Taken(), Stopped(), Found("a"), Missing()])
    lasts = st.sampled_from([1, 3, 6, math.inf])
    return st.tuples(names, st.integers(0, 9), lasts).map(lambda each: Call(each[0], each[1], each[1] + each[2]))


@given(st.lists(operations(), max_size=5))
def test_the_search_finds_what_trying_all_orders_finds(history: list[Call[Any]]) -> None:
    assert is_linearizable(history, "", name_step) == any_order(history)


def any_order(history: list[Call[Any]]) -> bool:
    """Try every order of everything that has returned and of any part of the rest."""
    kept = [(True,) if each.returned < math.inf else (True, False) for each in history]
    for choice in product(*kept):
        chosen = [each for each, is_kept in zip(history, choice, strict=True) if is_kept]
        if any(fits(order) for order in permutations(chosen)):
            return True
    return False


def fits(order: Sequence[Call[Any]]) -> bool:
    states = [""]
    for place, each in enumerate(order):
        if any(later.returned < each.called for later in order[place:]):
            return False
        states = [after for state in states for after in name_step(state, each.what)]
    return bool(states)


# ---------------------------------------------------------------------------------------------------- real processes


@attrs.define
class Recorder:
    """Keeps what clients did, by the object that it was done to."""

    nodes: Nodes
    random: Random
    history: dict[str, list[Call[Any]]] = attrs.field(factory=lambda: defaultdict[str, list[Call[Any]]](list))

    async def do(self, node: Node, command: str, name: str, *arguments: str) -> Any:
        """Let a node do something, and return what came of it: a result or an error, one too if nothing came."""
        with trio.move_on_after(ANSWERED):
            try:
                return await node.do(command, name, *arguments)
            except Refused as error:
                return error
        return Refused("TooSlowError", f"{node.name} has not answered")

    async def name(self, at: str, name: str, number: int) -> None:
        """Do something about a name."""
        node, owner = self.nodes[at], f"{at}{number}"
        command = self.random.choice(["spawn", "spawn", "place", "where", "where", "stop"])
        arguments = [owner] if command in {"spawn", "place"} else []
        called = trio.current_time()
        outcome = await self.do(node, command, name, *arguments)
        self.keep(name, outcome_of(command, owner, outcome), called)

    async def counter(self, at: str, name: str, number: int) -> None:
        """Add one."""
        called = trio.current_time()
        outcome = await self.do(self.nodes[at], "add", name)
        if isinstance(outcome, Refused) and outcome.kind in {"ActorNotFoundError", "ActorFailedError"}:
            return  # there was none yet, or the ledger has refused it
        added = Added() if isinstance(outcome, Refused) else Added(*outcome)
        self.keep(name, (added, added.sum > 0), called)

    def keep(self, name: str, outcome: tuple[Any, bool] | None, called: float) -> None:
        if outcome is not None:
            what, is_known = outcome
            self.history[name].append(Call(what, called, trio.current_time() if is_known else math.inf))


def outcome_of(command: str, owner: str, outcome: Any) -> tuple[Any, bool] | None:
    """Say what an outcome means, and whether it is known; nothing if it says nothing."""
    kind = outcome.kind if isinstance(outcome, Refused) else ""
    match command:
        case "where":
            if kind == "ActorNotFoundError":
                return Missing(), True
            return (Found(outcome.partition("@")[0]), True) if isinstance(outcome, str) else None
        case "stop":
            if kind == "ActorNotFoundError":
                return Missing(), True
            return Stopped(), not isinstance(outcome, Refused)
        case _:
            if kind == "NameTakenError":
                return Taken(), True
            return Spawned(owner), not isinstance(outcome, Refused)


def told(history: Iterable[Call[Any]]) -> str:
    """Write a history down, a line for each operation."""
    in_order = sorted(history, key=lambda each: each.called)
    return "\n".join(f"{each.called:.3f} - {each.returned:.3f}: {each.what}" for each in in_order)


async def under_faults(nodes: Nodes, act: Callable[[str, str, int], Awaitable[None]], names: str) -> None:
    """Let a client at each node act for a while, in which one node is frozen, and another killed and started again."""
    random, is_over = Random(1), False

    async def client(at: str) -> None:
        number = 0
        while not is_over:
            number += 1
            await act(at, random.choice(names), number)
            await trio.sleep(random.uniform(0, 2 * PACE))

    async with trio.open_nursery() as nursery:
        for at in "abc":
            nursery.start_soon(client, at)
        await trio.sleep(1.0)
        nodes["a"].freeze()
        await trio.sleep(1.5 * TTL)
        nodes["a"].thaw()
        await trio.sleep(TTL)
        await nodes["b"].kill()
        await nodes.start("b")
        await trio.sleep(1.0)
        is_over = True


async def test_a_name_is_what_one_register_would_be(engine: Engine) -> None:
    async with open_nodes(engine.url, *"abc", lease_ttl=TTL) as nodes:
        recorder = Recorder(nodes, Random(2))
        with trio.fail_after(2 * PATIENCE):
            await under_faults(nodes, recorder.name, "xy")
    for history in recorder.history.values():
        assert len([each for each in history if each.returned < math.inf]) > 5
        assert is_linearizable(history, "", name_step), told(history)


async def test_a_singleton_with_its_token_counts_as_one_counter_would(engine: Engine, tmp_path: Path) -> None:
    path = str(tmp_path / "ledger")
    async with open_nodes(engine.url, *"abc", lease_ttl=TTL) as nodes:
        await served(nodes["a"], "keep_books", "s", path)
        recorder = Recorder(nodes, Random(3))
        with trio.fail_after(2 * PATIENCE):
            await under_faults(nodes, recorder.counter, "s")
    history = recorder.history["s"]
    assert len([each for each in history if each.returned < math.inf]) > 10
    assert is_linearizable(history, (0, 0), counter_step), told(history)
    tokens = [token for token, is_refused in Ledger(path).attempts() if not is_refused]
    assert tokens == sorted(tokens)
