"""The actor system that users see: the kernel's, with the patterns as methods."""

from __future__ import annotations

from functools import cached_property
from typing import ClassVar

from trioakt.context import Context
from trioakt.lowlevel import CoreContext, CoreSystem
from trioakt.patterns.schedule import Scheduler
from trioakt.patterns.topics import Topics
from trioakt.spawning import PatternSpawner


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

    @cached_property
    def topics(self) -> Topics:
        """Publish and subscribe."""
        return Topics(self)

    @cached_property
    def scheduler(self) -> Scheduler:
        """Messages told later."""
        return Scheduler(self)

    def _close(self) -> None:
        super()._close()
        self.topics.close()
