"""Grains whose state is kept in the journal: event-sourced and snapshotted ones, each under its identity."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from trioakt.grains.grain import Grain
from trioakt.patterns.kinds import kind_name
from trioakt.persistence import EventSourced, Snapshotted
from trioakt.persistence.persistent import Persistent

if TYPE_CHECKING:
    from trioakt.context import Context

S = TypeVar("S")


class _Kept(Persistent[S], Grain):
    """A grain that has a line of its own in the journal."""

    def __init__(self, state: S, *, kind: str = "") -> None:
        if "/" in kind:
            raise ValueError(f"the kind of a grain has no '/', got {kind!r}")
        super().__init__(f"grains/{kind or kind_name(type(self))}", state)

    async def pre_start(self, ctx: Context) -> None:
        """Recover the state; a ``pre_start`` of your own awaits ``super().pre_start(ctx)`` first.

        It is bounded by the ``init_timeout`` among the ``options``, and raises as ``Persistent.pre_start``.
        """
        self.persistence_id += f"/{ctx.identity}"
        await super().pre_start(ctx)


class EventSourcedGrain(_Kept[S], EventSourced[S]):
    """A ``Grain`` that is ``EventSourced``: its state is recovered when it is activated, before the first message.

    Its ``persistence_id`` is ``grains/KIND/IDENTITY``. In a cluster each write carries the fencing token, so that a
    grain whose node has lost it can store nothing any more.

    Args:
        state: What the state is before the first event.
        kind: Under which name the grains of this class are kept, if not that of the class with its module; give one
            before either changes.
    """


class SnapshottedGrain(_Kept[S], Snapshotted[S]):
    """A ``Grain`` that is ``Snapshotted``: its state is recovered when it is activated, before the first message.

    Its ``persistence_id`` is ``grains/KIND/IDENTITY``. In a cluster each write carries the fencing token, so that a
    grain whose node has lost it can store nothing any more.

    Args:
        state: What the state is before it was first saved.
        kind: Under which name the grains of this class are kept, if not that of the class with its module; give one
            before either changes.
    """
