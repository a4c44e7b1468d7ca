"""Asks through a router that come back to their asker are refused where they would wait for ever."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock
from trio.testing import wait_all_tasks_blocked as settle

from tests.core.crew import ask_soon
from trioakt import ActorFailedError, ActorRef, ActorSystem, AskCycleError, Broadcast, Context, ScatterGatherFirst


def root_of(error: BaseException | None) -> BaseException | None:
    """Return the failure at the beginning of a chain of failures."""
    while isinstance(error, ActorFailedError):
        error = error.__cause__
    return error


async def test_a_routee_that_asks_all_routees_would_wait_for_itself() -> None:
    async def ask_everybody(ctx: Context, msg: Any) -> None:
        ctx.reply(await pool.ask(Broadcast("anything")))

    async with ActorSystem("test") as system:
        pool = await system.spawn_group_router([await system.spawn_func(ask_everybody)])
        with pytest.raises(ActorFailedError) as caught:
            await pool.ask("go")
        assert isinstance(root_of(caught.value), AskCycleError)


async def ask(ctx: Context, msg: Any, whom: list[ActorRef]) -> None:
    """Answer with the answer of another."""
    ctx.reply(await whom[0].ask(msg))


async def echo(ctx: Context, msg: Any) -> None:
    ctx.reply(msg)


async def test_a_routee_that_asks_who_waits_for_all_routees_hears_of_the_cycle() -> None:
    async def ask_all_of_them(ctx: Context, msg: Any) -> None:
        ctx.reply(await pool.ask(Broadcast(msg)))

    async with ActorSystem("test") as system:
        first: list[ActorRef] = []
        pool = await system.spawn_group_router([await system.spawn_func(echo), await system.spawn_func(ask, first)])
        first.append(await system.spawn_func(ask_all_of_them))
        with pytest.raises(ActorFailedError) as caught:
            await first[0].ask("go")
        assert isinstance(root_of(caught.value), AskCycleError)


async def test_who_waits_for_the_first_of_several_does_not_wait_for_the_one_that_asks_back(
    autojump_clock: MockClock,
) -> None:
    async def ask_the_fastest(ctx: Context, msg: Any) -> None:
        ctx.reply(await pool.ask(msg) if msg == "go" else "back")

    async with ActorSystem("test") as system:
        first: list[ActorRef] = []
        routees = [await system.spawn_func(ask, first), await system.spawn_func(echo)]
        pool = await system.spawn_group_router(routees, strategy=ScatterGatherFirst(within=5.0))
        first.append(await system.spawn_func(ask_the_fastest))
        assert await first[0].ask("go") == "go"


async def test_two_who_ask_the_same_pool_at_once_are_no_cycle() -> None:
    async def ask_all_of_them(ctx: Context, msg: Any) -> None:
        ctx.reply(await pool.ask(Broadcast(msg)))

    async with ActorSystem("test") as system, trio.open_nursery() as nursery:
        pool = await system.spawn_group_router([await system.spawn_func(echo) for _ in range(2)])
        askings = [ask_soon(nursery, await system.spawn_func(ask_all_of_them), number) for number in range(2)]
        await settle()
        assert [asking.outcome for asking in askings] == [[0, 0], [1, 1]]
