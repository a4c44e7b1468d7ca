"""The actor system that users see: the kernel's, with the patterns as methods."""

from __future__ import annotations

from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar

from trioakt.context import Context
from trioakt.lowlevel import Actor, ActorRef, CoreContext, CoreSystem
from trioakt.patterns.schedule import Scheduler
from trioakt.patterns.topics import Topics
from trioakt.remote.settings import Remote
from trioakt.spawning import PatternSpawner

if TYPE_CHECKING:
    from trioakt.remote.endpoint import Endpoint


class ActorSystem(CoreSystem, PatternSpawner):
    """Owns a tree of actors; an async context manager that can be entered once, and leaves nothing behind.

    Leaving the block normally, or after ``shutdown()``, runs the coordinated shutdown: the hooks in their order, then
    the actors, children before their parents. Leaving it by an exception or a cancellation stops everything at once;
    ``post_stop`` hooks still get their grace. A failure escalated past the root leaves the block in an exception
    group.

    Args:
        name: Letters, digits, ``-``, ``_`` and ``.``, at most 255.
        supervision: How the actors at the top are treated when they fail.
        init_timeout: Seconds that a ``pre_start`` may take, where a spawn does not say otherwise.
        stop_grace: Seconds that each part of an actor's end may take, likewise.
        shutdown_timeout: Seconds after which the coordinated shutdown cancels every actor.
        turn: Messages that an actor handles before others get their turn.
        eviction: How the number of actors is kept down; without it, it is not.
        extensions: Objects that ``extension(Type)`` finds by their type.
        shutdown_hooks: Steps of the coordinated shutdown, in order.
        rng: Where all chance comes from; seed it to repeat a run.
        wall_clock: Tells the time for schedules by cron expression, in seconds since 1970; for tests.
    """

    context_class: ClassVar[type[CoreContext]] = Context

    def __init__(self, name: str, *, remote: Remote | None = None, **settings: Any) -> None:
        super().__init__(name, **settings)
        self._endpoint: Endpoint | None = None
        if remote is not None:
            self._endpoint = import_module("trioakt.remote.opening").endpoint(self, remote)

    @cached_property
    def topics(self) -> Topics:
        """Publish and subscribe."""
        return Topics(self)

    @cached_property
    def scheduler(self) -> Scheduler:
        """Messages told later."""
        return Scheduler(self)

    # ------------------------------------------------------------------ other nodes

    @property
    def _remote(self) -> Endpoint:
        if self._endpoint is None:
            raise RuntimeError(f"the system {self.name!r} reaches no other: give it remote=Remote(...)")
        return self._endpoint

    async def resolve(self, address: str) -> ActorRef[Any]:
        """Return the ref of the actor that lives at an address now, on whichever node of the system.

        Raises:
            ActorNotFoundError: Nobody lives there.
            NodeUnreachableError: There is no session with that node, and none comes about.
            ValueError: It is no address of this system.
            RuntimeError: This system has no ``remote=``.
        """
        return await self._remote.resolve(address)

    async def spawn_on(self, address: str, kind: type[Actor], *args: object, name: str | None = None) -> ActorRef[Any]:
        """Spawn an actor at the top of another node, which must have registered its class.

        Args:
            address: Of the node: ``trioakt://bank@10.0.0.5:4041``.
            kind: The actor class.
            *args: Its arguments; they travel like the fields of a message.
            name: As ``spawn``.

        Raises:
            StartError: It did not start, or the node has not registered the class.
            NameTakenError: An actor at the top of that node has this name.
            NodeUnreachableError, ValueError, RuntimeError: As ``resolve``.
            CodecError: An argument cannot travel.
        """
        return await self._remote.spawn_on(address, kind, args, name)

    def register(self, kind: type[Actor]) -> None:
        """Let other nodes spawn actors of this class here, as ``Remote(kinds=...)`` does.

        Raises:
            RuntimeError: This system has no ``remote=``.
        """
        self._remote.register(kind)

    async def _open(self) -> None:
        await super()._open()
        if self._endpoint is not None:
            await self.nursery.start(self._endpoint.run)

    def _close(self) -> None:
        super()._close()
        self.topics.close()
