"""Schedules: messages told later, once or again and again; one task waits for the next of all of them."""

from __future__ import annotations

import heapq
import logging
import math
from collections.abc import Callable
from itertools import count
from threading import get_ident
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, get_args

import trio

from trioakt.errors import MailboxFullError
from trioakt.lowlevel import Ask, DeadLetterReason, Envelope, Failure, Watch, check_name

if TYPE_CHECKING:
    from trioakt.lowlevel import Actor, ActorRef, CoreContext, CoreSystem, TerminationCause

T = TypeVar("T")

_log = logging.getLogger("trioakt")

Missing = Literal["coalesce", "burst"]
"""What becomes of ticks that come too fast: dropped while an earlier one is not handled, or told all the same."""

_SHORTEST = 0.001
"""Seconds: the shortest interval; below it a burst could be without end."""


def advance(due: float, interval: float, now: float) -> tuple[int, float]:
    """Return how many ticks are due by now, from the one at ``due`` on, and when the next one is. Pure."""
    ticks = math.floor((now - due) / interval) + 1
    return ticks, max(due + ticks * interval, math.nextafter(now, math.inf))


class Agenda(Generic[T]):
    """What is due when: a heap, in which what was taken back stays until its turn or until it is the most. Pure."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, T]] = []
        self._entries: dict[T, tuple[float, int, T]] = {}
        self._numbers = count()

    @property
    def next_at(self) -> float:
        """When the next item is due; ``inf`` without any."""
        while self._heap and self._entries.get(self._heap[0][2]) is not self._heap[0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else math.inf

    def put(self, item: T, due: float) -> None:
        """Put an item in, or move it."""
        entry = self._entries[item] = (due, next(self._numbers), item)
        heapq.heappush(self._heap, entry)
        if len(self._heap) > 2 * len(self._entries) + 64:
            self._heap = list(self._entries.values())
            heapq.heapify(self._heap)

    def discard(self, item: T) -> None:
        """Take an item back, if it is there."""
        self._entries.pop(item, None)

    def take(self, now: float) -> list[tuple[float, T]]:
        """Take out what is due by now, in the order of the times and then as it was put in."""
        taken: list[tuple[float, T]] = []
        while self.next_at <= now:
            due, _, item = heapq.heappop(self._heap)
            del self._entries[item]
            taken.append((due, item))
        return taken


class _Tick(Ask):
    """A message whose end the schedule notices: the next one may wait for it. An earlier life's is not handled."""

    __slots__ = ("_is_over",)

    def __init__(self, message: Any, ref: ActorRef[Any], is_over: Callable[[], bool]) -> None:
        super().__init__(message, None, None, math.inf, ref.recipient)
        self._is_over = is_over

    @property
    def given_up(self) -> bool:
        return self._is_over()


