"""The directory: the refs to names of the cluster that are in use on this node."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

import trio

from trioakt.cluster.facts import NameFact, decode_fact
from trioakt.cluster.insisting import insist
from trioakt.cluster.view import NAMES, Name, Owner
from trioakt.grains.sharing import is_shard
from trioakt.lowlevel import ActorRef, check_name
from trioakt.remote.named import NamedRecipient

if TYPE_CHECKING:
    from trioakt.cluster.membership import Membership
    from trioakt.remote.endpoint import Endpoint


class Directory:
    """Makes refs to names, and tells them who owns the names.

    Args:
        membership: Of this node.
        endpoint: Its way to others.
    """

    def __init__(self, membership: Membership, endpoint: Endpoint) -> None:
        self._membership = membership
        self._endpoint = endpoint
        self._recipients: WeakValueDictionary[str, NamedRecipient] = WeakValueDictionary()
        self._in_use: dict[str, NamedRecipient] = {}
        self._looked_up: set[str] = set()
        self._owner_refs: dict[str, tuple[Owner, ActorRef[Any]]] = {}
        self._changes: dict[str, trio.Event] = {}

    @property
    def has_parked(self) -> bool:
        """Whether messages wait here for a name to have an owner."""
        return any(each.has_parked for each in self._in_use.values())

    def ref_to(self, name: str) -> ActorRef[Any]:
        """Return the ref that means whoever owns a name.

        Raises:
            ValueError: It is no name.
        """
        recipient = self._recipients.get(check_name(name))
        if recipient is None:
            recipient = self._recipients[name] = NamedRecipient(self._membership.system, self, name)
        return ActorRef(recipient)

    def add(self, recipient: NamedRecipient) -> None:
        """Let a recipient that somebody else has made hear of its name."""
        self._recipients[recipient.name] = recipient

    def owner_of(self, name: str) -> ActorRef[Any] | None:
        """Return the actor that has a name now, if it has started and takes messages."""
        if self._membership.holdings is not None:
            holding = self._membership.holdings.held.get(name)
            if holding is not None:
                return None if holding.leaving else holding.ref
        view = self._membership.view
        owner = view.owners.get(name) if name in view.names else None
        if owner is None or not owner.fact.ref or owner.fact.run.rpartition("/")[0] == self._membership.us:
            return None  # what this node has, it holds
        known = self._owner_refs.get(name)
        if known is None or known[0] is not owner:  # to read a ref takes as long as to send a message
            known = self._owner_refs[name] = owner, self._endpoint.ref_of(owner.fact.ref)
        return known[1]

    def is_known(self, name: str) -> bool:
        """Return whether the name is there, as far as this node has heard."""
        return not self._membership.is_over and (name in self._membership.view.names or is_shard(name))

    def keep(self, recipient: NamedRecipient) -> None:
        """Hold on to a recipient for as long as it is in use."""
        self._in_use[recipient.name] = recipient

    def look_up(self, recipient: NamedRecipient) -> None:
        """Find out whether the name is there, and let the recipient settle."""
        if self._membership.is_over:
            self.settle(recipient.name, is_there=False)
        elif recipient.name not in self._looked_up:
            self._looked_up.add(recipient.name)
            self._membership.nursery.start_soon(self._look_up, recipient.name)

    def review(self) -> None:
        """Look names up again that were found when this node did not hear from the store, and may be gone since."""
        for recipient in tuple(self._in_use.values()):
            if not recipient.is_alive:
                self.look_up(recipient)

    def give_up(self, name: str) -> None:
        """End a name that nobody owns."""
        source = self._membership.view.names.get(name)
        if source is not None and not self._membership.is_over:
            self._membership.nursery.start_soon(self._delete_name, name, source.token)

    async def _look_up(self, name: str) -> None:
        found = await insist(lambda: self.find(name), self._membership.us)
        is_there = found is not None or name in self._membership.view.owners
        self._looked_up.discard(name)
        self.settle(name, is_there=is_there)

    async def _delete_name(self, name: str, token: int) -> None:
        key = self._membership.view.prefix + NAMES + name
        await insist(lambda: self._membership.store.delete(key, token), self._membership.us)

    async def wait_change(self, name: str) -> None:
        """Wait until something has changed about a name, or about this node's membership."""
        await self._changes.setdefault(name, trio.Event()).wait()

    def wake(self) -> None:
        """Hear that this node's membership has changed."""
        changes, self._changes = self._changes, {}
        for changed in changes.values():
            changed.set()

    def settle(self, name: str, *, is_there: bool) -> None:
        """Hear that something has changed about a name, or that it is not there."""
        changed = self._changes.pop(name, None)
        if changed is not None:
            changed.set()
        recipient = self._recipients.get(name)
        if name not in self._membership.view.owners:
            self._owner_refs.pop(name, None)
        if recipient is not None:
            recipient.settle(is_there=is_there)
            if not recipient.is_in_use:
                self._in_use.pop(name, None)

    def end(self) -> None:
        """Let nothing wait here any more, as this node has ended."""
        for name in sorted(self._recipients):
            self.settle(name, is_there=False)
        self.wake()

    async def find(self, name: str) -> Name | None:
        """Return what the store says about a name; raise NoQuorumError if it cannot be known."""
        key = self._membership.view.prefix + NAMES + name
        listing = await self._membership.store.list(key)
        entry = next((each for each in listing.entries if each.key == key), None)
        return None if entry is None else Name(decode_fact(entry, NameFact), entry.token)
