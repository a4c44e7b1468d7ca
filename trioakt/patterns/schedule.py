"""Schedules: messages told later, once or again and again.

When a schedule ticks is its rhythm's to say, and the clockwork waits for it; here it is made, held, told and ended.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextvars import copy_context
from importlib import import_module
from itertools import count
from math import inf
from threading import get_ident
from typing import TYPE_CHECKING, Any, Literal, get_args

import trio

from trioakt.lowlevel import ActorRef, ActorRestarted, Ask, Envelope, Watch, check_name
from trioakt.patterns.background import run_in_background
from trioakt.patterns.clockwork import Clockwork
from trioakt.patterns.rhythm import Every, Once, Rhythm
from trioakt.patterns.telling import deliver_or_lose

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from trioakt.lowlevel import Actor, CoreContext, CoreSystem, TerminationCause
    from trioakt.patterns.cron import Cron

Missing = Literal["coalesce", "burst"]
"""What becomes of ticks that come too fast: dropped while an earlier one is not handled, or told all the same."""

Claim = Callable[[str, float], Awaitable[bool]]
"""Given the name of a schedule and the time of a tick, says whether it is this node that tells it."""


def cron_rhythm(expression: str, zone: str | ZoneInfo) -> Cron:
    """Return the rhythm of a cron expression; it needs the extra, which is loaded here.

    Raises:
        ValueError: The expression is bad, or there is no such zone.
        ImportError: The extra is not installed.
    """
    try:
        cron: type[Cron] = import_module("trioakt.patterns.cron").Cron
    except ModuleNotFoundError as error:
        if error.name != "cronsim":
            raise
        raise ImportError("cron needs an extra: pip install 'trioakt[schedules]'", name=error.name) from error
    return cron.parse(expression, zone)


class _Tick(Ask):
    """A message whose end the schedule notices: the next one may wait for it. An earlier life's is not handled."""

    __slots__ = ("_is_over",)

    asked = False

    def __init__(self, message: Any, ref: ActorRef[Any], is_over: Callable[[], bool]) -> None:
        super().__init__(message, None, None, inf, ref.recipient)
        self._is_over = is_over

    @property
    def given_up(self) -> bool:
        return self._is_over()


class _OwnTick(_Tick):
    """A tick that an actor has made for itself: it ends with that life of the actor, like the schedule."""

    __slots__ = ()

    lapses = True


