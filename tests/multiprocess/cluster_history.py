"""Histories of what was asked of a cluster and answered by it, and the check that they are linearizable.

A history is linearizable if each operation can be given one moment between its call and its return, so that one after
the other they are what a single plain object would have done. The search is that of Wing and Gong ("Testing and
verifying concurrent objects", 1993), which does not come twice to the same rest of operations in the same state.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Generic, TypeVar

import attrs

S = TypeVar("S", bound=Hashable)
O = TypeVar("O")  # noqa: E741 - an operation


@attrs.frozen
class Call(Generic[O]):
    """One operation, and when it was called and returned; it never returns if its outcome is not known."""

    what: O
    called: float
    returned: float = math.inf


def is_linearizable(history: Sequence[Call[O]], start: S, step: Callable[[S, O], Iterable[S]]) -> bool:
    """Return whether a history is one that a plain object could have.

    Args:
        history: In any order. What has not returned may have happened or not.
        start: The state of the object.
        step: The states that an operation can lead to, with the result that it had; none if it cannot have had it.
    """
    todo = [(frozenset(range(len(history))), start)]
    seen = set(todo)
    while todo:
        rest, state = todo.pop()
        first = min((history[each].returned for each in rest), default=math.inf)
        if first == math.inf:
            return True
        for each in rest:
            if history[each].called > first:
                continue
            for after in step(state, history[each].what):
                reached = (rest - {each}, after)
                if reached not in seen:
                    seen.add(reached)
                    todo.append(reached)
    return False


# --------------------------------------------------------------------------------------------------- what a name does


@attrs.frozen
class Spawned:
    """The name was given to an actor of this owner."""

    owner: str


@attrs.frozen
class Taken:
    """The name was not given, as it was there."""


@attrs.frozen
class Stopped:
    """The actor was stopped, and was gone."""


@attrs.frozen
class Found:
    """The actor has answered, and said whose it is."""

    owner: str


@attrs.frozen
class Missing:
    """The name was not there."""


def name_step(owner: str, what: Spawned | Taken | Stopped | Found | Missing) -> Iterable[str]:
    """Follow a name; the state is the owner of the actor, or empty."""
    match what:
        case Spawned(new):
            return [] if owner else [new]
        case Taken():
            return [owner] if owner else []
        case Stopped():
            return [""]
        case Found(said):
            return [owner] if owner == said else []
        case Missing():
            return [] if owner else [owner]


# ------------------------------------------------------------------------------------------------ what a counter does


@attrs.frozen
class Added:
    """One was added; the sum and the token are those of the answer, or 0 if there was none."""

    sum: int = 0
    token: int = 0


def counter_step(state: tuple[int, int], what: Added) -> Iterable[tuple[int, int]]:
    """Follow a counter that outlives its owners; the state is the sum and the largest token."""
    number, token = state
    if not what.sum:
        return [(number + 1, token)]
    return [(what.sum, what.token)] if what.sum == number + 1 and what.token >= token else []
