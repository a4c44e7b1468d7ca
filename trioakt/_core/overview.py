"""What a system and its actors tell about themselves at one moment: figures and the drawing of the tree; plain data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import attrs

from trioakt._core.orders import State

if TYPE_CHECKING:
    from trioakt._core.events import DeadLetterReason
    from trioakt._core.ref import ActorRef


_DEEPEST = 30
"""Levels that a drawing indents; below them it tells the level."""


@attrs.frozen
class ActorStatistics:
    """Figures about one actor at one moment.

    Attributes:
        state: Where it is in its life.
        depth: Messages that wait in its mailbox.
        stashed: Messages it has laid aside.
        handled: Messages its handlers have ended with, well or not.
        failures: How often it, or a child that escalated, has failed.
        restarts: How often it was restarted.
        children: Live children.
        uptime: Seconds since it was spawned.
    """

    state: State
    depth: int
    stashed: int
    handled: int
    failures: int
    restarts: int
    children: int
    uptime: float


@attrs.define
class Tally:
    """What a system counts; the figures of its live actors are added when they are asked for."""

    spawned: int = 0
    alive: int = 0
    handled: int = 0
    failures: int = 0
    restarts: int = 0
    late_replies: int = 0


@attrs.frozen
class SystemStatistics:
    """Figures about a whole system, since it was opened.

    Attributes:
        actors: Actors alive now.
        spawned: Actors that have started.
        handled: Messages that handlers have ended with, well or not.
        failures: Failures of handlers, hooks and tasks.
        restarts: Actors restarted.
        dead_letters: Messages that no handler took.
        dead_letters_by_reason: The same, by reason.
        late_replies: Replies dropped because the asker had gone.
        uptime: Seconds since it was opened.
    """

    actors: int
    spawned: int
    handled: int
    failures: int
    restarts: int
    dead_letters: int
    dead_letters_by_reason: Mapping[DeadLetterReason, int]
    late_replies: int
    uptime: float


@attrs.frozen
class TreeNode:
    """One actor in the tree; ``level`` is 0 for the top, ``kind`` the name of what makes it."""

    ref: ActorRef
    name: str
    kind: str
    level: int
    state: State
    waiting: int
    last: bool
    """Whether no sibling follows."""


@attrs.frozen(repr=False)
class Tree:
    """The live tree, depth first; ``print(system.tree())`` draws it."""

    nodes: tuple[TreeNode, ...]

    def __iter__(self) -> Iterator[TreeNode]:
        """Go through the actors, each parent before its children."""
        return iter(self.nodes)

    def __len__(self) -> int:
        """Return how many actors there are, the guardian included."""
        return len(self.nodes)

    def __str__(self) -> str:
        """Draw the tree, a line for each actor."""
        lines: list[str] = []
        rails: list[str] = []  # what the ancestors of the present node draw at its left
        for node in self.nodes:
            del rails[max(node.level - 1, 0) :]
            branch = "" if node.level == 0 else "└── " if node.last else "├── "
            more = f"⋯{node.level} " if len(rails) > _DEEPEST else ""
            lines.append("".join(rails[:_DEEPEST]) + more + branch + _describe(node))
            rails.append("" if node.level == 0 else "    " if node.last else "│   ")
        return "\n".join(lines)

    def __repr__(self) -> str:
        """Tell how many actors there are."""
        return f"<Tree of {len(self.nodes)} actors>"


def _describe(node: TreeNode) -> str:
    notes = [] if node.state is State.RUNNING else [node.state.value]
    if node.waiting:
        notes.append(f"{node.waiting} waiting")
    return f"{node.name}  {node.kind}" + (f"  ({', '.join(notes)})" if notes else "")
