"""The ref to a grain, and the recipient behind it: both name an identity, whether a grain is active for it or not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, cast
from urllib.parse import quote

from trioakt.lowlevel import ActorRef, Address

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    from trioakt.lowlevel import Cell, CoreContext, CoreSystem, Envelope, Signal

    M_contra = TypeVar("M_contra", contravariant=True, default=Any)
else:
    from typing import TypeVar

    M_contra = TypeVar("M_contra", contravariant=True)


class GrainRef(ActorRef[M_contra]):
    """A ref to a grain, whoever has it now: equal to each other such ref, and good for ever.

    ``stop``, ``kill`` and a ``PoisonPill`` end the present activation, if there is one, and so do those who watch it
    hear of that one's end; the next message activates the grain anew.
    """

    __slots__ = ()

    @property
    def grain(self) -> GrainRecipient:
        """What is behind it."""
        return cast("GrainRecipient", self.recipient)

    @property
    def identity(self) -> str:
        """Who the grain is."""
        return self.grain.id

    @property
    def kind(self) -> str:
        """The name of its class, as nodes know it."""
        return self.grain.kind


class Whereabouts(Protocol):
    """Where the grains of a system are."""

    system: CoreSystem

    def deliver(self, grain: GrainRecipient, envelope: Envelope) -> None:
        """Take a message in for a grain, which is activated if it is not there."""
        ...

    async def send(self, grain: GrainRecipient, envelope: Envelope) -> None:
        """Take a message in for a grain, waiting for room."""
        ...

    def signal(self, grain: GrainRecipient, signal: Signal) -> None:
        """Pass a signal on to the present activation of a grain, if there is one."""
        ...

    def active(self, grain: GrainRecipient) -> Cell | None:
        """Return the activation of a grain on this node, if it is here."""
        ...


class GrainRecipient:
    """One identity.

    Attributes:
        kind: The name of its class.
        id: Who it is.
        shard: The name of its shard, in a cluster.
        identity: By what the codec knows it, in a cluster, where all nodes know it.
    """

    __slots__ = ("_hash", "_whereabouts", "id", "identity", "kind", "shard")

    is_alive = True

    def __init__(self, whereabouts: Whereabouts, kind: str, id: str, shard: str = "") -> None:  # noqa: A002
        self._whereabouts = whereabouts
        self.kind = kind
        self.id = id
        self.shard = shard
        self.identity = f"grain/{kind}/{id}" if shard else None
        self._hash = hash((kind, id))

    @property
    def address(self) -> str:
        """The address, which names no node where all nodes know it."""
        system, path = self._whereabouts.system, f"/grains/{quote(self.kind, safe='')}/{quote(self.id, safe='')}"
        return str(Address(system.name, "" if self.shard else system.node, path))

    def deliver(self, envelope: Envelope) -> None:
        """Take a message in now."""
        self._whereabouts.deliver(self, envelope)

    async def send(self, envelope: Envelope) -> None:
        """Take a message in, waiting for room."""
        await self._whereabouts.send(self, envelope)

    def signal(self, signal: Signal) -> None:
        """Pass a signal on to the present activation."""
        self._whereabouts.signal(self, signal)

    # ------------------------------------------------- what is known of its activation here

    @property
    def ctx(self) -> CoreContext | None:
        """The context of its running handler, where circles of asks are looked for."""
        cell = self._whereabouts.active(self)
        return None if cell is None else cell.ctx

    @property
    def factory(self) -> object:
        """Its class, where it is active here; its name otherwise."""
        cell = self._whereabouts.active(self)
        return type(self) if cell is None else cell.factory

    def statistics(self) -> object:
        """Return the figures of its activation here.

        Raises:
            TypeError: It is not active here.
        """
        cell = self._whereabouts.active(self)
        if cell is None:
            raise TypeError(f"{self.address} is not active here: it has no statistics")
        return cell.statistics()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, GrainRecipient):
            return False
        return self.id == other.id and self.kind == other.kind and self._whereabouts is other._whereabouts

    def __hash__(self) -> int:
        return self._hash