class Schedule:
    """One schedule; get it from ``system.scheduler`` or ``ctx.schedule_once``, ``schedule_every``, ``schedule_cron``.

    Attributes:
        name: Unique among the schedules of the system.
        ref: Who is told.
        message: What.
        rhythm: When it ticks: ``Once()``, ``Every(interval)`` or ``Cron(expression, zone)``.
        missed: What becomes of ticks that come too fast.
    """

    def __init__(
        self, scheduler: Scheduler, name: str, ref: ActorRef[Any], message: Any, rhythm: Rhythm, missed: Missing
    ) -> None:
        self.name = name
        self.ref = ref
        self.message = message
        self.rhythm = rhythm
        self.missed: Missing = missed
        self._scheduler = scheduler
        self._variables = copy_context()
        self._context: CoreContext | None = None
        self._actor: Actor | None = None
        self._tick: _Tick | None = None
        self._due = 0.0
        self._left: float | None = None
        self._claim: Claim | None = None

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
        """When the next tick is, in seconds on Trio's clock; ``None`` while it is paused and after its end.

        For a schedule by cron expression it is an estimate: as if nobody set the wall clock until then.
        """
        if not self.active or self._left is not None:
            return None
        return trio.current_time() + self._due - self._now() if self.rhythm.by_wall_clock else self._due

    def pause(self) -> None:
        """Stop the clock of this schedule, until ``resume``; a tick in a mailbox stays there."""
        self._scheduler.check_thread()
        if self.active and self._left is None:
            self._left = max(0.0, self._due - self._now())
            self._scheduler.clockwork.discard(self)

    def resume(self) -> None:
        """Go on with the time that was left when it was paused; by cron, with the next time that matches."""
        self._scheduler.check_thread()
        if self.active and self._left is not None:
            left, self._left = self._left, None
            self.begin(self.rhythm.resumed(self._due, left, self._now()))

    def cancel(self) -> None:
        """Tick no more; a tick in a mailbox stays there. Once more changes nothing."""
        self._scheduler.check_thread()
        self._scheduler.remove(self)

    def bind(self, context: CoreContext) -> None:
        """Tie it to this life of an actor; the scheduler calls this."""
        self._context, self._actor = context, context.actor

    def share(self, claim: Claim) -> None:
        """Tell only the ticks that this node has claimed; the scheduler calls this."""
        self._claim = claim

    def begin(self, due: float | None) -> None:
        """Wait for this tick, or end when there is none; the scheduler calls this."""
        if due is None:
            self._scheduler.remove(self)
            return
        self._due = due
        self._scheduler.clockwork.put(self, due)

    def is_over(self) -> bool:
        """Whether the life of the actor that it was tied to has ended."""
        return self._context is not None and self._context.cell.actor is not self._actor

    def fire(self, now: float) -> None:
        """Tell what is due, and set the next time; the scheduler calls this."""
        if self.is_over():
            self._scheduler.remove(self)
        if not self.active:
            return
        due = self._due
        self.begin(self.rhythm.after(due, now))
        if self._claim is None:
            self._tell_due(due, now)
        else:
            self._scheduler.nursery.start_soon(self._tell_if_claimed, self._claim, due, now)

    async def _tell_if_claimed(self, claim: Claim, due: float, now: float) -> None:
        if await claim(self.name, due) and self.active:
            self._tell_due(due, now)

    def _tell_due(self, due: float, now: float) -> None:
        if self.missed == "burst":
            for _ in range(self.rhythm.count(due, now)):
                self._variables.run(self._tell)
        elif self._tick is None or not self._tick.pending:
            self._variables.run(self._tell)

    def _now(self) -> float:
        return self._scheduler.clockwork.now(self.rhythm)

    def _tell(self) -> None:
        envelope: Envelope = Envelope(self.message)
        if self._context is not None or self.missed == "coalesce":
            kind = _Tick if self._context is None else _OwnTick
            envelope = self._tick = kind(self.message, self.ref, self.is_over)
        if not deliver_or_lose(self._scheduler.system, self.ref, envelope):
            self._tick = None


