"""The chain of those who wait for one answer over several nodes: a circle of them is found where it closes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from trioakt.errors import AskCycleError
from trioakt.lowlevel import ActorRef, Address, Ask, Recipient, way_to

if TYPE_CHECKING:
    from trioakt.remote.names import Names

LONGEST = 64
"""Actors in a chain; one that waits behind more than these is not looked for."""


class ChainedAsk(Ask):
    """A request that has come with its chain."""

    __slots__ = ("chain",)

    chain: Sequence[str]


def chain_of(ask: Ask, names: Names) -> list[str]:
    """Return the names of all actors whose mailboxes are held until this request is answered, here and elsewhere."""
    chain: list[str] = []
    node: Recipient | Ask | None = ask.waiter
    while node is not None and len(chain) < LONGEST:
        in_hand: Any = node
        if not isinstance(node, Ask):
            chain.append(names.write_ref(ActorRef(node)))
            in_hand = getattr(getattr(node, "ctx", None), "envelope", None)
        if isinstance(in_hand, ChainedAsk):
            chain.extend(in_hand.chain)
        node = in_hand.waiter if isinstance(in_hand, Ask) else None
    return chain[:LONGEST]


def check_chain(chain: Sequence[str], target: Recipient, names: Names) -> None:
    """Refuse a request that would wait for somebody in its own chain.

    Raises:
        AskCycleError: It would.
    """
    if not chain:
        return
    refs = [names.read_ref(name) for name in chain]
    waiters = {ref.recipient: place for place, ref in enumerate(refs)}
    way = way_to(cast("dict[Recipient | Ask, int]", waiters), target)
    if way is not None:
        before = reversed(refs[: waiters[way[-1]] + 1])
        raise AskCycleError((*(ref.path for ref in before), *(Address.parse(each.address).path for each in way)))
