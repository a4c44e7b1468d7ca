"""Whether what many tasks saw of a store at once fits into one history: that of its watch (linearizability).

Herlihy and Wing, "Linearizability", 1990. The watch tells the order of all writes, so no search is needed: it is enough
to find each verb's place in it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
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
        began: Its call, counted over all tasks.
        floor: The last revision that somebody had seen by then.
        ended: Its return.
        low: The earliest revision after which it may have taken place; for one that has written, its own.
        high: The latest.
    """

    name: str
    key: str
    value: bytes
    token: int
    began: int
    floor: int
    ended: int = 0
    outcome: Created | bool | Listing = False
    low: float = 0
    high: float = math.inf


async def check_history(store: Store, prefix: str, rng: Random, steps: int) -> None:
    """Use a few keys from several tasks at once, and find a place for all they saw in one history.

    Raises:
        AssertionError: There is none.
    """
    start = (await store.list(prefix)).revision
    story = _Story(store, prefix, rng, start)
    async with trio.open_nursery() as nursery:
        for number in range(_TASKS):
            nursery.start_soon(story.run, b"%d" % number, steps // _TASKS)
    told = await _tell(store, prefix, start)
    history = _History(start, told)
    for verb in story.verbs:
        history.place(verb)
    _in_real_time(story.verbs)
    history.check_whole()


class _Story:
    """What the tasks do."""

    def __init__(self, store: Store, prefix: str, rng: Random, start: int) -> None:
        self.verbs: list[_Verb] = []
        self._store = store
        self._keys = [f"{prefix}{number}" for number in range(_KEYS)]
        self._prefix = prefix
        self._rng = rng
        self._moments = count(1)
        self._tokens = dict.fromkeys(self._keys, start)
        """The last token that somebody has seen of each key; often it is that of the present holder."""

    async def run(self, task: bytes, steps: int) -> None:
        for step in range(steps):
            name = self._rng.choice(["create", "create", "put", "delete", "list"])
            key = self._rng.choice(self._keys)
            verb = _Verb(name, key, b"%b/%d" % (task, step), self._tokens[key], next(self._moments), 0)
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
