"""The actor that the nodes of a cluster have, in a module that is the same for all of them."""

from __future__ import annotations

import os

from trioakt import Actor, Cluster, Context, Request, message


@message(name="benchmarks.cluster.who")
class Who(Request[int]):
    """Answered by the process that has the actor."""


class Home(Actor):
    """Tells where it is."""

    def receive(self, ctx: Context, msg: object) -> None:
        ctx.reply(os.getpid())


def settings(store: str, ttl: float) -> Cluster:
    """Return what all nodes say of the cluster."""
    return Cluster(store, kinds=[Home], roles={"home"}, lease_ttl=ttl)
