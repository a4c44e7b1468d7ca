"""The actor system that users see: the kernel's, with the patterns as methods."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager
from importlib import import_module
from random import Random
from typing import TYPE_CHECKING, Any, ClassVar

from trioakt.context import Context
from trioakt.lowlevel import (
    Actor,
    ActorRef,
    CoreContext,
    CoreSystem,
    Options,
    RestPolicy,
    Settings,
    ShutdownHook,
    SpawnOptions,
    Strategy,
)
from trioakt.patterns.schedule import Scheduler
from trioakt.patterns.topics import Topics
from trioakt.remote.process_nodes import ProcessNode, open_process_node
from trioakt.remote.settings import Remote
from trioakt.spawning import PatternSpawner
from trioakt.supervision import OneForOne

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
        remote: How this system reaches others, and they it; without it, it does not.
        rng: Where all chance comes from; seed it to repeat a run.
        wall_clock: Tells the time for schedules by cron expression, in seconds since 1970; for tests.
    """

    context_class: ClassVar[type[CoreContext]] = Context

    def __init__(
        self,
        name: str,
        *,
        supervision: Strategy = OneForOne(),  # noqa: B008 - frozen
        init_timeout: float = 5.0,
        stop_grace: float = 5.0,
        shutdown_timeout: float = 60.0,
        turn: int = 64,
        eviction: RestPolicy | None = None,
        extensions: Iterable[object] = (),
        shutdown_hooks: Iterable[ShutdownHook] = (),
        remote: Remote | None = None,
        rng: Random | None = None,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        settings = Settings(
            supervision=supervision,
            actors=Options(init_timeout=init_timeout, stop_grace=stop_grace),
            shutdown_timeout=shutdown_timeout,
            turn=turn,
            eviction=eviction,
            extensions=extensions,
            shutdown_hooks=shutdown_hooks,
            rng=Random() if rng is None else rng,
            wall_clock=wall_clock,
        )
        super().__init__(name, settings)
        self._endpoint: Endpoint | None = None
        if remote is not None:
            self._endpoint = import_module("trioakt.remote.opening").endpoint(self, remote)

    @property
    def topics(self) -> Topics:
        """Publish and subscribe."""
        return self.service(Topics)

    @property
    def scheduler(self) -> Scheduler:
        """Messages told later."""
        return self.service(Scheduler)

    # ------------------------------------------------------------------ other nodes

    @property
    def endpoint(self) -> Endpoint:
        """What this system has to do with other nodes, for those who write patterns over several.

        Raises:
            RuntimeError: This system has no ``remote=``.
        """
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
        return await self.endpoint.resolve(address)

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
        return await self.endpoint.spawn_on(address, kind, args, name)

    def register(self, kind: type[Actor]) -> None:
        """Let other nodes spawn actors of this class here, as ``Remote(kinds=...)`` does.

        Raises:
            RuntimeError: This system has no ``remote=``.
        """
        self.endpoint.register(kind)

    def open_process_node(
        self,
        name: str,
        *,
        kinds: Iterable[type[Actor]],
        supervision: Strategy | None = None,
        init_timeout: float = 30.0,
        stop_grace: float = 5.0,
        suspicion: float = 60.0,
    ) -> AbstractAsyncContextManager[ProcessNode]:
        """Start a node of this system in a process of its own, until the block ends.

        The process is kept by an actor at the top of this system: when it dies, that actor fails, and a restart is
        a new process. It ends with the actor and with this program, in whichever way that ends. It shares the
        settings of ``remote=``, listens on the same host, and writes to the same standard output and error.

        Args:
            name: Of the actor, and of the node.
            kinds: The actor classes that can be spawned there. The process imports them by name; a program that
                defines them in its main module starts its work below ``if __name__ == "__main__":``.
            supervision: What becomes of it when the process dies; by default as this system says.
            init_timeout: Seconds within which the process has to start.
            stop_grace: Seconds that the actors there have to end; then the process is killed.
            suspicion: Seconds for which it may be too busy to give a sign of life; then it is killed.

        Raises:
            StartError: The process did not start; the cause says why.
            NameTakenError: An actor at the top has this name.
            TypeError, ValueError: A kind is no actor class that can be imported by its name, or an option is bad.
            RuntimeError: This system has no ``remote=``.
        """
        options = SpawnOptions(init_timeout=init_timeout, stop_grace=stop_grace)
        if supervision is not None:
            options["supervision"] = supervision
        return open_process_node(self, self.endpoint, name, kinds=kinds, suspicion=suspicion, options=options)

    async def _open(self) -> None:
        await super()._open()
        if self._endpoint is not None:
            await self.nursery.start(self._endpoint.run)

    def _close(self) -> None:
        super()._close()
        self.topics.close()
