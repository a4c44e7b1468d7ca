"""Supervised tasks: a plain async function as a member of a supervision tree, without a mailbox of its own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Literal, get_args

from trioakt.errors import TrioaktError
from trioakt.lowlevel import Actor, Spawner, SpawnOptions
from trioakt.supervision import Directive, OneForOne

if TYPE_CHECKING:
    from trioakt.lowlevel import ActorRef

TaskRestart = Literal["permanent", "transient", "temporary"]
"""When a task is run again: whenever it ends, when it raised, never. The words are those of OTP's ``supervisor``."""

_NEVER = OneForOne(default=Directive.STOP)


class TaskReturnedError(TrioaktError):
    """A permanent task has returned; its supervisor decides, as if it had raised."""


class _TaskActor(Actor):
    def __init__(self, fn: Callable[..., Awaitable[object]], args: tuple[object, ...], restart: TaskRestart) -> None:
        self._fn = fn
        self._args = args
        self._restart = restart

    def pre_start(self, ctx: Any) -> None:
        ctx.nursery.start_soon(self._run, ctx, name=self._fn)

    async def _run(self, ctx: Any) -> None:
        await self._fn(*self._args)
        if self._restart == "permanent":
            raise TaskReturnedError(f"{ctx.self.path} is permanent but its function returned")
        ctx.stop()


async def spawn_task(
    spawner: Spawner,
    fn: Callable[..., Awaitable[object]],
    args: tuple[object, ...],
    *,
    restart: TaskRestart,
    name: str | None,
    options: SpawnOptions,
) -> ActorRef:
    """Start a supervised task as a child of the spawner; see ``ActorSystem.spawn_task``."""
    if not callable(fn):
        raise TypeError(f"spawn_task takes an async function, got {fn!r}")
    if restart not in get_args(TaskRestart):
        raise ValueError(f"restart must be one of {', '.join(get_args(TaskRestart))}, got {restart!r}")
    if restart == "temporary":
        if "supervision" in options:
            raise ValueError("a temporary task is never restarted: it takes no supervision")
        options["supervision"] = _NEVER

    def recipe() -> Actor:
        return _TaskActor(fn, args, restart)

    recipe.__name__ = getattr(fn, "__name__", "task")
    return await spawner.spawn(recipe, name=name, **options)
