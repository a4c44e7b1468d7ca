"""What the facade adds to spawning: the ways to start actors that are made of patterns."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVarTuple, Unpack

from trioakt.lowlevel import Spawner, SpawnOptions
from trioakt.patterns.tasks import TaskRestart, spawn_task

if TYPE_CHECKING:
    from trioakt.lowlevel import ActorRef

Ts = TypeVarTuple("Ts")


class PatternSpawner(Spawner):
    """A spawner that also starts supervised tasks."""

    __slots__ = ()

    async def spawn_task(
        self,
        fn: Callable[[Unpack[Ts]], Awaitable[object]],
        *args: *Ts,
        restart: TaskRestart = "permanent",
        name: str | None = None,
        **options: Unpack[SpawnOptions],
    ) -> ActorRef:
        """Run a plain async function as a supervised task in the tree; it needs no messages.

        Args:
            fn: Run as ``await fn(*args)``, and again at each restart.
            *args: Its arguments.
            restart: ``"permanent"``: whenever it ends, it is a failure; ``"transient"``: only what it raises is one,
                and when it returns the actor stops; ``"temporary"``: it is never restarted. (The words are OTP's.)
            name: Unique among its siblings; without one, a name is made.
            **options: As ``spawn``; ``supervision`` goes with permanent and transient tasks only.

        Raises:
            NameTakenError, ActorStoppedError, TypeError, ValueError: As ``spawn``.
        """
        return await spawn_task(self, fn, args, restart=restart, name=name, options=options)
