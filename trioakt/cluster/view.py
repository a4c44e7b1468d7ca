"""The view: what a node knows of its cluster, as the store tells it. Pure: no event loop, no wire."""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from trioakt.cluster.facts import NameFact, OwnerFact, decode_fact, member_of
from trioakt.cluster.member import Member
from trioakt.cluster.store import Changes, Entry, Listing, Removed

MEMBERS, NAMES, OWNERS = "members/", "names/", "owners/"


def prefix_of(system: str, cluster: str) -> str:
    """Return with what the keys of a cluster begin."""
    return f"trioakt/{system}/{cluster}/"


@attrs.frozen
class Name:
    """An actor that shall be there, with the token of the entry that says so."""

    fact: NameFact
    token: int


@attrs.frozen
class Owner:
    """Who owns a name, with the fencing token of this ownership."""

    fact: OwnerFact
    token: int


@attrs.define
class Delta:
    """What has changed in a view."""

    joined: list[Member] = attrs.field(factory=list[Member])
    left: list[Member] = attrs.field(factory=list[Member])
    members: bool = False
    """Whether anything about a member has changed."""
    anew: bool = False
    """Whether all was taken anew: what has come and gone meanwhile is not told."""
    names: set[str] = attrs.field(factory=set[str])
    """Names of which something has changed."""
    given_up: list[tuple[str, int]] = attrs.field(factory=list[tuple[str, int]])
    """Names that are there no more, with the tokens of what said so."""


class View:
    """The facts under one prefix of the store.

    Args:
        prefix: With which the keys of the cluster begin.

    Attributes:
        members: By the names of their nodes.
        names: The actors that shall be there.
        owners: Who owns their names.
        orphans: Names that nobody owns.
        revision: That of the store which this is the view of.
    """

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.members: dict[str, Member] = {}
        self.names: dict[str, Name] = {}
        self.owners: dict[str, Owner] = {}
        self.orphans: set[str] = set()
        self.revision = 0
        self._started: set[str] = set()
        self._keys: set[str] = set()

    @property
    def leader(self) -> Member | None:
        """The member that has been there for longest."""
        return min(self.members.values(), key=lambda member: member.incarnation, default=None)

    def is_bereaved(self, name: str, run: str) -> bool:
        """Return whether a name had an owner that is gone, as seen by an incarnation of a node."""
        found = self.names.get(name)
        return name in self._started or (found is not None and found.fact.wanted not in ("", run))

    def load(self, listing: Listing) -> Delta:
        """Take everything anew."""
        self.revision = listing.revision
        delta = Delta(anew=True)
        listed = {entry.key for entry in listing.entries}
        for key in sorted(self._keys - listed):
            self._remove(key, delta)
        for entry in listing.entries:
            self._put(entry, delta)
        return delta

    def apply(self, changes: Changes) -> Delta:
        """Take what one revision has changed."""
        self.revision = changes.revision
        delta = Delta()
        for change in changes.changes:
            if isinstance(change, Removed):
                self._remove(change.key, delta)
            else:
                self._put(change, delta)
        return delta

    def _put(self, entry: Entry, delta: Delta) -> None:
        self._keys.add(entry.key)
        shelf, _, name = entry.key.removeprefix(self.prefix).partition("/")
        match f"{shelf}/":
            case "members/":
                self._put_member(member_of(name, entry), delta)
            case "names/":
                found = Name(decode_fact(entry, NameFact), entry.token)
                before = self.names.get(name)
                if before != found:
                    if before is not None and before.token != found.token:
                        delta.given_up.append((name, before.token))
                    self.names[name] = found
                    self._changed(name, delta)
            case "owners/":
                owner = Owner(decode_fact(entry, OwnerFact), entry.token)
                if self.owners.get(name) != owner:
                    self.owners[name] = owner
                    if owner.fact.ref:
                        self._started.add(name)
                    self._changed(name, delta)
            case _:
                pass

    def _put_member(self, member: Member, delta: Delta) -> None:
        before = self.members.get(member.node)
        if before == member:
            return
        self.members[member.node] = member
        delta.members = True
        if before is None or before.incarnation != member.incarnation:
            if before is not None:
                delta.left.append(before)
            delta.joined.append(member)

    def _remove(self, key: str, delta: Delta) -> None:
        self._keys.discard(key)
        shelf, _, name = key.removeprefix(self.prefix).partition("/")
        match f"{shelf}/":
            case "members/":
                member = self.members.pop(name, None)
                if member is not None:
                    delta.members = True
                    delta.left.append(member)
            case "names/":
                before = self.names.pop(name, None)
                self._started.discard(name)
                if before is not None:
                    delta.given_up.append((name, before.token))
                self._changed(name, delta)
            case "owners/":
                self.owners.pop(name, None)
                self._changed(name, delta)
            case _:
                pass

    def _changed(self, name: str, delta: Delta) -> None:
        delta.names.add(name)
        if name in self.names and name not in self.owners:
            self.orphans.add(name)
        else:
            self.orphans.discard(name)


def fit(members: Iterable[Member], kind: str, role: str) -> list[Member]:
    """Return the members that may be given an actor of a kind now, in the order in which they joined."""
    willing = (each for each in members if not each.draining and (not role or role in each.roles))
    return sorted((each for each in willing if kind in each.kinds), key=lambda member: member.incarnation)
