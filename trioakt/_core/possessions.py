"""What one life of an actor owns beside its state: its tasks, its resources and the answers it has promised."""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakSet

from trioakt._core.ask import Ask, ReplyTo
from trioakt._core.nursery import ActorNursery
from trioakt._core.resources import Resources

if TYPE_CHECKING:
    from trioakt._core.life import Life


class Possessions:
    """Made when first needed, as few actors own anything; a restart closes it, and the next life makes its own."""

    __slots__ = ("_cell", "_promises", "resources", "tasks")

    def __init__(self, cell: Life) -> None:
        self._cell = cell
        self._promises: WeakSet[ReplyTo] | None = None
        self.tasks = ActorNursery(cell.system.nursery, cell.path, cell.task_failed)
        self.resources = Resources(cell.system.nursery, cell.task_failed)

    def promise(self, ask: Ask) -> ReplyTo:
        """Take on to answer a request after its handler has ended."""
        ask.holder = None
        ask.target = None
        handle = ReplyTo(ask, self._cell)
        if self._promises is None:
            self._promises = WeakSet()
        self._promises.add(handle)
        return handle

    @property
    def at_work(self) -> bool:
        """Whether a task runs, or somebody waits for a promised answer."""
        return self.tasks.busy or any(not handle.asker_gone for handle in self._promises or ())

    def break_promises(self, error: BaseException) -> None:
        """End the wait of everybody who was promised an answer."""
        for handle in tuple(self._promises or ()):
            handle.end(error)
