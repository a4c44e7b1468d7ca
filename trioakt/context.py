"""The context that users see: the kernel's, with the patterns as methods."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from trioakt.lowlevel import CoreContext
from trioakt.spawning import PatternSpawner

if TYPE_CHECKING:
    from trioakt.system import ActorSystem


class Context(CoreContext, PatternSpawner):
    """What a handler may call; one object per running handler, good for as long as that life of the actor."""

    __slots__ = ()

    @property
    def system(self) -> ActorSystem:
        """The actor system."""
        return cast("ActorSystem", self.cell.system)
