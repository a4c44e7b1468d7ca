"""The whole program: the nodes, the stream of readings, and the accounts, to their end or to Ctrl-C."""

from __future__ import annotations

import logging
import secrets
import signal
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

import trio

from trioakt import ActorRef, ActorSystem, Cluster, Remote, TrioaktError
from trioakt.cluster.stores import open_store
from trioakt.cluster.view import NAMES, prefix_of
from trioakt.demo.cluster.actors import AGGREGATOR, Aggregator, Parser, TakeStock, total
from trioakt.demo.cluster.display import Board, Screen
from trioakt.demo.cluster.feed import PAUSE, Feed
from trioakt.demo.cluster.node import LEASE, ROLE, SYSTEM, Setup
from trioakt.demo.cluster.processes import NodeError, NodeProcess, open_nodes
from trioakt.demo.cluster.verdict import Verdict, count, report
from trioakt.demo.cluster.watching import Watch

DONE, FAILED, MISUSED, INTERRUPTED = 0, 1, 2, 130
"""Exit codes."""

PATIENCE = 180.0
"""Seconds that all together may take; it takes a tenth of them."""
CLEANING = 5.0
"""Seconds that it may take to leave nothing in the store."""
SETTLING = 5.0
"""Seconds that the aggregator has to hear of everything."""


def main(nodes: int, store: str | None = None) -> int:
    """Let so many nodes count the readings of this machine, kill one, and show the accounts; returns the exit code.

    Without a URL the store is a SQLite file. 1 means that a node has not started, or that the accounts do not agree.
    SIGINT and SIGTERM end it early and give 130.
    """
    if nodes < 2:
        print("trioakt demo: one of the nodes is killed, so there must be 2 or more", file=sys.stderr)
        return MISUSED
    logging.getLogger("trioakt").addHandler(logging.NullHandler())  # what happens is shown instead
    try:
        with TemporaryDirectory(prefix="trioakt-") as directory:
            return trio.run(run, plan(nodes, store, Path(directory)))
    except KeyboardInterrupt:  # before anything was started
        return INTERRUPTED


def plan(nodes: int, store: str | None, directory: Path) -> list[Setup]:
    """Say what each node is to be."""
    url = store or f"sqlite://{directory / 'store.db'}"
    cluster, cookie = f"demo-{secrets.token_hex(4)}", secrets.token_hex(16)
    journal = str(directory / "journal.db")
    return [Setup(f"node-{number}", url, cluster, cookie, journal) for number in range(1, nodes + 1)]


async def run(setups: list[Setup]) -> int:
    """Demonstrate; a signal cuts it short."""
    work = trio.CancelScope()
    code = INTERRUPTED
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(cancel_at, signals, work)
            with work:
                code = await demonstrate(setups, Screen(sys.stderr))
            nursery.cancel_scope.cancel()
    if work.cancelled_caught:
        print("Interrupted: nothing was checked.")
    return code


async def demonstrate(setups: list[Setup], screen: Screen) -> int:
    """Start the nodes, let them work, and show whether everything was counted."""
    screen.note(f"starting {len(setups)} nodes")
    verdict: Verdict | None = None
    failures: list[str] = []
    try:
        with trio.fail_after(PATIENCE):
            async with open_nodes(setups) as nodes, leaving_nothing(setups[0]), desk(setups[0]) as system:
                await system.cluster.wait_members(len(nodes) + 1)
                verdict = await work_through(system, nodes, screen)
    except* (NodeError, TrioaktError, OSError) as group:
        failures += texts(group)
    except* trio.TooSlowError:
        failures.append(f"not all readings were acknowledged within {PATIENCE:.0f} s")
    for failure in failures:
        print(f"trioakt demo: {failure}", file=sys.stderr)
    if verdict is None or failures:
        return FAILED
    print(report(verdict))
    return DONE if verdict.is_good else FAILED


def texts(error: BaseException) -> list[str]:
    """Return what an exception says, or each of a group."""
    if isinstance(error, BaseExceptionGroup):
        group = cast("BaseExceptionGroup[BaseException]", error)
        return [text for each in group.exceptions for text in texts(each)]
    return [str(error)]


def desk(setup: Setup) -> ActorSystem:
    """Return the parent's own node, which sends the readings and owns nothing that matters."""
    cluster = Cluster(setup.store, name=setup.cluster, lease_ttl=LEASE)
    return ActorSystem(SYSTEM, remote=Remote(node="desk", cookie=setup.cookie), cluster=cluster)


@asynccontextmanager
async def leaving_nothing(setup: Setup) -> AsyncGenerator[None]:
    """At the end of the block, delete from the store what no lease takes away: it may be one for many clusters."""
    try:
        yield
    finally:
        with trio.move_on_after(CLEANING, shield=True), suppress(TrioaktError):
            async with open_store(setup.store) as store:
                for entry in (await store.list(prefix_of(SYSTEM, setup.cluster) + NAMES)).entries:
                    await store.delete(entry.key, entry.token)


async def work_through(system: ActorSystem, nodes: list[NodeProcess], screen: Screen) -> Verdict:
    """Send all readings, and compare the accounts."""
    aggregator = await system.spawn_singleton(Aggregator, name=AGGREGATOR, role=ROLE)
    feed = Feed(system, await system.spawn_cluster_router(Parser, role=ROLE, name="parsers"))
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(Watch(system, Board(nodes, feed), screen, aggregator).run)
            await feed.run()
            verdict = await compare(feed, aggregator)
            nursery.cancel_scope.cancel()
    finally:
        screen.clear()
    return verdict


async def compare(feed: Feed, aggregator: ActorRef) -> Verdict:
    """Ask for the accounts; the aggregator hears from the devices a little later than we do."""
    nodes = {device: line.node for device, line in feed.lines.items()}
    deadline = trio.current_time() + SETTLING
    while True:
        counted = await feed.audit()
        verdict = Verdict(count(feed.input), counted, await feed.insist(aggregator, TakeStock()), nodes)
        if verdict.overview.account == total(counted.values()) or trio.current_time() > deadline:
            return verdict
        await trio.sleep(PAUSE)


async def cancel_at(signals: AsyncIterator[int], work: trio.CancelScope) -> None:
    """Cut the work short at the first signal; the ones that follow change nothing."""
    async for _ in signals:
        work.cancel()