class Scheduler:
    """Tells messages later, with the context variables of whoever scheduled them.

    Its one task starts with the first schedule and ends with the last actor.
    """

    def __init__(self, system: CoreSystem) -> None:
        self.system = system
        self.clockwork = Clockwork(system.settings.wall_clock)
        self.claim: Claim | None = None
        """How a tick is claimed that all nodes of a cluster would tell; the cluster sets it."""
        self.nursery: trio.Nursery
        self._schedules: dict[str, Schedule] = {}
        self._of: dict[ActorRef[Any], set[Schedule]] = {}
        self._watched: set[ActorRef[Any]] = set()
        self._numbers = count(1)
        self._runs = False

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
        return self._start(Once(delay), ref, message, name, "burst", None)

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
        return self._start(Every(interval), ref, message, name, missed, None)

    def cron(
        self,
        expression: str,
        ref: ActorRef[Any],
        message: object,
        *,
        name: str | None = None,
        zone: str | ZoneInfo = "UTC",
        missed: Missing = "coalesce",
        cluster: bool = False,
    ) -> Schedule:
        """Tell an actor a message whenever the wall clock matches a cron expression.

        No tick comes early or twice by the wall clock, whoever sets it; one that it jumped over comes within a
        minute. Only a clock that is set back by more than three hours was wrong before: its new time counts. Needs
        the extra ``schedules``.

        Args:
            expression: Minute, hour, day of the month, month, day of the week; with six fields, seconds come first.
            ref: Whom; the schedule ends with it.
            message: What.
            name: As ``once``.
            zone: Whose wall clock: a name such as ``"Europe/Berlin"``, or a ``ZoneInfo``. Where the clocks change,
                Debian's rules hold: a time of day that is skipped comes once when the clocks have changed, one that
                is repeated comes the first time only, and what comes more often goes on evenly.
            missed: As ``every``; a burst is at most 1,000 ticks.
            cluster: Whether each tick is told once in the cluster, by one of the nodes that have a schedule of this
                name, at most once whatever fails; their clocks may differ by up to ten minutes. It needs a name.

        Raises:
            ValueError: The expression is bad or never comes, or there is no such zone; otherwise as ``once``.
            RuntimeError: As ``once``, or the system is in no cluster.
            TypeError: ``cluster`` without a name.
            ImportError: The extra is not installed.
        """
        if not cluster:
            return self._start(cron_rhythm(expression, zone), ref, message, name, missed, None)
        if self.claim is None:
            raise RuntimeError(f"{self.system.name} is in no cluster: give it cluster=Cluster(...)")
        if name is None:
            raise TypeError("a schedule of the cluster needs a name=, the same on each node")
        schedule = self._start(cron_rhythm(expression, zone), ref, message, name, missed, None)
        schedule.share(self.claim)
        return schedule

    def for_life(self, context: CoreContext, rhythm: Rhythm, message: object, missed: Missing) -> Schedule:
        """Schedule a message of an actor to itself; see ``Context.schedule_once`` and those beside it."""
        if context.actor is None or context.cell.actor is not context.actor:
            raise RuntimeError(f"{context.cell.path}: this life of the actor is over, it schedules nothing any more")
        return self._start(rhythm, context.self, message, None, missed, context)

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
        rhythm: Rhythm,
        ref: ActorRef[Any],
        message: object,
        name: str | None,
        missed: Missing,
        context: CoreContext | None,
    ) -> Schedule:
        self.check_thread()
        if not isinstance(ref, ActorRef):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"a schedule tells an actor, by its ref, got {ref!r}")
        if missed not in get_args(Missing):
            raise ValueError(f"missed must be one of {', '.join(get_args(Missing))}, got {missed!r}")
        if name is not None and check_name(name) in self._schedules:
            raise ValueError(f"the name {name!r} is taken by another schedule")
        due = rhythm.first(self.clockwork.now(rhythm))
        self._start_task()
        schedule = Schedule(self, name or f"${next(self._numbers)}", ref, message, rhythm, missed)
        if context is not None:
            schedule.bind(context)
        self._schedules[schedule.name] = schedule
        self._of.setdefault(ref, set()).add(schedule)
        schedule.begin(due)
        if ref not in self._watched:
            self._watched.add(ref)
            ref.recipient.signal(Watch(self))
        return schedule

    def _start_task(self) -> None:
        if not self._runs:
            self._runs = True
            run_in_background(self.system, self._run, name="scheduler")

    async def _run(self) -> None:
        with self.system.events.listen(self._restarted, ActorRestarted):
            async with trio.open_nursery() as self.nursery:
                await self.clockwork.run()

    def _restarted(self, event: ActorRestarted) -> None:
        """Forget what an earlier life of an actor had scheduled."""
        for schedule in tuple(self._of.get(event.ref, ())):
            if schedule.is_over():
                self.remove(schedule)

    # ------------------------------------------------------- what schedules report here

    def remove(self, schedule: Schedule) -> None:
        """Forget a schedule."""
        if self._schedules.get(schedule.name) is schedule:
            del self._schedules[schedule.name]
            self.clockwork.discard(schedule)
            self._of[schedule.ref].discard(schedule)

    def terminated(self, ref: ActorRef[Any], cause: TerminationCause) -> None:
        """Hear that an actor has ended; the kernel calls this."""
        self._watched.discard(ref)
        for schedule in tuple(self._of.get(ref, ())):
            if not ref.is_alive or schedule.is_over():  # a grain is there for its next activation too
                self.remove(schedule)
        if not self._of.get(ref):
            self._of.pop(ref, None)

    def check_thread(self) -> None:
        """Refuse a call from outside the system's own thread, and before the system is entered."""
        if self.system.thread == 0:
            raise RuntimeError("the system has not been entered: use `async with`")
        if self.system.thread != get_ident():
            raise self.system.wrong_thread("system.scheduler")
