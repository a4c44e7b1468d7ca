"""Grains of a system that is in no cluster: all of them are active here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trioakt.errors import ActorError
from trioakt.grains.grain import Grain, GrainKind, check_grain, check_identity
from trioakt.grains.ref import GrainRecipient, GrainRef
from trioakt.grains.shard import Shard, open_keeper, refuse
from trioakt.lowlevel import State, TerminationCause, Watch

if TYPE_CHECKING:
    from trioakt.lowlevel import Cell, CoreSystem, Envelope, Signal


class LocalGrains:
    """The grains of one system, a shard for each kind.

    Args:
        system: Theirs.
    """

    def __init__(self, system: CoreSystem) -> None:
        self.system = system
        self._names: dict[type[Grain], str] = {}
        self._kinds: dict[str, GrainKind] = {}
        self._shards: dict[str, Shard] = {}

    def ref_to(self, factory: type[Grain], identity: str) -> GrainRef[Any]:
        """Return the ref to a grain; see ``ActorSystem.grain``."""
        name = self._names.get(check_grain(factory)) or self._register(factory)
        return GrainRef(GrainRecipient(self, name, check_identity(identity)))

    def _register(self, factory: type[Grain]) -> str:
        kind = GrainKind.of(factory, self.system.settings.actors)
        if self._kinds.setdefault(kind.name, kind) != kind:
            raise TypeError(f"{self.system.name!r} has grains of another class that is called {kind.name}")
        self._names[factory] = kind.name
        return kind.name

    # ------------------------------------------------------------- what the refs need

    def deliver(self, grain: GrainRecipient, envelope: Envelope) -> None:
        """Take a message in for a grain, which is activated if it is not there."""
        try:
            shard = self._shard(grain.kind)
        except ActorError as error:
            refuse(self.system, GrainRef(grain), envelope, error)
        else:
            shard.deliver(grain.id, envelope)

    async def send(self, grain: GrainRecipient, envelope: Envelope) -> None:
        """Take a message in for a grain, waiting for room."""
        await self._shard(grain.kind).send(grain.id, envelope)

    def signal(self, grain: GrainRecipient, signal: Signal) -> None:
        """Pass a signal on to the present activation of a grain."""
        self.system.user.check_thread()
        shard = self._shards.get(grain.kind)
        if shard is not None:
            shard.signal(grain.id, signal)
        elif isinstance(signal, Watch):
            signal.watcher.terminated(GrainRef(grain), TerminationCause.STOPPED)

    def active(self, grain: GrainRecipient) -> Cell | None:
        """Return the activation of a grain, if there is one."""
        shard = self._shards.get(grain.kind)
        return None if shard is None else shard.active(grain.id)

    def _shard(self, kind: str) -> Shard:
        """Return the shard of a kind; one whose keeper somebody has stopped is opened anew.

        Raises:
            ActorStoppedError: The system is stopping.
            NameTakenError: The keeper has not ended yet.
        """
        shard = self._shards.get(kind)
        if shard is not None and shard.keeper.state is not State.STOPPED:
            return shard

        def ref_to(identity: str) -> GrainRef[Any]:
            return GrainRef(GrainRecipient(self, kind, identity))

        async def go_on() -> None:
            await self._shards[kind].go_on()

        keeper = open_keeper(self.system, f"$grains.{kind}", go_on)
        opened = self._shards[kind] = Shard(self.system, keeper, self._kinds[kind], ref_to)
        return opened
