"""The actor that the nodes of a cluster have, in a module that is the same for all of them."""

from __future__ import annotations

import os

from trioakt import Actor, Cluster, Context, Grain, Idle, Request, message


@message(name="benchmarks.cluster.who")
class Who(Request[int]):
    """Answered by the process that has the actor."""


class Home(Actor):
    """Tells where it is."""

    def receive(self, ctx: Context, msg: object) -> None:
        ctx.reply(os.getpid())


class Twin(Grain):
    """A grain that tells where it is."""

    role = "home"
    passivation = Idle(600.0)

    def receive(self, ctx: Context, msg: object) -> None:
        ctx.reply(os.getpid())


class Mayfly(Grain):
    """A grain that is soon forgotten."""

    passivation = Idle(0.2)

    def receive(self, ctx: Context, msg: object) -> None:
        ctx.reply(0)


def settings(store: str, ttl: float) -> Cluster:
    """Return what all nodes say of the cluster."""
    return Cluster(store, kinds=[Home], grains=[Twin], roles={"home"}, lease_ttl=ttl)
