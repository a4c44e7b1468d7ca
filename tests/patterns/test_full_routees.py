"""Routers in front of full mailboxes: what is told is a dead letter, what is sent waits for room."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock
from trio.testing import wait_all_tasks_blocked as settle

from tests.core.actors import collected
from tests.patterns.routees import Who, Work, Worker
from trioakt import (
    ActorFailedError,
    ActorRef,
    ActorStoppedError,
    ActorSystem,
    Bounded,
    Broadcast,
    Broadcasting,
    DeadLetter,
    DeadLetterReason,
    MailboxFullError,
    PoisonPill,
    Priority,
    RoundRobin,
    ScatterGatherFirst,
)
from trioakt.patterns.routing import RoutingStrategy


async def test_a_full_routee_does_not_harm_the_router(autojump_clock: MockClock) -> None:
    async with ActorSystem("test") as system:
        workers = await system.spawn_router(Worker, size=1, mailbox=Bounded(1))
        workers.tell(Broadcast(Work((3.0,))))
        await settle()
        with collected(system, DeadLetter) as letters:
            for number in range(3):
                workers.tell(number)
            workers.tell(Broadcast(3))
            await settle()
            with pytest.raises(MailboxFullError):
                await workers.ask(Who())
        assert [letter.message for letter in letters] == [1, 2, 3]
        await trio.sleep(5)
        assert await workers.ask(Who()) == "1"


async def test_send_waits_until_the_routee_has_room_and_loses_nothing(autojump_clock: MockClock) -> None:
    log: list[tuple[str, Any]] = []
    async with ActorSystem("test") as system:
        workers = await system.spawn_router(Worker, log, size=2, mailbox=Bounded(1))
        workers.tell(Broadcast(Work((3.0, 3.0))))
        await settle()
        with collected(system, DeadLetter) as letters:
            await workers.send("first")
            await workers.send(2)
            with trio.move_on_after(1) as scope:
                await workers.send("given up")
            assert scope.cancelled_caught
            await workers.send(3)
            assert trio.current_time() == pytest.approx(3.0)
            await workers.send(Broadcast(4))
            await workers.send(PoisonPill())
            await workers.wait_stopped()
        assert {letter.reason for letter in letters} == {DeadLetterReason.NO_ASKER}
    assert sorted(msg for _, msg in log if isinstance(msg, int)) == [2, 3, 4, 4]


async def test_send_through_a_group_hears_of_a_routee_that_ends_meanwhile(autojump_clock: MockClock) -> None:
    async with ActorSystem("test") as system:
        worker = await system.spawn(Worker, name="1", mailbox=Bounded(1))
        group = await system.spawn_group_router([worker])
        worker.tell(Work((3.0,)))
        await settle()
        await group.send("waits")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(expect_stopped, group)
            await settle()
            worker.kill()
        await expect_stopped(group)


async def expect_stopped(ref: ActorRef) -> None:
    with pytest.raises(ActorStoppedError):
        await ref.send("too much")


def no_negative(msg: Any) -> int:
    if msg == "bad":
        raise ValueError("no place in the queue")
    return 0


@pytest.mark.parametrize("strategy", [RoundRobin(), Broadcasting(), ScatterGatherFirst(1.0)])
async def test_a_routee_whose_mailbox_raises_does_not_harm_the_router(
    strategy: RoutingStrategy, autojump_clock: MockClock
) -> None:
    async with ActorSystem("test") as system:
        workers = await system.spawn_router(Worker, size=2, strategy=strategy, mailbox=Priority(no_negative))
        with collected(system, DeadLetter) as letters:
            workers.tell("bad")
            workers.tell(Broadcast("bad"))
            await settle()
        assert {(letter.message, letter.reason) for letter in letters} == {("bad", DeadLetterReason.UNHANDLED)}
        for bad in "bad", Broadcast("bad"):
            for ask in workers.ask, workers.send:
                with pytest.raises(ActorFailedError) as caught:
                    await ask(bad)
                assert isinstance(caught.value.__cause__, ValueError)
        assert workers.statistics().failures == 0
