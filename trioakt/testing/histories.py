"""Whether what many tasks saw of a store at once fits into one history: that of its watch.

This is linearizability (Herlihy and Wing, 1990). As the watch tells the order of all writes, no search is needed: it is
enough to give each verb the earliest place that is left to it, and to see that it is not too late.
"""

from __future__ import annotations

import math
from itertools import count
from random import Random

import attrs
import trio

from trioakt.cluster.store import Changes, Created, Entry, Listing, Removed, Store

_TASKS = 4
_KEYS = 3
_PATIENCE = 30.0


@attrs.define
class _Verb:
    """One call of one task, and what it returned.

    Attributes:
        began: When it was called, in a count over all tasks.
        ended: When it returned.
    """

    name: str
    key: str
    value: bytes
    token: int
    began: int
    ended: int = 0
    outcome: Created | bool | Listing = False

    @property
    def has_written(self) -> bool:
        """Whether it has changed something, as far as the task knows."""
        return self.outcome is True or (isinstance(self.outcome, Created) and self.outcome.won)


async def check_history(store: Store, prefix: str, rng: Random, steps: int) -> None:
    """Use a few keys from several tasks at once, and find a place in one history for all that they saw.

    Raises:
        AssertionError: There is none.
    """
    start = (await store.list(prefix)).revision
    story = _Story(store, prefix, rng, start)
    async with trio.open_nursery() as nursery:
        for number in range(_TASKS):
            nursery.start_soon(story.run, b"%d" % number, steps // _TASKS)
    history = _History(start, await _tell(store, prefix, start))
    written = sum(verb.has_written for verb in story.verbs)
    assert history.length == written, f"a watch hears of {history.length} writes where {written} were told to be done"
    _place(history, story.verbs)


class _Story:
    """What the tasks do."""

    def __init__(self, store: Store, prefix: str, rng: Random, start: int) -> None:
        self.verbs: list[_Verb] = []
        self._store = store
        self._prefix = prefix
        self._rng = rng
        self._moments = count(1)
        self._tokens = {f"{prefix}{number}": start for number in range(_KEYS)}
        """The last token of each key that a task has seen; often it is that of the present holder."""

    async def run(self, task: bytes, steps: int) -> None:
        for step in range(steps):
            name = self._rng.choice(["create", "create", "put", "delete", "list"])
            key = self._rng.choice(list(self._tokens))
            verb = _Verb(name, key, b"%b/%d" % (task, step), self._tokens[key], next(self._moments))
            verb.outcome = await self._call(verb)
            verb.ended = next(self._moments)
            self.verbs.append(verb)
            if isinstance(verb.outcome, Created):
                self._tokens[key] = max(self._tokens[key], verb.outcome.token)

    async def _call(self, verb: _Verb) -> Created | bool | Listing:
        match verb.name:
            case "create":
                return Created(*await self._store.create(verb.key, verb.value))
            case "put":
                return await self._store.put_guarded(verb.key, verb.value, verb.token)
            case "delete":
                return await self._store.delete(verb.key, verb.token)
            case _:
                return await self._store.list(self._prefix)


async def _tell(store: Store, prefix: str, start: int) -> list[Changes]:
    """Return all that has changed since a revision."""
    end = (await store.create(f"{prefix}end", b"")).token
    told: list[Changes] = []
    with trio.move_on_after(_PATIENCE):
        async with store.watch(prefix, start) as changes:
            async for each in changes:
                assert isinstance(each, Changes), "a watch from a fresh revision needs no list"
                if each.revision >= end:
                    return told
                told.append(each)
    raise AssertionError("a watch hears of everything")


class _History:
    """All that has happened to the keys."""

    def __init__(self, start: int, told: list[Changes]) -> None:
        self.length = sum(len(each.changes) for each in told)
        self._start = start
        self._told = told
        self._written: dict[bytes, tuple[int, Entry]] = {}
        self._ends: dict[int, float] = {}
        """When each token has ceased to hold its key."""
        held: dict[str, int] = {}
        for each in told:
            for change in each.changes:
                if isinstance(change, Removed):
                    self._ends[held.pop(change.key)] = each.revision
                else:
                    self._written[change.value] = each.revision, change
                    self._ends[change.token] = math.inf
                    held[change.key] = change.token

    def place(self, verb: _Verb) -> tuple[float, float]:
        """Return the first and the last revision at which a verb may have returned what it did."""
        match verb.outcome:
            case Listing(entries=entries, revision=revision):
                assert entries == self._state(revision), f"a list at {revision} fits to what a watch hears"
                return revision, revision
            case Created(won=False, token=token):
                assert token in self._ends, f"who loses {verb.key!r} learns the token of a holder, not {token}"
                return token, self._ends[token] - 1
            case False:
                end = self._ends.get(verb.token, self._start)
                assert end < math.inf, f"{verb.name}({verb.key!r}) is not refused under the token of the holder"
                return end, math.inf
            case _:
                written = self._write(verb)
                return written, written

    def _write(self, verb: _Verb) -> float:
        if verb.name == "delete":
            assert self._ends.get(verb.token, math.inf) < math.inf, "a watch hears of each key that is deleted"
            return self._ends[verb.token]
        token = verb.outcome.token if isinstance(verb.outcome, Created) else verb.token
        assert verb.value in self._written, f"a watch hears of each {verb.name}"
        revision, entry = self._written[verb.value]
        assert entry == Entry(verb.key, verb.value, token), f"a watch hears of {entry} after {verb}"
        return revision

    def _state(self, revision: int) -> tuple[Entry, ...]:
        there: dict[str, Entry] = {}
        for each in self._told:
            for change in each.changes if each.revision <= revision else ():
                if isinstance(change, Removed):
                    del there[change.key]
                else:
                    there[change.key] = change
        return tuple(there[key] for key in sorted(there))


def _place(history: _History, verbs: list[_Verb]) -> None:
    """Give each verb its place, not before those that had returned when it was called."""
    placed: list[tuple[int, float]] = []
    for verb in sorted(verbs, key=lambda verb: verb.began):
        low, high = history.place(verb)
        before = max((place for ended, place in placed if ended < verb.began), default=0) + verb.has_written
        assert before <= high, f"{verb} comes before what had returned when it was called: {high:.0f} < {before:.0f}"
        placed.append((verb.ended, max(low, before)))
