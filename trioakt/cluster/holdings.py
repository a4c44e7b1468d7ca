"""Holdings: the names that this node owns, how it claims and starts them, and how it lets go of them."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, cast

import attrs
import trio

from trioakt.cluster.deeds import Deeds
from trioakt.cluster.estate import Estate
from trioakt.cluster.events import RelocationCompleted, RelocationFailed, RelocationStarted
from trioakt.cluster.guests import Guests
from trioakt.cluster.handover import HandOver
from trioakt.cluster.placement import heir
from trioakt.cluster.shards import Door, open_shard
from trioakt.cluster.view import Delta, Name, fit
from trioakt.cluster.yielding import Yielding
from trioakt.errors import ActorStoppedError, LeaseLostError, NameTakenError, StartError
from trioakt.grains.grain import Grain
from trioakt.grains.sharing import is_shard
from trioakt.lowlevel import Actor, ActorRef, CoreSystem, Failure, SpawnOptions, TerminationCause, Watch
from trioakt.remote.links import LinkUp

_log = logging.getLogger("trioakt")

_AT_ONCE = 16
"""Names that are claimed, or let go, at the same time: this bounds the rate of relocation."""
_PATIENCE = (0.25, 10.0)
"""Seconds after which what has not started is tried again: at first, and at most."""


@attrs.define(eq=False)
class Holding:
    """One name that this node owns."""

    name: str
    token: int
    """The fencing token."""
    source: Name
    """What says that it shall be there."""
    ref: ActorRef[Any] | None = None
    started: trio.Event = attrs.field(factory=trio.Event)
    """Set when the actor has started, or has not."""
    start: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    """Cancelled when the name is given up while the actor starts."""
    since: float = attrs.field(factory=trio.current_time)
    """When it was claimed."""
    leaving: bool = False
    """Whether another node is to have it."""
    gone: trio.Event = attrs.field(factory=trio.Event)
    """Set when this node has let it go."""


class Holdings:
    """What a node owns in one incarnation of its membership.

    Args:
        estate: By which it is owned.
        kinds: The actor classes that may be placed here, by name.
        settled: Called with names of which something has changed.

    Attributes:
        guests: Grains that owners of shards have placed here.
    """

    def __init__(self, estate: Estate, kinds: dict[str, type[Actor]], settled: Callable[[Iterable[str]], None]) -> None:
        self.held: dict[str, Holding] = {}
        self.draining = False
        self.guests = Guests(estate, kinds)
        self._estate = estate
        self._system = estate.system
        self._endpoint = estate.endpoint
        self._view = estate.view
        self._run = estate.run
        self._deeds = Deeds(estate.store, estate.lease, estate.view.prefix, estate.run)
        self._kinds = kinds
        self._settled = settled
        self._limiter = trio.CapacityLimiter(_AT_ONCE)
        self._hand_over = HandOver(
            estate,
            self._deeds,
            self._limiter,
            self.held,
            lambda each: bool(self.heir_of(each.source, each.name)),
            settled,
        )
        self._claiming: set[str] = set()
        self._is_over = False
        self._nursery: trio.Nursery

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        """Be the task that owns the claims; cancelled when the lease is lost or given back."""
        try:
            async with trio.open_nursery() as self._nursery:
                try:
                    self._claim_all(self._view.orphans)
                    task_status.started()
                    with self._system.events.listen(self._linked, LinkUp):
                        await trio.sleep_forever()
                finally:
                    self._is_over = True
        finally:
            for holding in self.held.values():
                holding.leaving = True
                if holding.ref is not None:
                    holding.ref.kill()
            ending = [*(holding.ref for holding in self.held.values()), *self.guests.kill()]
            names = tuple(self.held)
            self.held.clear()
            self._settled(names)  # what waits here goes to who has them now
            await self._wait_ended(ending)

    async def _wait_ended(self, refs: Iterable[ActorRef[Any] | None]) -> None:
        """Keep the lease until actors have ended, or until it may have lapsed: then others take over anyway."""
        with trio.CancelScope(deadline=self._estate.lease.lapses, shield=True):
            for ref in refs:
                if ref is not None:
                    await ref.wait_stopped()

    def hear(self, delta: Delta) -> None:
        """Take note of what has changed in the view."""
        for name, token in delta.given_up:
            holding = self.held.get(name)
            if holding is not None and holding.source.token == token:
                holding.start.cancel()
                if holding.ref is not None:
                    holding.ref.stop()
        for name in delta.names:
            self._clear(name)
        if delta.members:
            for door in self._doors():
                door.hear(delta)
            self._claim_all(self._view.orphans)
            self._share_out()
        else:
            self._claim_all(delta.names & self._view.orphans)

    def _doors(self) -> list[Door]:
        recipients = [holding.ref.recipient for holding in self.held.values() if holding.ref is not None]
        return [each for each in recipients if isinstance(each, Door)]

    def _linked(self, event: LinkUp) -> None:
        for door in self._doors():
            door.linked(event.address)

    def _clear(self, name: str) -> None:
        """Give back what an attempt that was given up has claimed after all."""
        owner = self._view.owners.get(name)
        if owner is not None and owner.fact.run == self._run and name not in self._claiming and name not in self.held:
            self._start_soon(self._deeds.disown, name, owner.token)

    def heir_of(self, name: Name, key: str) -> str:
        """Return the incarnation that a name without an owner falls to; empty if there is none."""
        present = (each for each in self._view.members.values() if not (self.draining and each.run == self._run))
        members = fit(present, name.fact.kind, name.fact.role)
        if any(member.run == name.fact.wanted for member in members):
            return name.fact.wanted
        if name.fact.bound:
            return ""
        chosen = heir(key, members)
        return "" if chosen is None else chosen.run

    # --------------------------------------------------------------------- taking on

    def _claim_all(self, names: Iterable[str]) -> None:
        for name in () if self._is_over else sorted(names):
            if self._is_lost(name):
                self._start_soon(self._deeds.give_up, name, self._view.names[name].token)
            elif name not in self._claiming and self._falls_here(name):
                self._claiming.add(name)
                self._start_soon(self._take_on, name)

    def _is_lost(self, name: str) -> bool:
        """Return whether it is for this node to end a name that was bound to an incarnation that is gone."""
        found = self._view.names.get(name)
        if found is None or not found.fact.bound or name in self._view.owners:
            return False
        members = list(self._view.members.values())
        ender = heir(name, members)
        return all(each.run != found.fact.wanted for each in members) and ender is not None and ender.run == self._run

    def _falls_here(self, name: str) -> bool:
        if self.draining or self._system.user.closed or name in self.held or name not in self._view.orphans:
            return False
        return self.heir_of(self._view.names[name], name) == self._run

    async def write(self, name: str, write: Callable[[], Awaitable[Name | None]]) -> Name | None:
        """Write down a name that is to be owned here, and claim it at once if it was not there.

        When cancelled, it may have been written; then it is claimed all the same.
        """
        self._claiming.add(name)
        source = None
        try:
            source = await write()
        finally:
            if source is None:
                self._claiming.discard(name)
                self._claim_all([name])
        if source is not None:
            self._start_soon(self._take_on, name, source)
        return source

    def _start_soon(self, fn: Callable[..., Awaitable[object]], *args: object) -> None:
        if not self._is_over:  # otherwise others take over
            self._nursery.start_soon(fn, *args)

    async def _take_on(self, name: str, fresh: Name | None = None) -> None:
        """Claim a name that falls to this node and start its actor; what fails is tried again.

        Args:
            name: Which.
            fresh: What says that it shall be there, if this node has just written it.
        """
        pause, longest = _PATIENCE
        try:
            while fresh is not None or self._falls_here(name):
                source, fresh = fresh or self._view.names[name], None
                try:
                    async with self._limiter:
                        if await self._claim(name, source):
                            return
                except LeaseLostError as error:
                    _log.warning("cannot claim %s: %s", name, error)
                except StartError as error:
                    _log.error("cannot start %s: %s", name, error)
                await trio.sleep(pause)
                pause = min(2 * pause, longest)
        finally:
            self._claiming.discard(name)

    async def _claim(self, name: str, source: Name) -> bool:
        """Become the owner of a name and start its actor; return whether that came about.

        Raises:
            StartError: The actor did not start.
            LeaseLostError: It could not be claimed any more.
        """
        token = await self._deeds.own(name)
        if token is None or name in self.held:
            return False
        moved = self._view.is_bereaved(name, self._run) and not is_shard(name)
        holding = self.held[name] = Holding(name, token, source)
        try:
            if self.draining or not await self._deeds.is_wanted(name, source.token):
                await self._hand_over.disown(holding)
                return False
            if moved:
                self._system.publish(RelocationStarted, self._system.user.ref, name)
            with holding.start:
                holding.ref = await self._start(holding)
            if holding.ref is None:
                raise StartError(f"{name!r} was given up before it had started", f"/user/{name}")
        except StartError as error:
            if moved:
                self._system.publish(RelocationFailed, self._system.user.ref, name, Failure.of(error))
            elif not self._system.user.closed and not is_shard(name):  # otherwise it is for another node
                await self._deeds.fail(name, token, str(error))
                await self._deeds.give_up(name, source.token)
            await self._hand_over.disown(holding)
            raise
        except BaseException:
            self.held.pop(name, None)
            raise
        finally:
            holding.started.set()
        holding.ref.recipient.signal(Watch(_Watch(self, holding)))
        if holding.start.cancel_called:
            holding.ref.stop()
        self._settled([name])
        if not holding.leaving:
            await self._deeds.announce(name, token, self._endpoint.name_of(holding.ref))
        if holding.leaving:  # maybe only since then: what has been taken back meanwhile is so again
            await self._deeds.announce(name, token, "")
        self._share_out()
        if moved:
            self._system.publish(RelocationCompleted, holding.ref, name)
        return True

    async def _start(self, holding: Holding) -> ActorRef[Any]:
        fact = holding.source.fact
        try:
            kind = self._kinds[fact.kind]
            args = self._endpoint.read_args(fact.args) if fact.args else ()
        except Exception as error:  # another version of the program has written it
            raise StartError(f"{holding.name!r} cannot be started here: {error}", f"/user/{holding.name}") from error
        options = cast("SpawnOptions", dict(fact.options))
        options["supervision"] = Yielding(self._system.settings.supervision)
        while True:
            before = self._system.actor(holding.name)
            try:
                if issubclass(kind, Grain):
                    return open_shard(self._estate, self.guests, holding.name, holding.token, kind)
                return await CoreSystem.spawn(self._system, kind, *args, name=holding.name, **options)
            except NameTakenError as error:
                if before is None or before.is_alive:
                    raise StartError(f"{self._system.address} has an actor {holding.name!r} of its own", "") from error
                await before.wait_stopped()  # an earlier life, which has lost its lease
            except (ActorStoppedError, TypeError, ValueError) as error:
                raise StartError(f"{holding.name!r} cannot be started: {error}", f"/user/{holding.name}") from error

    # --------------------------------------------------------------------- letting go

    def ended(self, holding: Holding) -> None:
        """Hear that an actor has ended: unless it moves, its name ends with it."""
        if not holding.leaving and not self._system.user.closed and self.held.get(holding.name) is holding:
            self._start_soon(self._give_up, holding)

    async def _give_up(self, holding: Holding) -> None:
        if not is_shard(holding.name):  # which is there for its reminders, too
            await self._deeds.give_up(holding.name, holding.source.token)
        await self._hand_over.disown(holding)

    def _share_out(self) -> None:
        """Let go of the shards that fall to others now, since members have come."""
        leaving: list[Holding] = []
        for name, holding in self.held.items():
            is_settled = holding.started.is_set() and not holding.leaving
            if is_shard(name) and is_settled and self.heir_of(holding.source, name) not in ("", self._run):
                holding.leaving = True
                leaving.append(holding)
        if leaving:
            self._start_soon(self._hand_over.let_go, leaving)

    async def hand_over(self) -> None:
        """Let all go, for other nodes to take."""
        self.draining = True
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._hand_over.let_all_go)
            with trio.move_on_after(self._system.settings.actors.stop_grace):
                await self.guests.let_go()


@attrs.frozen(eq=False)
class _Watch:
    """Hears of the end of an actor that has a name."""

    holdings: Holdings
    holding: Holding

    def terminated(self, ref: ActorRef[Any], cause: TerminationCause) -> None:
        self.holdings.ended(self.holding)