class Schedule:
    """One schedule; get it from ``system.scheduler`` or ``ctx.schedule_once`` and ``ctx.schedule_every``.

    Attributes:
        name: Unique among the schedules of the system.
        ref: Who is told.
        message: What.
        interval: Seconds between two ticks; ``None`` for a schedule that ticks once.
        missed: What becomes of ticks that come too fast.
    """

    def __init__(
        self, scheduler: Scheduler, name: str, ref: ActorRef[Any], message: Any, interval: float | None, missed: Missing
    ) -> None:
        self.name = name
        self.ref = ref
        self.message = message
        self.interval = interval
        self.missed: Missing = missed
        self._scheduler = scheduler
        self._context: CoreContext | None = None
        self._actor: Actor | None = None
        self._tick: _Tick | None = None
        self._due = 0.0
        self._left: float | None = None

    @property
    def active(self) -> bool:
        """Whether it will still tick, or is paused: it has not been cancelled, and is not through."""
        return self._scheduler.get(self.name) is self

    @property
    def paused(self) -> bool:
        """Whether it is paused."""
        return self.active and self._left is not None

    @property
    def due(self) -> float | None:
        """When the next tick is, in seconds on Trio's clock; ``None`` while it is paused and after its end."""
        return self._due if self.active and self._left is None else None

    def pause(self) -> None:
        """Stop the clock of this schedule, until ``resume``; a tick in a mailbox stays there."""
        self._scheduler.check_thread()
        if self.active and self._left is None:
            self._left = max(0.0, self._due - trio.current_time())
            self._scheduler.forget_due(self)

    def resume(self) -> None:
        """Go on with the time that was left when it was paused."""
        self._scheduler.check_thread()
        if self.active and self._left is not None:
            left, self._left = self._left, None
            self._set(trio.current_time() + left)

    def cancel(self) -> None:
        """Tick no more; a tick in a mailbox stays there. Once more changes nothing."""
        self._scheduler.check_thread()
        self._scheduler.remove(self)

    def _set(self, due: float) -> None:
        self._due = due
        self._scheduler.put_due(self, due)

    def bind(self, context: CoreContext) -> None:
        """Tie it to this life of an actor; the scheduler calls this."""
        self._context, self._actor = context, context.actor

    def begin(self, due: float) -> None:
        """Wait for the first tick; the scheduler calls this."""
        self._set(due)

    def is_over(self) -> bool:
        """Whether the life of the actor that it was tied to has ended."""
        return self._context is not None and self._context.cell.actor is not self._actor

    def fire(self, now: float) -> None:
        """Tell what is due, and set the next time; the scheduler calls this."""
        if self.is_over():
            self._scheduler.remove(self)
            return
        ticks = 1
        if self.interval is None:
            self._scheduler.remove(self)
        else:
            ticks, due = advance(self._due, self.interval, now)
            self._set(due)
        if self.missed == "burst":
            for _ in range(ticks):
                self._tell()
        elif self._tick is None or not self._tick.pending:
            self._tell()

    def _tell(self) -> None:
        envelope: Envelope = Envelope(self.message)
        if self._context is not None or (self.interval is not None and self.missed == "coalesce"):
            envelope = self._tick = _Tick(self.message, self.ref, self.is_over)
        try:
            self.ref.recipient.deliver(envelope)
        except MailboxFullError:
            reason = DeadLetterReason.MAILBOX_FULL
        except Exception as error:
            _log.error("the mailbox of %s failed: %s", self.ref.path, Failure.of(error))
            reason = DeadLetterReason.UNHANDLED
        else:
            return
        self._tick = None
        self._scheduler.dead_letter(self.message, self.ref, reason)


