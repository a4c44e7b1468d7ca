"""One node of a cluster, in a process of its own: `python -m benchmarks.cluster.node STORE NAME TTL`."""

from __future__ import annotations

import sys

import trio

from benchmarks.cluster.homes import settings
from trioakt import ActorSystem, Remote


async def main() -> None:
    """Be a node until a signal comes."""
    store, name, ttl = sys.argv[1:]
    remote = Remote("tcp://127.0.0.1:0", node=name)
    async with ActorSystem("homes", remote=remote, cluster=settings(store, float(ttl))) as system:
        print("READY", flush=True)
        await system.run_until_signal()


if __name__ == "__main__":
    trio.run(main)
