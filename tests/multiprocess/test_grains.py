"""Grains of clusters of real processes: a node is killed or frozen, and others go on with what was acknowledged."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from tests.multiprocess.cluster_processes import SLACK, TAKEN_OVER, Nodes, open_nodes, served
from tests.multiprocess.cluster_stores import Engine, engine
from tests.multiprocess.grain_kinds import DIRECTORY, Notes

__all__ = ["engine"]

IDS = [*(f"id-{number}" for number in range(8)), *(f"rover-{number}" for number in range(4))]


class Counting:
    """Three nodes, and the numbers to which their grains have counted, as they have said."""

    def __init__(self, nodes: Nodes) -> None:
        self.nodes = nodes
        self.said = dict.fromkeys(IDS, 0)
        self.victim = ""
        self.others: list[str] = []

    async def choose_victim(self) -> None:
        """Count a bit, and choose a node that has grains."""
        await self.count("abc")
        self.victim = await self.nodes["a"].do("grain_home", IDS[0])
        self.others = sorted({*"abc"} - {self.victim})

    async def count(self, names: list[str] | str) -> None:
        """Let each grain count once for each of some nodes, all grains at the same time."""
        with trio.fail_after(TAKEN_OVER + SLACK):
            async with trio.open_nursery() as nursery:
                for identity in IDS:
                    nursery.start_soon(self._count, identity, names)

    async def _count(self, identity: str, names: list[str] | str) -> None:
        for name in names:
            number, _ = await served(self.nodes[name], "count", identity)
            assert number > self.said[identity]
            self.said[identity] = number


@asynccontextmanager
async def counting(engine: Engine, directory: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[Counting]:
    """Have three nodes; in the end, see that no two activations of a grain have counted beside each other."""
    monkeypatch.setenv(DIRECTORY, str(directory))
    async with open_nodes(engine.url, *"abc") as nodes:
        counting = Counting(nodes)
        await counting.choose_victim()
        yield counting
        await counting.count(counting.others)
    for identity, lines in Notes(directory / "notes").read().items():
        numbers = [number for number, _ in lines]
        tokens = [token for _, token in lines]
        assert numbers == sorted(set(numbers)), identity
        assert tokens == sorted(tokens), identity


async def test_grains_of_a_killed_node_go_on_elsewhere_and_nothing_acknowledged_is_lost(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with counting(engine, tmp_path, monkeypatch) as cluster:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(cluster.count, cluster.others)
            await trio.sleep(0.02)  # in the middle of it
            await cluster.nodes[cluster.victim].kill()

        home = await served(cluster.nodes[cluster.others[0]], "grain_home", IDS[0])
        assert home in cluster.others


async def test_a_node_that_was_frozen_counts_no_more_for_grains_that_are_active_elsewhere(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with counting(engine, tmp_path, monkeypatch) as cluster:
        victim = cluster.nodes[cluster.victim]
        victim.freeze()
        await cluster.count(cluster.others)

        victim.thaw()
        await victim.hear("MembershipLost")
        await cluster.count([*cluster.others, cluster.victim])
