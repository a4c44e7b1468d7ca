"""Abroad: another datacenter, as a node of this one reaches it, as a guest that is no member there."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any

import trio

from trioakt.cluster.names import checked_options
from trioakt.cluster.settings import check_kind
from trioakt.datacenter.orders import SpawnOrder, encode_order
from trioakt.errors import (
    ActorNotFoundError,
    ConnectionLostError,
    LeaseLostError,
    NodeUnreachableError,
    TrioaktError,
    UnhandledMessageError,
)
from trioakt.lowlevel import Address
from trioakt.patterns.kinds import kind_name
from trioakt.remote.directory import Directory
from trioakt.remote.distant_grains import DistantGrains

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from trioakt.cluster.placement import Placement
    from trioakt.lowlevel import Actor, ActorRef, CoreSystem, SpawnOptions
    from trioakt.remote.endpoint import Endpoint

DATACENTER = "datacenter"
"""With what the identities of refs begin that name a datacenter, and the questions to one."""
_PAUSE = 1.0
"""Seconds after which the nodes are asked again who is there, when none can tell."""


def home_of(name: str, shards: int) -> str:
    """Return with what the identities of refs to what is in a datacenter begin; they say all that is needed there."""
    return f"{DATACENTER}/{name}:{shards}/"


class Abroad:
    """Another datacenter.

    Args:
        system: This node's.
        endpoint: Its way to others.
        nursery: Where what is done for that datacenter runs.
        name: Of the datacenter.
        shards: In how many parts the grains of a class are shared out there.
        addresses: Returns those of its nodes, as the directory tells.

    Attributes:
        directory: The names there.
        grains: The grains there.
    """

    def __init__(
        self,
        system: CoreSystem,
        endpoint: Endpoint,
        nursery: trio.Nursery,
        name: str,
        shards: int,
        addresses: Callable[[], Iterable[str]],
    ) -> None:
        self._endpoint = endpoint
        self._about = f"{DATACENTER}/{name}"
        self._name = name
        self._addresses = addresses
        self._members: tuple[str, ...] = ()
        self._turns = count()
        self.directory = Directory(system, endpoint, self.inquire, nursery, home_of(name, shards))
        self.grains = DistantGrains(self.directory, shards)
        nursery.start_soon(self._follow_members)

    async def inquire(self, question: str) -> str:
        """Ask one node there after the other, those that have a session first, until one can tell.

        Raises:
            ActorNotFoundError: The answer is that there is no such thing.
            NodeUnreachableError: None could tell, or the node that has what was asked for cannot be reached.
        """
        errors: list[TrioaktError] = []
        for place in self._places():
            try:
                answer = await self._endpoint.inquire(place, self._about, question)
                await self._meet(question, answer)
                return answer
            except ActorNotFoundError:
                raise
            except TrioaktError as error:  # it cannot be reached, has lost its lease, or is of another datacenter now
                errors.append(error)
        raise self._unreachable(errors)

    async def _meet(self, question: str, answer: str) -> None:
        """See that the owner of a name can be reached before what waits for it is sent there."""
        if question.startswith("owner ") and answer:
            place = Address.parse(answer.partition("#")[0]).node
            if not self._endpoint.is_linked(place):
                await self._endpoint.greet(place)

    async def spawn(
        self,
        kind: type[Actor],
        args: tuple[object, ...],
        name: str,
        *,
        placement: Placement,
        relocate: bool,
        options: SpawnOptions,
    ) -> ActorRef[Any]:
        """Let a node there place an actor, as ``Names.spawn``; see ``ActorSystem.spawn_on``."""
        check_kind(kind)
        ref = self.directory.ref_to(name)
        body, numbers = self._endpoint.write_args(args), checked_options(options)
        strategy, role = placement.strategy, placement.role
        text = encode_order(SpawnOrder(kind_name(kind), body, name, strategy, role, relocate, numbers))
        self._endpoint.check((text,))
        await self._order(text)
        return ref

    async def _order(self, text: str) -> None:
        """Let one of the nodes there, by turns, carry out an order; it is given to no second one that may have it."""
        places, errors = self._places(), list[TrioaktError]()
        turn = next(self._turns) % max(len(places), 1)
        for place in (*places[turn:], *places[:turn]):
            try:
                await self._endpoint.inquire(place, f"{self._about}/spawn", text)
            except NodeUnreachableError as error:
                lost = error.__cause__
                if isinstance(lost, ConnectionLostError) and lost.outcome == "unknown":
                    raise lost from None
                errors.append(error)
            except (LeaseLostError, UnhandledMessageError) as error:
                errors.append(error)
            else:
                return
        raise self._unreachable(errors)

    def _places(self) -> list[str]:
        """Return where the nodes are, ``host:port``, those that have a session first."""
        told = (Address.parse(address).node for address in (*self._members, *self._addresses()))
        return sorted(dict.fromkeys(told), key=lambda place: not self._endpoint.is_linked(place))

    def _unreachable(self, errors: Iterable[TrioaktError]) -> NodeUnreachableError:
        reasons = "; ".join(map(str, errors)) or "no address is known"
        return NodeUnreachableError(f"no node of the datacenter {self._name!r} can be reached: {reasons}")

    async def _follow_members(self) -> None:
        """Know the nodes there from themselves too, so that the directory is not needed for what is in use."""
        known = ""
        while True:
            try:
                known = await self.inquire(f"members {known}")
            except TrioaktError:
                known = ""
                await trio.sleep(_PAUSE)
            else:
                self._members = tuple(address for address in known.split(",") if address)
