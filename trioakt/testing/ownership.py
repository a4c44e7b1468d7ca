"""Who owned which name of the cluster in a simulation, or was active as a grain: one at a time, the tokens growing."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from random import Random
from types import TracebackType
from typing import Any, cast

import attrs

from trioakt import ActorRef, ActorSystem, GrainRef
from trioakt.cluster.memory import MemoryStore
from trioakt.errors import LeaseLostError
from trioakt.grains.ref import GrainRecipient
from trioakt.lowlevel import Cell, CoreSystem, Recipient


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
    ref: ActorRef[Any]
    token: int
    shard: str = ""
    """Of a grain."""
    busy: int = 0

    def __enter__(self) -> None:
        self.busy += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.busy -= 1

    def __str__(self) -> str:
        return f"{self.node} with {self.token}"

    @property
    def is_active(self) -> bool:
        """Whether it handles a message, or may begin to; a grain is active until it has ended."""
        return self.busy > 0 or self.ref.is_alive or bool(self.shard)


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

    def started(self, node: str, system: CoreSystem, ref: ActorRef[Any]) -> None:
        """Check an actor that has started, if its name is one of the cluster."""
        if isinstance(ref, GrainRef):
            return  # it is active since its class was called
        name = ref.path.removeprefix(f"{system.user.path}/")
        try:
            token = cast("ActorSystem", system).cluster.fencing_token(ref.path)
        except LeaseLostError:
            token = 0  # if its name is one of the cluster, it must not be there any more when that has an owner
        except RuntimeError:
            if self._store.token(f"{_prefix(system)}owners/{name}") is not None:
                self._report(f"{node} starts {name} and does not own it")
            return
        owner = self._owners[ref.recipient] = _Owner(name, node, ref, token)
        if token > 0:
            self._check_alone(owner)

    def activated(self, node: str, cell: Cell) -> None:
        """Check a grain of the cluster whose class has just been called, maybe once more after it has failed."""
        grain = cell.ref.recipient
        if not isinstance(grain, GrainRecipient) or not grain.shard or self._is_known(cell):
            return
        try:
            token = cast("ActorSystem", cell.system).cluster.fencing_token(cell.path)
        except (LeaseLostError, RuntimeError):
            self._report(f"{node} activates {grain.kind}/{grain.id} and does not own {grain.shard}")
            return
        owner = _Owner(f"{grain.kind}/{grain.id}", node, ActorRef(cell), token, grain.shard)
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

    def crashed(self, node: str) -> None:
        """Forget what was owned by a node that is no more."""
        self._owners = {recipient: owner for recipient, owner in self._owners.items() if owner.node != node}

    def handling(self, system: CoreSystem, ref: ActorRef[Any], what: str) -> _Owner | None:
        """Check an actor that is about to handle a message; what is returned is entered meanwhile."""
        owner = self._owners.get(ref.recipient)
        if owner is not None and not self._is_excused(owner):
            present = self._store.token(f"{_prefix(system)}owners/{owner.shard or owner.name}")
            if present != (owner.token or None):
                self._report(
                    f"{owner.node} handles {what} for {owner.name} with the token {owner.token}, not {present}"
                )
        return owner

    def find_strays(self, system: CoreSystem) -> list[str]:
        """Return the names that nobody serves though some member can, and those that live on without being there."""
        module: Any = import_module("trioakt.cluster.view")  # it needs what a system without a cluster does not
        view = self._store.load(module.View(_prefix(system)))
        served = {
            (owner.name, owner.token): owner
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
        """Return whether the store was made to end the lease of an owner before its time."""
        return 0 < owner.token <= self._store.expired.get(owner.node, 0)


def _prefix(system: CoreSystem) -> str:
    return f"trioakt/{system.name}/default/"
