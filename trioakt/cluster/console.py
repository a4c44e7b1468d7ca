"""What the command line shows of a cluster and does to it: it reads the store, and joins nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import trio
from msgspec.structs import replace

from trioakt.cluster.facts import MemberFact, decode_fact, encode_fact
from trioakt.cluster.member import Member
from trioakt.cluster.store import Store
from trioakt.cluster.stores import open_store
from trioakt.cluster.view import MEMBERS, View, prefix_of
from trioakt.errors import ClusterError, NoQuorumError

_PATIENCE = 10.0
"""Seconds within which the store has to answer."""


def answer(url: str, system: str, cluster: str, action: str, argument: str) -> str:
    """Carry out an action and return what is to be shown.

    Raises:
        LookupError: The cluster has no such node or name.
        ClusterError, ValueError, ImportError: The store cannot be reached, or the URL is none.
    """

    async def carry_out(store: Store) -> str:
        view = View(prefix_of(system, cluster))
        view.load(await store.list(view.prefix))
        if action == "drain":
            return await _drain(store, view, argument)
        return _SHOW[action](view, argument)

    return trio.run(at_store, url, carry_out)


async def at_store(url: str, carry_out: Callable[[Store], Awaitable[str]]) -> str:
    """Do something with the store that a URL means, and return what comes of it."""
    path = url.removeprefix("sqlite://")
    if path != url and not await trio.Path(path).exists():
        raise ClusterError(f"there is no file {path}")
    with trio.move_on_after(_PATIENCE):
        async with open_store(url) as store:
            return await carry_out(store)
    raise NoQuorumError(f"the store has not answered for {_PATIENCE:.0f} s")


def _members(view: View, _: str) -> str:
    members = sorted(view.members.values(), key=lambda each: each.incarnation)
    return "\n".join(_member(each, is_leader=each == view.leader) for each in members)


def _member(member: Member, *, is_leader: bool) -> str:
    since = datetime.fromtimestamp(member.joined_at, UTC).isoformat(timespec="seconds")
    state = "draining" if member.draining else "leader" if is_leader else "member"
    roles = ",".join(sorted(member.roles)) or "-"
    return f"{member.node}  {state}  {member.address}  roles={roles}  since={since}"


def _singletons(view: View, _: str) -> str:
    return "\n".join(_name(view, name) for name in sorted(view.names) if view.names[name].fact.singleton)


def _locate(view: View, name: str) -> str:
    if name not in view.names:
        raise LookupError(f"the cluster has no actor {name!r}")
    return _name(view, name)


def _name(view: View, name: str) -> str:
    owner = view.owners.get(name)
    who = "owner=nobody" if owner is None else f"owner={owner.fact.run.rpartition('/')[0]}  token={owner.token}"
    return f"{name}  {view.names[name].fact.kind}  {who}"


async def _drain(store: Store, view: View, node: str) -> str:
    """Tell a node to hand over what it owns."""
    key = view.prefix + MEMBERS + node
    while True:  # the node may say something else of itself at the same moment
        entry = next((each for each in (await store.list(key)).entries if each.key == key), None)
        if entry is None:
            raise LookupError(f"the cluster has no member {node!r}")
        fact = decode_fact(entry, MemberFact)
        if fact.draining:
            return f"{node} hands over what it owns"
        await store.put_guarded(key, encode_fact(replace(fact, draining=True)), entry.token)


_SHOW: dict[str, Callable[[View, str], str]] = {"members": _members, "singletons": _singletons, "locate": _locate}