class Scheduler:
    """Tells messages later. Its one task starts with the first schedule and ends with the last actor."""

    def __init__(self, system: CoreSystem) -> None:
        self._system = system
        self._schedules: dict[str, Schedule] = {}
        self._of: dict[ActorRef[Any], set[Schedule]] = {}
        self._agenda = Agenda[Schedule]()
        self._numbers = count(1)
        self._changed = trio.Event()
        self._scope: trio.CancelScope | None = None

    def once(self, delay: float, ref: ActorRef[Any], message: object, *, name: str | None = None) -> Schedule:
        """Tell an actor a message after a delay, if it still lives then.

        Args:
            delay: Seconds, from 0 on.
            ref: Whom; the schedule ends with it.
            message: What.
            name: Unique among the schedules that have not ended; without one, a name is made.

        Raises:
            ValueError: The name is taken or bad, or the delay is.
            RuntimeError: The system does not run, or this is another thread.
        """
        return self._start(delay, None, ref, message, name, "burst", None)

    def every(
        self,
        interval: float,
        ref: ActorRef[Any],
        message: object,
        *,
        name: str | None = None,
        missed: Missing = "coalesce",
    ) -> Schedule:
        """Tell an actor a message again and again, for the first time after one interval.

        Args:
            interval: Seconds, at least 0.001.
            ref: Whom; the schedule ends with it.
            message: What.
            name: As ``once``.
            missed: ``"coalesce"``: a tick is dropped while the one before it has not been handled, and of several
                that are late one is told; ``"burst"``: each is told, whatever waits.

        Raises:
            ValueError, RuntimeError: As ``once``.
        """
        return self._start(interval, interval, ref, message, name, missed, None)

    def for_life(
        self, context: CoreContext, delay: float, message: object, *, interval: float | None, missed: Missing
    ) -> Schedule:
        """Schedule a message of an actor to itself; see ``Context.schedule_once`` and ``schedule_every``."""
        if context.actor is None or context.cell.actor is not context.actor:
            raise RuntimeError(f"{context.cell.path}: this life of the actor is over, it schedules nothing any more")
        return self._start(delay, interval, context.self, message, None, missed, context)

    def get(self, name: str) -> Schedule | None:
        """Return the schedule of this name that has not ended."""
        return self._schedules.get(name)

    def pause(self, schedule: str | Schedule) -> None:
        """Pause a schedule, given by itself or by its name.

        Raises:
            ValueError: No schedule has this name.
            RuntimeError: Called from another thread than the system's.
        """
        self._find(schedule).pause()

    def resume(self, schedule: str | Schedule) -> None:
        """Resume a schedule; otherwise as ``pause``."""
        self._find(schedule).resume()

    def cancel(self, schedule: str | Schedule) -> None:
        """Cancel a schedule; otherwise as ``pause``."""
        self._find(schedule).cancel()

    def list(self) -> tuple[Schedule, ...]:
        """Return the schedules that have not ended, in the order they were made."""
        return tuple(each for each in self._schedules.values() if not each.is_over())

    def _find(self, schedule: str | Schedule) -> Schedule:
        found = self._schedules.get(schedule) if isinstance(schedule, str) else schedule
        if found is None:
            raise ValueError(f"there is no schedule {schedule!r}")
        return found

    def _start(
        self,
        delay: float,
        interval: float | None,
        ref: ActorRef[Any],
        message: object,
        name: str | None,
        missed: Missing,
        context: CoreContext | None,
    ) -> Schedule:
        self.check_thread()
        self._check(delay, interval, name, missed)
        if self._scope is None:
            self._scope = trio.CancelScope()
            self._system.nursery.start_soon(self._run, self._scope, name="scheduler")
            self._system.user.ref.recipient.signal(Watch(self))
        schedule = Schedule(self, name or f"${next(self._numbers)}", ref, message, interval, missed)
        if context is not None:
            schedule.bind(context)
        self._schedules[schedule.name] = schedule
        known = ref in self._of
        self._of.setdefault(ref, set()).add(schedule)
        schedule.begin(trio.current_time() + delay)
        if not known:
            ref.recipient.signal(Watch(self))
        return schedule

    def _check(self, delay: float, interval: float | None, name: str | None, missed: Missing) -> None:
        least = 0.0 if interval is None else _SHORTEST
        if not (math.isfinite(delay) and delay >= least):
            raise ValueError(f"a delay is at least 0 s and an interval at least {_SHORTEST} s, got {delay!r}")
        if missed not in get_args(Missing):
            raise ValueError(f"missed must be one of {', '.join(get_args(Missing))}, got {missed!r}")
        if name is not None and check_name(name) in self._schedules:
            raise ValueError(f"the name {name!r} is taken by another schedule")

    async def _run(self, scope: trio.CancelScope) -> None:
        with scope:
            while True:
                self._changed = trio.Event()
                with trio.move_on_at(self._agenda.next_at):
                    await self._changed.wait()
                now = trio.current_time()
                for _, schedule in self._agenda.take(now):
                    if schedule.active and not schedule.paused:
                        schedule.fire(now)

    # ------------------------------------------------------- what schedules report here

    def put_due(self, schedule: Schedule, due: float) -> None:
        """Wait for this time."""
        if due < self._agenda.next_at:
            self._changed.set()
        self._agenda.put(schedule, due)

    def forget_due(self, schedule: Schedule) -> None:
        """Wait for it no more."""
        self._agenda.discard(schedule)

    def remove(self, schedule: Schedule) -> None:
        """Forget a schedule."""
        if self._schedules.get(schedule.name) is schedule:
            del self._schedules[schedule.name]
            self._agenda.discard(schedule)
            self._of[schedule.ref].discard(schedule)

    def dead_letter(self, message: object, ref: ActorRef[Any], reason: DeadLetterReason) -> None:
        """Take a message that a mailbox has refused."""
        self._system.dead_letter(message, None, ref, reason)

    def terminated(self, ref: ActorRef[Any], cause: TerminationCause) -> None:
        """Hear that an actor has ended, or with the guardian the whole tree; the kernel calls this."""
        for schedule in tuple(self._of.get(ref, ())):
            self.remove(schedule)
        self._of.pop(ref, None)
        if self._scope is not None and ref == self._system.user.ref:
            self._scope.cancel()

    def check_thread(self) -> None:
        """Refuse a call from outside the system's own thread, and before the system is entered."""
        if self._system.thread == 0:
            raise RuntimeError("the system has not been entered: use `async with`")
        if self._system.thread != get_ident():
            raise self._system.wrong_thread("system.scheduler")
