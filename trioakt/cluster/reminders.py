"""Reminders: messages that come to grains in time, whoever owns their shard by then; the store keeps them."""

from __future__ import annotations

import logging
import math
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, TypeVar

import attrs
import msgspec
import trio
from msgspec.structs import replace

from trioakt.cluster.insisting import insist
from trioakt.errors import ActorStoppedError, LeaseLostError, NoReplyError, TrioaktError, UnhandledMessageError
from trioakt.lowlevel import ActorRef, Ask, Failure, Recipient, Request, State, check_name, message
from trioakt.patterns.rhythm import SHORTEST, Agenda

if TYPE_CHECKING:
    from trioakt.cluster.lease import Lease
    from trioakt.cluster.store import Store
    from trioakt.grains.shard import Shard
    from trioakt.remote.endpoint import Endpoint

T = TypeVar("T")

_log = logging.getLogger("trioakt")

_AT_ONCE = 100
"""Reminders of a shard that are told at the same time."""
_LOOK = 60.0
"""Seconds after which the wall clock is looked at again: somebody may have put it right."""
_PATIENCE = (0.5, 60.0)
"""Seconds after which what has failed is tried again: at first, and at most."""


@message(name="trioakt.reminder")
class Reminder:
    """What a handler learns about the reminder in hand, as ``ctx.reminder``.

    Attributes:
        name: As it was given to ``ctx.remind``.
        id: Of this one time; the same when it is told again, as it may be after a crash.
        due: When it was due, in seconds since 1970.
    """

    name: str
    id: str
    due: float


@message(name="trioakt.reminder.keep")
class KeepReminder(Request[None]):
    """Asks the owner of a shard to keep a reminder of a grain that is elsewhere; see ``Context.remind``."""

    identity: str
    name: str
    delay: float
    body: bytes
    """The message."""
    every: float | None


@message(name="trioakt.reminder.drop")
class DropReminder(Request[bool]):
    """Asks it to forget one."""

    identity: str
    name: str


class ReminderFact(msgspec.Struct, frozen=True, array_like=True):
    """A reminder in the store."""

    identity: str
    name: str
    due: float
    every: float
    """Seconds from one time to the next; 0 for a single one."""
    number: int
    """Which time it is."""
    message: bytes


@attrs.frozen(eq=False)
class _Entry:
    key: str
    fact: ReminderFact
    token: int

    @property
    def reminder(self) -> Reminder:
        return Reminder(self.fact.name, f"{self.token}.{self.fact.number}", self.fact.due)


class Alarm(Ask):
    """A reminder on its way: that its handler has ended is what makes it done."""

    __slots__ = ("reminder",)

    asked = False
    lapses = True

    def __init__(self, message: Any, reminder: Reminder, target: Recipient) -> None:
        super().__init__(message, None, None, math.inf, target)
        self.reminder = reminder

    def reply(self, value: Any) -> bool:
        """Take an answer that nobody waits for; while its handler runs, the end of that is what counts."""
        return True if self.holder is not None else super().reply(value)


