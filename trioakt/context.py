"""The context that users see: the kernel's, with the patterns as methods."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar, TypeVarTuple, Unpack, cast

from trioakt.grains.ref import GrainRef
from trioakt.lowlevel import CoreContext
from trioakt.patterns.pipe import pipe_process_to, pipe_thread_to, pipe_to
from trioakt.patterns.rhythm import Every, Once
from trioakt.patterns.schedule import cron_rhythm
from trioakt.spawning import PatternSpawner

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from trioakt.cluster.reminders import Reminder
    from trioakt.lowlevel import ActorRef, ReplyTo
    from trioakt.patterns.breaker import CircuitBreaker
    from trioakt.patterns.schedule import Missing, Schedule
    from trioakt.system import ActorSystem

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class Context(CoreContext, PatternSpawner):
    """What a handler may call; one object per running handler, good for as long as that life of the actor."""

    __slots__ = ()

    @property
    def system(self) -> ActorSystem:
        """The actor system."""
        return cast("ActorSystem", self.cell.system)

    @property
    def fencing_token(self) -> int:
        """The number of this actor's ownership of its name in the cluster: each owner's is larger than all before.

        Give it to whatever must not be written by an owner of the past, and let that refuse smaller ones.

        Raises:
            LeaseLostError: This node has lost its lease, and so the actor.
            RuntimeError: Neither the actor nor one above it has a name in the cluster, or the system is in none.
        """
        return self.system.cluster.fencing_token(self.cell.path, self.cell.spawned)

    @property
    def identity(self) -> str:
        """Who this grain is.

        Raises:
            RuntimeError: The actor is no grain.
        """
        return self._grain().identity

    async def remind(self, name: str, delay: float, message: object, every: float | None = None) -> None:
        """Let a message come to this grain after so many seconds, by then active or not; durable when this returns.

        The store of the cluster keeps it: it outlives this activation, this node, and all nodes at once. It is told
        again until its handler has ended well, so it comes at least once; ``ctx.reminder`` says which one it is. Of
        those that were missed, as nobody was there, one comes.

        Args:
            name: Of the reminder; one that is there already is replaced.
            delay: Seconds, by the wall clock.
            message: What comes; it travels like a message to another node.
            every: Seconds from one time to the next, at least 0.001; without it, it comes once.

        Raises:
            ValueError: The delay, the interval or the name is not a good one.
            CodecError: The message cannot be written down.
            NoQuorumError: The store cannot be reached; whether it is there is not known.
            LeaseLostError: This node has lost its lease, and so the grain.
            RuntimeError: The actor is no grain, or the system is in no cluster.
        """
        grain = self._grain()
        await self.system.cluster.grains.reminders_of(grain).put(grain.identity, name, delay, message, every)

    async def forget_reminder(self, name: str) -> bool:
        """Let a reminder of this grain not come any more; return whether there was one.

        Raises:
            NoQuorumError, LeaseLostError, RuntimeError: As ``remind``.
        """
        grain = self._grain()
        return await self.system.cluster.grains.reminders_of(grain).forget(grain.identity, name)

    @property
    def reminder(self) -> Reminder | None:
        """Which reminder the message in hand is; ``None`` if it is none."""
        return getattr(self.envelope, "reminder", None)

    def _grain(self) -> GrainRef[Any]:
        ref = self.cell.ref
        if not isinstance(ref, GrainRef):
            raise RuntimeError(f"{self.cell.path} is no grain: it has no identity")
        return ref

    def pipe_to(
        self,
        ref: ActorRef[Any] | ReplyTo,
        fn: Callable[[Unpack[Ts]], Awaitable[T]],
        *args: *Ts,
        breaker: CircuitBreaker | None = None,
        wrap: Callable[[T], object] | None = None,
    ) -> None:
        """Run an async function as a task of this actor, and let its result come to an actor as a message.

        It returns at once, and several can be in flight. A failure comes as ``PipeFailed`` and is none of the
        actor's. The task ends with this life of the actor; then nothing comes. What finds a full mailbox that rejects
        is a dead letter.

        Args:
            ref: Who gets the result; this actor is the sender. Or ``ctx.reply_to``: then the result answers the
                request in hand, and a failure refuses it, so that its asker gets ``ActorFailedError``.
            fn: Run as ``await fn(*args)``.
            *args: Its arguments.
            breaker: Guards the call: when the circuit is open, ``fn`` is not called and ``PipeFailed`` comes at once.
            wrap: Makes the message out of the result; without it, the result is the message.

        Raises:
            RuntimeError: This life of the actor is over.
            TypeError: ``fn`` or ``wrap`` cannot be called.
        """
        pipe_to(self, ref, fn, args, breaker=breaker, wrap=wrap)

    def pipe_thread_to(
        self,
        ref: ActorRef[Any] | ReplyTo,
        fn: Callable[[Unpack[Ts]], T],
        *args: *Ts,
        breaker: CircuitBreaker | None = None,
        wrap: Callable[[T], object] | None = None,
    ) -> None:
        """Run a blocking function in a thread, and let its result come to an actor as a message; as ``pipe_to``.

        A thread cannot be cancelled: when this life of the actor ends, the result is dropped, and the end waits for
        the function, at most ``stop_grace`` seconds; the system's block waits for it in any case. A function that
        takes long calls ``trio.from_thread.check_cancelled()`` now and then, which ends it.

        Args:
            ref: As ``pipe_to``.
            fn: Run as ``fn(*args)`` in a thread, with Trio's default limit of threads.
            *args: Its arguments.
            breaker: As ``pipe_to``.
            wrap: As ``pipe_to``; it runs in the event loop, not in the thread.

        Raises:
            RuntimeError, TypeError: As ``pipe_to``.
        """
        pipe_thread_to(self, ref, fn, args, breaker=breaker, wrap=wrap)

    def pipe_process_to(
        self,
        ref: ActorRef[Any] | ReplyTo,
        fn: Callable[[Unpack[Ts]], T],
        *args: *Ts,
        breaker: CircuitBreaker | None = None,
        wrap: Callable[[T], object] | None = None,
    ) -> None:
        """Run a function in a process of its own, and let its result come to an actor as a message; as ``pipe_to``.

        This is for Python code that keeps a processor busy. The worker processes belong to this life of the actor:
        there are at most as many as processors, they are kept for the next function, and they end with it, the busy
        ones at once. A process that dies comes as ``PipeFailed`` of a ``trio.BrokenResourceError``.

        Args:
            ref: As ``pipe_to``.
            fn: Run as ``fn(*args)`` in a freshly started interpreter, never a forked one. Function, arguments and
                result are pickled, between the program and its own process only; so ``fn`` has a name in a module,
                and a program that defines it in its main module starts its work below ``if __name__ == "__main__":``.
            *args: Its arguments, as they are now.
            breaker: As ``pipe_to``.
            wrap: As ``pipe_to``; it runs in the event loop, not in the process.

        Raises:
            RuntimeError, TypeError: As ``pipe_to``.
        """
        pipe_process_to(self, ref, fn, args, breaker=breaker, wrap=wrap)

    def schedule_once(self, delay: float, message: object) -> Schedule:
        """Let a message come to this actor after so many seconds, unless this life of it has ended by then.

        Raises:
            ValueError: The delay is negative or not finite.
            RuntimeError: This life of the actor is over.
        """
        return self.system.scheduler.for_life(self, Once(delay), message, "burst")

    def schedule_every(self, interval: float, message: object, *, missed: Missing = "coalesce") -> Schedule:
        """Let a message come to this actor every so many seconds, as long as this life of it lasts.

        A tick that waits when this life ends ends with it.

        Args:
            interval: Seconds, at least 0.001.
            message: What comes.
            missed: As ``Scheduler.every``.

        Raises:
            ValueError: The interval is too short or not finite.
            RuntimeError: This life of the actor is over.
        """
        return self.system.scheduler.for_life(self, Every(interval), message, missed)

    def schedule_cron(
        self, expression: str, message: object, *, zone: str | ZoneInfo = "UTC", missed: Missing = "coalesce"
    ) -> Schedule:
        """Let a message come to this actor when the wall clock matches a cron expression, as long as this life lasts.

        Args:
            expression: Five fields, or six that begin with seconds.
            message: What comes.
            zone: Whose wall clock, as ``Scheduler.cron``.
            missed: As ``Scheduler.cron``.

        Raises:
            ValueError: The expression is bad or never comes, or there is no such zone.
            RuntimeError: This life of the actor is over.
            ImportError: The extra ``schedules`` is not installed.
        """
        return self.system.scheduler.for_life(self, cron_rhythm(expression, zone), message, missed)
