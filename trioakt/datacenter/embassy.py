"""The embassy: the ways of a node into other datacenters, and what it answers to those."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import trio

from trioakt.cluster.placement import Placement
from trioakt.datacenter.abroad import DATACENTER, Abroad, home_of
from trioakt.datacenter.orders import decode_order
from trioakt.errors import LeaseLostError
from trioakt.lowlevel import check_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from trioakt.cluster.node import ClusterNode
    from trioakt.lowlevel import ActorRef, CoreSystem
    from trioakt.remote.endpoint import Endpoint


_SHARDS = re.compile(r"[1-9][0-9]{0,4}")


class Embassy:
    """Reads refs into datacenters, leads there, and answers the nodes and clients that come from elsewhere.

    Args:
        system: This node's.
        node: Its part in its own cluster.
        endpoint: Its way to others.
        name: Of its own datacenter.
        addresses: Returns those of the nodes of a datacenter, as the directory tells.

    Attributes:
        nursery: Where what is done for other datacenters runs; set before anything is.
        is_over: Whether this node has ended.
    """

    def __init__(
        self,
        system: CoreSystem,
        node: ClusterNode,
        endpoint: Endpoint,
        name: str,
        addresses: Callable[[str], tuple[str, ...]],
    ) -> None:
        self.nursery: trio.Nursery
        self.is_over = False
        self._system = system
        self._node = node
        self._endpoint = endpoint
        self._name = name
        self._addresses = addresses
        self._ways: dict[tuple[str, int], Abroad] = {}
        self._home = home_of(name, node.grains.shards)
        about = f"{DATACENTER}/{name}"
        self._guide = endpoint.inquiries["cluster"]
        self._answering: set[trio.CancelScope] = set()
        self._is_refused = False
        endpoint.inquiries[about] = self._answer
        endpoint.inquiries[f"{about}/spawn"] = self._answer_spawn
        endpoint.inquiries[DATACENTER] = self._answer_home
        endpoint.identities[DATACENTER] = self._read
        endpoint.name_home(self._home)

    def way(self, name: str, shards: int) -> Abroad:
        """Return the way into another datacenter, in which grains are shared out in so many parts."""
        there = self._ways.get((name, shards))
        if there is None:
            there = self._ways[name, shards] = Abroad(
                self._system, self._endpoint, self.nursery, name, shards, lambda: self._addresses(name)
            )
        return there

    def refuse(self, *, whether: bool) -> None:
        """Hear whether another cluster has the name of this one: then that one is the datacenter."""
        self._is_refused = whether
        if whether:
            for scope in tuple(self._answering):
                scope.cancel()

    def close(self) -> None:
        """Let nobody wait for other datacenters any more."""
        self.is_over = True
        for there in self._ways.values():
            there.directory.close()

    def _read(self, text: str) -> ActorRef[Any]:
        """Return the ref to something in a datacenter, as its identity says; it may be this one.

        Raises:
            ValueError: It is no such identity, or this node has ended.
        """
        where, _, identity = text.partition("/")
        name, _, shards = where.partition(":")
        scheme, _, rest = identity.partition("/")
        if scheme not in ("cluster", "grain"):
            raise ValueError(f"a datacenter has no {scheme[:80]!r}")
        if name == self._name:
            return self._endpoint.identities[scheme](rest)
        if self.is_over:
            raise ValueError("this node has ended, and reaches no other datacenter")
        if not _SHARDS.fullmatch(shards):
            raise ValueError(f"a datacenter has no {shards[:80]!r} shards")
        there = self.way(check_name(name), int(shards))
        return there.directory.ref_to(rest) if scheme == "cluster" else there.grains.read(rest)

    async def _answer(self, question: str) -> str:
        """Answer as the guide of this cluster does, for as long as this is the datacenter of its name."""
        self._check_name()
        with trio.CancelScope() as scope:
            self._answering.add(scope)
            try:
                return await self._guide(question)
            finally:
                self._answering.discard(scope)
        raise self._refusal()

    def _check_name(self) -> None:
        if self._is_refused:
            raise self._refusal()

    def _refusal(self) -> LeaseLostError:
        return LeaseLostError(f"another cluster is the datacenter {self._name!r} now")

    async def _answer_home(self, _: str) -> str:
        """Tell a client with what the identities of refs to what is here begin."""
        await trio.lowlevel.checkpoint()
        return self._home

    async def _answer_spawn(self, question: str) -> str:
        """Place an actor here, as another datacenter wishes."""
        self._check_name()
        order = decode_order(question)
        await self._node.names.spawn_unseen(
            order.kind,
            order.args,
            order.name,
            placement=Placement(order.strategy, order.role),
            relocate=order.relocate,
            options=order.options,
        )
        return ""