class Reminders:
    """The reminders of one shard, at its owner.

    Args:
        shard: Whose grains are reminded.
        endpoint: Knows how messages are written down.
        store: Where they are kept.
        lease: Of the owner.
        prefix: Of their keys.
    """

    def __init__(self, shard: Shard, endpoint: Endpoint, store: Store, lease: Lease, prefix: str) -> None:
        self._shard = shard
        self._endpoint = endpoint
        self._store = store
        self._lease = lease
        self._prefix = f"{prefix}reminders/"
        self._now = shard.system.settings.wall_clock
        self._entries: dict[str, _Entry] = {}
        self._agenda: Agenda[str] = Agenda()
        self._changed = trio.Event()
        self._loaded = trio.Event()
        self._one_write = trio.Lock()
        self._limiter = trio.CapacityLimiter(_AT_ONCE)

    # --------------------------------------------------------------------- what grains do

    async def put(self, identity: str, name: str, delay: float, message: object, every: float | None) -> None:
        """Let a message come to a grain; see ``Context.remind``."""
        check_reminder(name, delay, every)
        await self._put(identity, name, delay, self._endpoint.write_args((message,)), every)

    async def _put(self, identity: str, name: str, delay: float, body: bytes, every: float | None) -> None:
        fact = ReminderFact(identity, name, self._now() + delay, every or 0.0, 1, body)
        key = self._key(identity, name)
        await self._loaded.wait()
        async with self._one_write:
            known = self._entries.get(key)
            if known is not None:
                fact = replace(fact, number=known.fact.number + 1)
            if known is not None and await self._store.put_guarded(key, _encode(fact), known.token):
                token = known.token
            else:
                token = await self._create(key, _encode(fact))
            self._check()
            self._keep(_Entry(key, fact, token))

    async def forget(self, identity: str, name: str) -> bool:
        """Let a message not come any more; see ``Context.forget_reminder``."""
        key = self._key(identity, name)
        await self._loaded.wait()
        async with self._one_write:
            known = self._entries.get(key)
            if known is None:
                return False
            await self._store.delete(key, known.token)
            self._check()
            self._drop(key)
            return True

    async def obey(self, request: Ask) -> None:
        """Do what a grain asks for that is on another node."""
        try:
            match request.message:
                case KeepReminder(identity, name, delay, body, every):
                    check_reminder(name, delay, every)
                    await self._put(identity, name, delay, body, every)
                    request.reply(None)
                case wanted:
                    request.reply(await self.forget(wanted.identity, wanted.name))
        except (TrioaktError, ValueError) as error:
            request.fail(error)
        finally:
            if request.pending:  # the keeper ends, or is made again
                path = self._shard.ref_to(request.message.identity).path
                request.fail(ActorStoppedError(f"the owner of {path} has stopped", path))

    async def _create(self, key: str, value: bytes) -> int:
        """Write a reminder anew; what an attempt that was cut off has left there makes way."""
        while True:
            created = await self._store.create(key, value)
            if created.won:
                return created.token
            await self._store.delete(key, created.token)

    def _key(self, identity: str, name: str) -> str:
        return self._prefix + blake2b(f"{name}\0{identity}".encode(), digest_size=16).hexdigest()

    def _check(self) -> None:
        """See that what was written counts: an owner that came after this node may not have seen it."""
        if not self._lease.holds or self._shard.keeper.state is State.STOPPED:
            raise LeaseLostError("the grain has another owner by now; the reminder may be there or not")

    # ------------------------------------------------------------------------ how they come

    async def run(self) -> None:
        """Tell reminders when they are due, for as long as this node owns the shard."""
        listing = await insist(lambda: self._store.list(self._prefix), self._shard.keeper.path)
        for entry in listing.entries:
            try:
                fact = msgspec.msgpack.decode(entry.value, type=ReminderFact)
            except msgspec.DecodeError as error:
                _log.error("the store has something strange at %s: %s", entry.key, error)
            else:
                self._keep(_Entry(entry.key, fact, entry.token))
        self._loaded.set()
        async with trio.open_nursery() as nursery:
            while True:
                self._changed = trio.Event()
                with trio.move_on_after(min(max(self._agenda.next_at - self._now(), 0.0), _LOOK)):
                    await self._changed.wait()
                for _, key in self._agenda.take(self._now()):
                    nursery.start_soon(self._fire, self._entries[key])

    def _keep(self, entry: _Entry) -> None:
        self._entries[entry.key] = entry
        self._agenda.put(entry.key, entry.fact.due)
        self._changed.set()

    def _drop(self, key: str) -> None:
        del self._entries[key]
        self._agenda.discard(key)

    def _is_current(self, entry: _Entry) -> bool:
        return self._entries.get(entry.key) is entry

    async def _fire(self, entry: _Entry) -> None:
        """Tell a reminder until its handler has ended well, then write down that it has."""
        pause, longest = _PATIENCE
        while self._is_current(entry):
            async with self._limiter:
                if await self._tell(entry):
                    break
            await trio.sleep(pause)
            pause = min(2 * pause, longest)
        await insist(lambda: self._settle(entry), self._shard.keeper.path)

    async def _tell(self, entry: _Entry) -> bool:
        """Return whether the handler has ended well."""
        fact = entry.fact
        try:
            (message,) = self._endpoint.read_args(fact.message)
            alarm = Alarm(message, entry.reminder, self._shard.ref_to(fact.identity).recipient)
            self._shard.deliver(fact.identity, alarm)
            await alarm.wait()
        except (NoReplyError, UnhandledMessageError):
            return True
        except Exception as error:  # of the grain, or of its mailbox
            if not self._shard.keeper.closed:
                _log.error("the reminder %s of %s comes again: %s", fact.name, fact.identity, Failure.of(error))
            return False
        return True

    async def _settle(self, entry: _Entry) -> None:
        """Write down that a reminder was told; of those that were missed meanwhile one is left."""
        async with self._one_write:
            if not self._is_current(entry):
                return
            fact = entry.fact
            if not fact.every:
                await self._store.delete(entry.key, entry.token)
                self._drop(entry.key)
                return
            past = math.floor(max(self._now() - fact.due, 0.0) / fact.every)
            after = replace(fact, due=fact.due + (past + 1) * fact.every, number=fact.number + 1)
            await self._store.put_guarded(entry.key, _encode(after), entry.token)
            self._keep(_Entry(entry.key, after, entry.token))


@attrs.frozen
class FarReminders:
    """The reminders of a grain whose shard another node may own.

    Args:
        owner: Who has placed it.
        route: The way to whoever owns the shard by now.
        endpoint: Knows how messages are written down.
    """

    _owner: ActorRef[Any]
    _route: ActorRef[Any]
    _endpoint: Endpoint

    async def put(self, identity: str, name: str, delay: float, message: object, every: float | None) -> None:
        """Let a message come to a grain; see ``Context.remind``."""
        check_reminder(name, delay, every)
        body = self._endpoint.write_args((message,))
        await self._ask(KeepReminder(identity, name, delay, body, every))

    async def forget(self, identity: str, name: str) -> bool:
        """Let a message not come any more; see ``Context.forget_reminder``."""
        return await self._ask(DropReminder(identity, name))

    async def _ask(self, request: Request[T]) -> T:
        """Ask the owner who has placed the grain: while the shard moves, that one waits for the grain to end."""
        try:
            return await self._owner.ask(request)
        except ActorStoppedError:
            return await self._route.ask(request)


def check_reminder(name: str, delay: float, every: float | None) -> None:
    """See that a reminder is a good one.

    Raises:
        ValueError: It is none.
    """
    check_name(name)
    if not 0 <= delay < math.inf:
        raise ValueError(f"a delay is a finite number of seconds from 0 on, got {delay!r}")
    if every is not None and not SHORTEST <= every < math.inf:
        raise ValueError(f"every is a finite number of seconds from {SHORTEST} on, got {every!r}")


def _encode(fact: ReminderFact) -> bytes:
    return msgspec.msgpack.encode(fact)
