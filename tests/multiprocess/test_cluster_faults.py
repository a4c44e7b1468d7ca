"""Clusters of real processes: nodes that are killed, frozen and started again, and stores that are out of reach."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from tests.multiprocess.cluster_kinds import Ledger
from tests.multiprocess.cluster_processes import SLACK, TAKEN_OVER, Refused, open_nodes, served
from tests.multiprocess.cluster_stores import Engine, Sqlite, engine, file
from tests.multiprocess.processes import PATIENCE

__all__ = ["engine", "file"]

LONG = 6.0
"""Seconds to live of a lease that shall hold, however busy the machine is."""


async def test_what_a_killed_node_owned_is_served_again_with_a_larger_token(engine: Engine, tmp_path: Path) -> None:
    path = str(tmp_path / "ledger")
    async with open_nodes(engine.url, *"abc") as nodes:
        await nodes["a"].do("spawn", "ada", "eve")
        await nodes["a"].do("keep_books", "books", path)
        bookkeeper = await nodes.owner("books", asked="a")
        _, token = await nodes["a"].do("add", "ada")
        assert (await nodes["a"].do("add", "books"))[0] == 1
        killed = {"a", bookkeeper}
        rest = next(name for name in "cba" if name not in killed)

        for name in killed:
            await nodes[name].kill()

        with trio.fail_after(TAKEN_OVER + SLACK):
            number, later = await served(nodes[rest], "add", "ada")
            assert (await served(nodes[rest], "add", "books"))[0] > 1
        assert number == 1
        assert later > token
        tokens = Ledger(path).attempts()
        assert tokens == sorted(tokens)
        assert not any(is_refused for _, is_refused in tokens)


async def test_a_node_that_is_frozen_beyond_its_lease_owns_nothing_when_it_goes_on(
    engine: Engine,
) -> None:
    async with open_nodes(engine.url, *"abc") as nodes:
        await nodes["a"].do("spawn", "ada", "eve")
        _, token = await nodes["b"].do("add", "ada")

        nodes["a"].freeze()
        with trio.fail_after(TAKEN_OVER + SLACK):
            number, later = await served(nodes["b"], "add", "ada")
        assert number == 1
        assert later > token
        await nodes["b"].hear("NodeLeft", "a")
        nodes["a"].thaw()

        await nodes["a"].hear("MembershipLost")
        await nodes["b"].hear("NodeJoined", "a")
        assert await nodes["a"].do("owned") == []
        answers = [await served(nodes["a"], "add", "ada") for _ in range(5)]
        assert answers == [[number, later] for number in range(2, 7)]
        assert await nodes.owner("ada", asked="a") != "a"


async def test_a_node_that_is_frozen_for_less_than_its_lease_keeps_what_it_owns(file: Sqlite) -> None:
    async with open_nodes(file.url, *"ab", lease_ttl=LONG) as nodes:
        await nodes["a"].do("spawn", "ada", "eve")
        await nodes["b"].do("add", "ada")

        nodes["a"].freeze()
        await trio.sleep(LONG / 6)
        nodes["a"].thaw()

        with trio.fail_after(PATIENCE):
            assert (await served(nodes["b"], "add", "ada"))[0] >= 2
        assert await nodes.owner("ada", asked="b") == "a"


async def test_a_store_that_is_gone_for_less_than_a_lease_changes_nothing(engine: Engine) -> None:
    async with open_nodes(engine.url, *"ab", lease_ttl=LONG) as nodes:
        await nodes["a"].do("spawn", "ada", "eve")
        assert (await nodes["b"].do("add", "ada"))[0] == 1

        with engine.out_of_reach():
            assert (await nodes["b"].do("add", "ada"))[0] == 2
            await trio.sleep(LONG / 6)
            assert (await nodes["b"].do("add", "ada"))[0] == 3

        await nodes["b"].do("spawn", "bob", "eve")
        assert (await nodes["b"].do("add", "ada"))[0] == 4
        assert sorted(await nodes["b"].do("members")) == ["a", "b"]


async def test_without_a_store_for_longer_than_a_lease_nobody_owns_anything_until_it_is_back(engine: Engine) -> None:
    async with open_nodes(engine.url, *"ab") as nodes:
        await nodes["a"].do("spawn", "ada", "eve")
        _, token = await nodes["b"].do("add", "ada")

        with engine.out_of_reach():
            for name in "ab":
                await nodes[name].hear("MembershipLost")
                assert await nodes[name].do("owned") == []
            with pytest.raises(Refused, match=r"LeaseLostError|NoQuorumError"):
                await nodes["b"].do("spawn", "bob", "eve")

        with trio.fail_after(TAKEN_OVER + SLACK):
            number, later = await served(nodes["b"], "add", "ada")
        assert number == 1
        assert later > token
        for name in "ab":
            await nodes[name].do("wait_members", 2)
        await nodes["b"].do("spawn", "bob", "eve")


async def test_what_is_asked_of_a_name_that_nobody_owns_for_want_of_a_store_waits_for_it(file: Sqlite) -> None:
    async with open_nodes(file.url, "a") as nodes:
        await nodes["a"].do("spawn", "ada", "eve")
        answers: list[list[int]] = []

        async def ask() -> None:
            answers.append(await nodes["a"].do("add", "ada"))

        async with trio.open_nursery() as nursery:
            with file.out_of_reach():
                await nodes["a"].hear("MembershipLost")
                nursery.start_soon(ask)
                assert await nodes["a"].do("owned") == []
                assert answers == []

        assert [number for number, _ in answers] == [1]


async def test_names_outlive_a_crash_of_all_nodes(engine: Engine, tmp_path: Path) -> None:
    path = str(tmp_path / "ledger")
    async with open_nodes(engine.url, *"abc") as nodes:
        for name in "abc":
            await nodes[name].do("spawn", f"of-{name}", "eve")
        await nodes["a"].do("keep_books", "books", path)
        assert (await nodes["a"].do("add", "books"))[0] == 1
        for name in "abc":
            await nodes[name].kill()

        with trio.fail_after(PATIENCE):
            await nodes.start(*"abc")
            for name in "abc":
                where = await served(nodes["a"], "where", f"of-{name}")
                assert where.startswith("eve@")
            assert (await served(nodes["a"], "add", "books"))[0] == 2


async def test_nodes_that_leave_one_after_the_other_leave_no_names_behind(file: Sqlite, tmp_path: Path) -> None:
    path = str(tmp_path / "ledger")
    async with open_nodes(file.url, *"abc") as nodes:
        for name in "abc":
            await nodes[name].do("spawn", f"of-{name}", "eve")
        await nodes["a"].do("keep_books", "books", path)

        for name in "abc":
            await nodes[name].leave()

        await nodes.start("d")
        assert await nodes["d"].do("members") == ["d"]
        for name in ["of-a", "of-b", "of-c", "books"]:
            assert await nodes["d"].do("locate", name) is False
        await nodes["d"].do("spawn", "of-a", "eve")


async def test_a_node_that_leaves_hands_over_before_it_ends(file: Sqlite) -> None:
    async with open_nodes(file.url, *"ab", lease_ttl=10 * PATIENCE) as nodes:
        await nodes["a"].do("spawn", "ada", "eve")

        await nodes["a"].leave()

        with trio.fail_after(SLACK):
            assert await nodes.owner("ada", asked="b") == "b"
        assert await nodes["b"].do("members") == ["b"]
