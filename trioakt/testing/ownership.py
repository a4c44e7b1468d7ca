"""Who owned which name of the cluster in a simulation, or was active as a grain: one at a time, the tokens growing."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from random import Random
from types import TracebackType
from typing import Any, cast

import attrs
import trio

from trioakt import ActorRef, ActorSystem, GrainRef
from trioakt.cluster.memory import MemoryStore
from trioakt.errors import LeaseLostError
from trioakt.grains.ref import GrainRecipient
from trioakt.lowlevel import Cell, CoreSystem, Recipient

_MOMENT = 1e-6
"""Seconds after which what happens at one moment has happened."""


class SimulatedStore(MemoryStore):
    """The store that all nodes of a simulation share; what is done to it is noted in the trace.

    Args:
        rng: Where delays come from, if nobody says otherwise.
        note: Takes down what is done, to whom, and how.
    """

    def __init__(self, rng: Random, note: Callable[[str, str, str], None]) -> None:
        super().__init__()
        self.crashed: set[str] = set()
        self.expired: dict[str, int] = {}
        self._rng = rng
        self._note = note

    def freeze(self) -> None:
        """As ``MemoryStore.freeze``."""
        self._note("freeze", "store", "")
        super().freeze()

    def thaw(self) -> None:
        """As ``MemoryStore.thaw``."""
        self._note("thaw", "store", "")
        super().thaw()

    def delay(self, low: float, high: float, rng: Random | None = None) -> None:
        """As ``MemoryStore.delay``; without ``rng`` the seed of the simulation decides."""
        self._note("delay", "store", f"{low} to {high}")
        super().delay(low, high, rng or self._rng)

    def partition(self, *nodes: str) -> None:
        """As ``MemoryStore.partition``."""
        self._note("partition", "store", " ".join(nodes))
        super().partition(*nodes)

    def heal(self, *nodes: str) -> None:
        """As ``MemoryStore.heal``; a node that has crashed stays cut off."""
        self._note("heal", "store", " ".join(nodes))
        healed = sorted((set(nodes) or self._server.cut_off) - self.crashed)
        if healed:
            super().heal(*healed)

    def expire(self, node: str) -> None:
        """As ``MemoryStore.expire``; what the node owns until it notices is not held against it."""
        self._note("expire", "store", node)
        self.expired[node] = self._server.now().revision
        super().expire(node)

    def forget(self) -> None:
        """As ``MemoryStore.forget``."""
        self._note("forget", "store", "")
        super().forget()

    def mend(self) -> None:
        """End all faults."""
        if self._server.frozen:
            self.thaw()
        if self._server.delay is not None:
            self.delay(0.0, 0.0)
        if self._server.cut_off - self.crashed:
            self.heal()

    def crash(self, node: str) -> None:
        """Let nothing of a node arrive any more; its leases lapse."""
        self.crashed.add(node)
        super().partition(node)

    def restart(self, node: str) -> None:
        """Let a node that has crashed reach the store again."""
        if node in self.crashed:
            self.crashed.remove(node)
            super().heal(node)

    def token(self, key: str) -> int | None:
        """Return the token of a key as it is at this moment, without any way to go."""
        entry = self._server.now().entries.get(key)
        return None if entry is None else entry.token

    def load(self, view: Any) -> Any:
        """Let a ``View`` know what is there at this moment, and return it."""
        view.load(self._server.now().find(view.prefix))
        return view


@attrs.define(eq=False)
class _Owner:
    """An actor that has a name of the cluster, or a grain of it; entered while it handles a message."""

    name: str
    node: str
    system: ActorSystem
    ref: ActorRef[Any]
    token: int
    shard: str = ""
    """Of a grain."""
    incarnation: int = 0
    """Of its node, where it is a grain."""
    busy: int = 0
    past: bool = False
    """Whether its node was thawed after it had lost the lease."""

    def __enter__(self) -> None:
        self.busy += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.busy -= 1

    def __str__(self) -> str:
        return f"{self.node} with {self.token}"

    @property
    def is_guest(self) -> bool:
        """Whether it is a grain whose place the owner of its shard has chosen."""
        return bool(self.shard) and "/$guests." in self.ref.path

    @property
    def proof(self) -> tuple[str, int]:
        """The key in the store that proves the ownership, and its token."""
        if self.is_guest:  # it is there for as long as its node is a member, and the owner of its shard wants it
            return f"members/{self.node}", self.incarnation
        in_shard = self.shard or self.name.startswith("$shard.")
        return f"owners/{self.shard or self.name}", self.token >> 20 if in_shard else self.token

    @property
    def holds(self) -> bool:
        """Whether its node thinks that it owns it."""
        try:
            return self.system.cluster.fencing_token(self.ref.path) == self.token
        except (LeaseLostError, RuntimeError):
            return False

    @property
    def is_active(self) -> bool:
        """Whether it handles a message, or may begin to; a grain is active until it has ended, if in time."""
        return self.busy > 0 or self.ref.is_alive or (bool(self.shard) and not self.past)


class Ownership:
    """Sees that each name has one owner at a time, with the token that the store has for it.

    Args:
        store: Which knows.
        report: Takes down a broken promise.
    """

    def __init__(self, store: SimulatedStore, report: Callable[[str], None]) -> None:
        self._store = store
        self._report = report
        self._owners: dict[Recipient, _Owner] = {}
        self._last: dict[str, int] = {}
        self._frozen: set[str] = set()
        self._thawed: dict[str, float] = {}

    def started(self, node: str, core: CoreSystem, ref: ActorRef[Any]) -> None:
        """Check an actor that has started, if its name is one of the cluster."""
        if isinstance(ref, GrainRef) or is_steward(ref):
            return  # a grain is active since its class was called
        system = cast("ActorSystem", core)
        name = ref.path.removeprefix(f"{system.user.path}/")
        if name.startswith("$guests."):
            return  # the parent of grains that are looked at one by one
        try:
            token = system.cluster.fencing_token(ref.path)
        except LeaseLostError:
            token = 0  # if its name is one of the cluster, it must not be there any more when that has an owner
        except RuntimeError:
            if self._store.token(f"{_prefix(system)}owners/{name}") is not None:
                self._report(f"{node} starts {name} and does not own it")
            return
        owner = self._owners[ref.recipient] = _Owner(name, node, system, ref, token)
        owner.past = self._wakes(node) and not owner.holds
        if token > 0:
            self._check_alone(owner)

    def activated(self, node: str, cell: Cell) -> None:
        """Check a grain of the cluster whose class has just been called, maybe once more after it has failed."""
        grain = cell.ref.recipient
        if not isinstance(grain, GrainRecipient) or not grain.shard or self._is_known(cell):
            return
        owner = _Owner(
            f"{grain.kind}/{grain.id}", node, cast("ActorSystem", cell.system), ActorRef(cell), 0, grain.shard
        )
        try:
            owner.token = owner.system.cluster.fencing_token(cell.path)
            owner.incarnation = int(owner.system.cluster.membership.run_id.rpartition("/")[2])
        except (LeaseLostError, RuntimeError):
            owner.past = self._wakes(node)
            if not owner.past:
                self._report(f"{node} activates {grain.kind}/{grain.id} and does not own {grain.shard}")
                return
        self._check_alone(owner)
        self._owners[grain] = owner

    def passivated(self, cell: Cell) -> None:
        """Hear that nothing of a grain runs any more."""
        if self._is_known(cell):
            del self._owners[cell.ref.recipient]

    def _is_known(self, cell: Cell) -> bool:
        owner = self._owners.get(cell.ref.recipient)
        return owner is not None and owner.ref.recipient is cell

    def _check_alone(self, owner: _Owner) -> None:
        if self._is_excused(owner):
            return
        for other in self._owners.values():
            if other.name == owner.name and other is not owner and other.is_active and not self._is_excused(other):
                self._report(f"{owner.name} has two owners: {other} and {owner}")
        last = self._last.get(owner.name, 0)
        if owner.token < last + (not owner.shard):  # grains come and go under the token of their shard
            self._report(f"{owner.name} has an owner after one with {last}: {owner}")
        self._last[owner.name] = max(owner.token, last)

    def stopped(self, ref: ActorRef[Any]) -> None:
        """Hear that an actor has ended."""
        self._owners.pop(ref.recipient, None)

    def freeze(self, node: str) -> None:
        """Hear that nothing of a node runs from now on."""
        self._frozen.add(node)

    def thaw(self, node: str) -> None:
        """Hear that a node runs again; what it does at this moment, before it sees how late it is, is excused."""
        self._frozen.discard(node)
        self._thawed[node] = trio.current_time()
        for owner in self._owners.values():
            if owner.node == node:
                owner.past = not owner.holds

    async def check_thawed(self, node: str) -> None:
        """See that a node that is thawed ends at once what it does not own any more, but for the last hook."""
        thawed = self._thawed[node]
        await trio.sleep(_MOMENT)
        for owner in self._owners.values():
            if owner.node == node and owner.past and (owner.busy or owner.ref.is_alive) and not self._wakes(node):
                self._report(f"{node}, thawed at {thawed:.6f} s, still owns {owner.name} with {owner.token}")

    def _wakes(self, node: str) -> bool:
        """Return whether a node has had no moment yet since it was frozen."""
        return node in self._frozen or self._thawed.get(node) == trio.current_time()

    def crashed(self, node: str) -> None:
        """Forget what was owned by a node that is no more."""
        self._frozen.discard(node)
        self._owners = {recipient: owner for recipient, owner in self._owners.items() if owner.node != node}

    def handling(self, system: CoreSystem, ref: ActorRef[Any], what: str) -> _Owner | None:
        """Check an actor that is about to handle a message; what is returned is entered meanwhile."""
        owner = self._owners.get(ref.recipient)
        if owner is not None and not self._is_excused(owner):
            key, token = owner.proof
            present = self._store.token(f"{_prefix(system)}{key}")
            if present != (token or None):
                self._report(f"{owner.node} handles {what} for {owner.name} with the token {token}, not {present}")
        return owner

    def find_strays(self, system: CoreSystem) -> list[str]:
        """Return the names that nobody serves though some member can, and those that live on without being there."""
        module: Any = import_module("trioakt.cluster.view")  # it needs what a system without a cluster does not
        view = self._store.load(module.View(_prefix(system)))
        served = {
            (owner.name, owner.proof[1]): owner
            for owner in self._owners.values()
            if owner.token > 0 and owner.ref.is_alive and not owner.shard
        }
        strays: list[str] = []
        for name, source in view.names.items():
            owner = view.owners.get(name)
            there = owner is not None and (name, owner.token) in served
            if not there and module.fit(view.members.values(), source.fact.kind, source.fact.role):
                strays.append(f"nobody serves {name}, its owner is {None if owner is None else owner.fact}")
        strays += [f"{name} lives on at {served[name, token].node}" for name, token in served if name not in view.names]
        return strays

    def _is_excused(self, owner: _Owner) -> bool:
        """Return whether an owner is frozen, or cannot have seen yet that its lease has ended."""
        if owner.node in self._frozen or (owner.past and self._wakes(owner.node)):
            return True
        if owner.is_guest and owner.token >> 20 <= max(self._store.expired.values(), default=0):
            return True  # who has placed it there cannot have seen that either
        return 0 < owner.proof[1] <= self._store.expired.get(owner.node, 0)


def is_steward(ref: ActorRef[Any]) -> bool:
    """Return whether an actor only passes on what is for a grain that is placed elsewhere."""
    return ref.path.startswith("/user/$shard.") and ref.path.count("/") > 2


def _prefix(system: CoreSystem) -> str:
    return f"trioakt/{system.name}/default/"
