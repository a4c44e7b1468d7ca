"""Enrolment: how a node is written down among the members."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from trioakt.cluster.facts import MemberFact, decode_fact, encode_fact
from trioakt.cluster.view import MEMBERS
from trioakt.errors import ClusterError

if TYPE_CHECKING:
    from trioakt.cluster.lease import Lease
    from trioakt.cluster.store import Store

_TRIES = 10
"""How often it is tried within a time to live."""


async def enrol(store: Store, prefix: str, node: str, fact: MemberFact, lease: Lease, *, patience: float) -> int:
    """Write a node down when an earlier one of its name is gone, and return its incarnation.

    Args:
        store: Where.
        prefix: Of the cluster.
        node: Its name.
        fact: What it says of itself.
        lease: Under which.
        patience: Seconds to wait for the earlier one.

    Raises:
        ClusterError: That one is still there, or a member is of another version or datacenter, or has other shards.
        NoQuorumError, LeaseLostError: As ``Store.create``.
    """
    give_up = trio.current_time() + patience
    while True:
        await _check_others(store, prefix, fact)
        created = await store.create(prefix + MEMBERS + node, encode_fact(fact), lease)
        if created.won:
            return created.token
        if trio.current_time() > give_up:
            raise ClusterError(f"the cluster has another member {node!r}: give Remote(node=...) another name")
        await trio.sleep(lease.ttl / _TRIES)


async def _check_others(store: Store, prefix: str, ours: MemberFact) -> None:
    for entry in (await store.list(prefix + MEMBERS)).entries:
        theirs = decode_fact(entry, MemberFact)
        if theirs.version != ours.version:
            raise ClusterError(f"{entry.key!r} is of version {theirs.version}, this node of version {ours.version}")
        if theirs.shards != ours.shards:
            raise ClusterError(f"{entry.key!r} has Cluster(shards={theirs.shards}), this node shards={ours.shards}")
        if theirs.datacenter != ours.datacenter:
            raise ClusterError(
                f"{entry.key!r} is in the datacenter {theirs.datacenter!r}, this node {ours.datacenter!r}"
            )
