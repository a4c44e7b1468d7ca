"""The view: what a node knows of the datacenters, as the directory tells it. Pure: no event loop, no wire.

For each datacenter there is a record, which stays; a key for each of its nodes that vouches for it, under the lease of
that node; and a key while an operator wants it to drain.
"""

from __future__ import annotations

from typing import NamedTuple

from trioakt.cluster.store import Changes, Entry, Listing, Removed
from trioakt.datacenter.facts import DatacenterFact, decode_fact
from trioakt.datacenter.info import DatacenterInfo, DatacenterState

RECORDS, LEASES, DRAINS = "records/", "leases/", "drains/"


def prefix_of(system: str) -> str:
    """Return with what the keys of the datacenters of a system begin."""
    return f"trioakt.datacenters/{system}/"


class Record(NamedTuple):
    """What is said of a datacenter, with the token of the entry that says so."""

    fact: DatacenterFact | None
    """``None`` if it cannot be read."""
    token: int


class DirectoryView:
    """The keys under one prefix of the directory.

    Args:
        prefix: With which they begin.

    Attributes:
        revision: That of the directory which this is the view of.
    """

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.revision = 0
        self._entries: dict[str, Entry] = {}

    def load(self, listing: Listing) -> None:
        """Take everything anew."""
        self.revision = listing.revision
        self._entries = {entry.key: entry for entry in listing.entries}

    def apply(self, changes: Changes) -> None:
        """Take what one revision has changed, unless that is known already."""
        if changes.revision <= self.revision:
            return
        self.revision = changes.revision
        for change in changes.changes:
            if isinstance(change, Removed):
                self._entries.pop(change.key, None)
            else:
                self._entries[change.key] = change

    def key(self, shelf: str, name: str) -> str:
        """Return the key of a datacenter on a shelf."""
        return f"{self.prefix}{shelf}{name}"

    def lease_key(self, name: str, cluster: str, run: str) -> str:
        """Return the key by which a node vouches for a datacenter."""
        return f"{self.key(LEASES, name)}/{cluster}/{run}"

    def entry(self, key: str) -> Entry | None:
        """Return what is at a key."""
        return self._entries.get(key)

    def record(self, name: str) -> Record | None:
        """Return what is said of a datacenter."""
        entry = self._entries.get(self.key(RECORDS, name))
        return None if entry is None else Record(decode_fact(entry.value), entry.token)

    def is_alive(self, name: str, cluster: str) -> bool:
        """Return whether a node vouches for a datacenter as part of a cluster."""
        prefix = self.lease_key(name, cluster, "")
        return any(key.startswith(prefix) for key in self._entries)

    def datacenters(self) -> dict[str, DatacenterInfo]:
        """Return what is known of all datacenters, by name."""
        shelf = self.prefix + RECORDS
        names = sorted(key.removeprefix(shelf) for key in self._entries if key.startswith(shelf))
        found = ((name, self.record(name)) for name in names)
        return {name: self._info(name, record.fact) for name, record in found if record and record.fact}

    def _info(self, name: str, fact: DatacenterFact) -> DatacenterInfo:
        state = fact.state
        if not self.is_alive(name, fact.cluster):
            state = DatacenterState.INACTIVE
        elif self.key(DRAINS, name) in self._entries:
            state = DatacenterState.DRAINING
        return DatacenterInfo(name, state, tuple(fact.addresses), frozenset(fact.kinds), fact.shards)
