"""Spawning: from a recipe and its options to a started actor; it knows how to begin an actor, not how it lives."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from functools import lru_cache
from threading import get_ident
from typing import TYPE_CHECKING, Any, TypeVarTuple, Unpack

import trio

from trioakt._core.actor import Actor
from trioakt._core.address import check_name
from trioakt._core.escapes import passes_through
from trioakt._core.life import start_error
from trioakt._core.options import Options, SpawnOptions
from trioakt._core.standing import kind_of
from trioakt.errors import ActorStoppedError, NameTakenError

if TYPE_CHECKING:
    from trioakt._core.cell import Cell
    from trioakt._core.ref import ActorRef

Ts = TypeVarTuple("Ts")


class Spawner:
    """Whoever can have children: a system, and an actor through its context."""

    __slots__ = ()

    def _parent(self) -> Cell:
        raise NotImplementedError

    async def spawn(
        self,
        factory: Callable[[Unpack[Ts]], Actor],
        *args: *Ts,
        name: str | None = None,
        **options: Unpack[SpawnOptions],
    ) -> ActorRef:
        """Start an actor and return its ref when its ``pre_start`` is done; when cancelled, it is killed.

        Args:
            factory: An actor class, or any callable that returns an actor; called again, with ``args``, at each
                restart.
            *args: Arguments of the factory.
            name: Unique among its siblings; without one, a name is made.
            **options: ``mailbox``, ``supervision``, ``passivation``, ``reentrancy``, ``init_timeout``,
                ``stash_capacity``, ``stop_grace``.

        Raises:
            StartError: The factory or ``pre_start`` raised (the cause), or took longer than ``init_timeout``.
            NameTakenError: A sibling has this name, maybe one that is still stopping.
            ActorStoppedError: The parent or the system is stopping.
            TypeError, ValueError: The factory, the name or an option is not a good one.
        """
        cell = _begin_child(self._parent(), factory, args, name, options)
        try:
            if cell.started:
                await trio.lowlevel.checkpoint()
            else:
                await cell.wait_started()
        except trio.Cancelled:
            if not cell.awaited:
                cell.ref.kill()
            raise
        return cell.ref

    async def get_or_spawn(
        self,
        factory: Callable[[Unpack[Ts]], Actor],
        *args: *Ts,
        name: str,
        **options: Unpack[SpawnOptions],
    ) -> ActorRef:
        """Return the child of this name, and spawn it if there is none; one that is stopping is waited for.

        Raises:
            StartError: It did not start, whoever spawned it.
            ActorStoppedError, TypeError, ValueError: As ``spawn``.
        """
        parent = self._parent()
        while (cell := parent.children.get(check_name(name))) is not None:
            if cell.closed:
                await cell.ref.wait_stopped()
                continue
            await trio.lowlevel.checkpoint()
            await cell.wait_started()
            if not cell.closed:  # it may have been passivated at this very moment
                return cell.ref
        return await self.spawn(factory, *args, name=name, **options)

    async def spawn_func(
        self,
        receive: Callable[[Any, Any, Unpack[Ts]], Awaitable[None] | None],
        *args: *Ts,
        name: str | None = None,
        **options: Unpack[SpawnOptions],
    ) -> ActorRef:
        """Start an actor out of a function ``receive(ctx, msg, *args)``, plain or async; otherwise like ``spawn``."""
        if not callable(receive):
            raise TypeError(f"spawn_func takes a function of a context and a message, got {receive!r}")

        def recipe() -> Actor:
            return _FunctionActor(receive, args)

        recipe.__name__ = kind_of(receive)
        return await self.spawn(recipe, name=name, **options)


class _FunctionActor(Actor):
    def __init__(self, function: Callable[..., Awaitable[None] | None], args: tuple[object, ...]) -> None:
        self._function = function
        self._args = args

    def receive(self, ctx: Any, msg: Any) -> Awaitable[None] | None:
        return self._function(ctx, msg, *self._args)


def _begin_child(
    parent: Cell,
    factory: Callable[..., Actor],
    args: tuple[object, ...],
    name: str | None,
    options: SpawnOptions,
) -> Cell:
    """Check what a user has said, and begin the actor."""
    system = parent.system
    if get_ident() != system.thread:
        raise system.wrong_thread(parent.path)
    if not callable(factory):
        raise TypeError(f"a factory must be an Actor class or a callable that returns an actor, got {factory!r}")
    if name is None:
        name = f"${_plain(kind_of(factory))}-{next(system.numbers)}"
    else:
        check_name(name)
    return begin(parent, factory, args, name, system.settings.actors.with_changes(options))


def begin(
    parent: Cell,
    factory: Callable[..., Actor],
    args: tuple[object, ...],
    name: str,
    options: Options,
    ref: ActorRef[Any] | None = None,
) -> Cell:
    """Make the instance, and only then put the new actor into the tree and start its task.

    An actor without a ``pre_start`` has started when this returns: nobody needs to wait for its task. Messages wait in
    its mailbox until it has.

    Args:
        parent: Whose child it is.
        factory: Its recipe.
        args: Arguments of the factory.
        name: Any text; only one that ``check_name`` lets through can be part of a path that is looked up.
        options: Checked ones.
        ref: How the actor is known to itself and others, instead of as this spawn.

    Raises:
        StartError: The factory raised.
        NameTakenError: A sibling has this name.
        ActorStoppedError: The parent is stopping.
    """
    system = parent.system
    if parent.closed:
        raise ActorStoppedError(f"{parent.path} is stopping, it cannot spawn {name!r}", parent.path)
    if name in parent.children:
        raise NameTakenError(f"{parent.path} already has a child {name!r}", f"{parent.path}/{name}")
    cell = system.cell_class(system, parent, name, factory, args, options)
    if ref is not None:
        cell.ref = ref
    try:
        cell.make()
    except BaseException as error:
        if passes_through(error):
            raise
        raise start_error(cell.path, error) from error
    parent.adopt(cell)
    system.tally.spawned += 1
    system.tally.alive += 1
    system.nursery.start_soon(cell.run, name=name)
    if not cell.prepares:
        cell.announce()
    return cell


@lru_cache(maxsize=1024)
def _plain(kind: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]", "", kind)[:100] or "actor"
