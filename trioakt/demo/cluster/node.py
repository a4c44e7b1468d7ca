"""One of the nodes, in a process of its own: it is told what to be on standard input, and ends when that does."""

from __future__ import annotations

import json
import logging
import os
import sys
import threading

import attrs
import trio

from trioakt import ActorSystem, Cluster, Remote, TrioaktError
from trioakt.demo.cluster.actors import Aggregator, Device, Parser
from trioakt.persistence import open_sqlite_journal

SYSTEM = "telemetry"
ROLE = "telemetry"
"""Of the nodes that have devices and the aggregator."""
LEASE = 3.0
"""Seconds after which others take over what a node had that was killed."""


@attrs.frozen
class Setup:
    """What a node is told.

    Attributes:
        node: Its name.
        store: The URL of the store.
        cluster: The name of the cluster.
        cookie: The secret of its nodes.
        journal: The file that keeps the readings.
    """

    node: str
    store: str
    cluster: str
    cookie: str = attrs.field(repr=False)
    journal: str

    def to_line(self) -> bytes:
        """Return it as a line."""
        return json.dumps(attrs.asdict(self)).encode() + b"\n"


@attrs.frozen
class Report:
    """What a node answers once: that it has started, or why it cannot."""

    failure: str = ""


def serve() -> None:
    """Be a node."""
    logging.getLogger("trioakt").addHandler(logging.NullHandler())  # the one who shows the cluster tells of losses
    setup = Setup(**json.loads(sys.stdin.buffer.readline()))
    threading.Thread(target=_end_with_parent, name="lifeline", daemon=True).start()
    trio.run(live, setup)


def _end_with_parent() -> None:
    """End at once, whatever is going on, when the parent lets go or is gone: what counts is in the journal."""
    while os.read(sys.stdin.fileno(), 1):
        pass
    os._exit(0)


async def live(setup: Setup) -> None:
    """Be a member of the cluster until the process ends."""
    remote = Remote(node=setup.node, cookie=setup.cookie)
    cluster = Cluster(
        setup.store,
        name=setup.cluster,
        roles={ROLE},
        kinds=[Parser, Aggregator],
        grains=[Device],
        lease_ttl=LEASE,
    )
    try:
        async with (
            open_sqlite_journal(setup.journal) as journal,
            ActorSystem(SYSTEM, remote=remote, cluster=cluster, extensions=[journal]),
        ):
            report(Report())
            await trio.sleep_forever()
    except (TrioaktError, ImportError, OSError, ValueError) as error:
        report(Report(failure=f"{type(error).__name__}: {error}"))


def report(what: Report) -> None:
    """Tell the parent, who reads one line."""
    print(json.dumps(attrs.asdict(what)), flush=True)
