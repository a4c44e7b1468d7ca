"""Grains of a system that is in no cluster, as the actors of other nodes know them."""

from __future__ import annotations

from random import Random

import trio
from trio.testing import MockClock

from trioakt import Actor, ActorRef, ActorSystem, Context, Grain, Idle, Remote, Request, message
from trioakt.remote.memory import MemoryNetwork


@message
class Meet:
    """Tells somebody about somebody."""

    other: ActorRef


@message
class Hello(Request[str]):
    """Answered with a name."""


class Host(Actor):
    """Greets, and tells whom it is told about."""

    def receive(self, ctx: Context, msg: object) -> None:
        match msg:
            case Hello():
                ctx.reply("host")
            case Meet(other):
                other.tell("good morning", sender=ctx.self)
            case _:
                ctx.unhandled()


class Guest(Grain):
    """Asks its host."""

    passivation = Idle(5.0)

    def __init__(self) -> None:
        self.heard: list[object] = []

    async def receive(self, ctx: Context, msg: object) -> None:
        match msg:
            case Meet(other):
                assert await other.ask(Hello()) == "host"
                other.tell(Meet(ctx.self), sender=ctx.self)
            case Hello():
                ctx.reply(f"{ctx.identity} has heard {len(self.heard)}")
            case _:
                self.heard.append(msg)


async def test_a_grain_without_a_cluster_talks_with_actors_of_other_nodes(autojump_clock: MockClock) -> None:
    network = MemoryNetwork(Random(0))
    here, there = (Remote(f"mem://{node}:1", node=node, transport=network.transport(node)) for node in "ab")
    async with ActorSystem("town", remote=here) as a, ActorSystem("town", remote=there) as b:
        host = await b.spawn(Host, name="host")
        guest = a.grain(Guest, "ada")
        guest.tell(Meet(await a.resolve(host.address)))
        await trio.sleep(1.0)
        assert await guest.ask(Hello()) == "ada has heard 1"
        await trio.sleep(60.0)  # it is passivated, and its ref is good all the same
        host.tell(Meet(guest))
        await trio.sleep(1.0)
        assert await guest.ask(Hello()) == "ada has heard 1"
