"""Concurrent dictionary: many workers ask one actor, which keeps a dictionary, to read and now and then to write."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Final

from benchmarks.savina import WrongResultError, check
from trioakt import Actor, ActorRef, ActorSystem, Context, Request, ask_all, message

KEYS: Final = 1000
WRITES: Final = 0.1
"""The share of the operations that write."""


@message
class Write(Request[int]):
    """Write the one value that this key can have; the answer is that value."""

    key: int


@message
class Read(Request[int]):
    """The value of a key; 0 where nothing was written."""

    key: int


@message
class Contents(Request[dict[int, int]]):
    """A copy of everything."""


@message
class Work(Request[None]):
    """Ask for so many operations."""

    operations: int


def operations(worker: int, count: int) -> Iterator[Read | Write]:
    """Yield what a worker asks for; always the same."""
    rng = Random(worker)
    for _ in range(count):
        key = int(rng.random() * KEYS)
        yield Write(key) if rng.random() < WRITES else Read(key)


def verify(operation: Read | Write, value: int) -> None:
    """Check what an operation was answered with."""
    if value != 2 * operation.key and not (value == 0 and isinstance(operation, Read)):
        raise WrongResultError(f"{operation} was answered with {value}")


def expected(workers: int, each: int) -> dict[int, int]:
    """Return what all of them together will have written."""
    todo = [operation for worker in range(workers) for operation in operations(worker, each)]
    return {operation.key: 2 * operation.key for operation in todo if isinstance(operation, Write)}


class Dictionary(Actor):
    """Keeps the values."""

    def __init__(self) -> None:
        self.values: dict[int, int] = {}

    def receive(self, ctx: Context, msg: Read | Write | Contents) -> None:
        match msg:
            case Read(key):
                ctx.reply(self.values.get(key, 0))
            case Write(key):
                self.values[key] = 2 * key
                ctx.reply(2 * key)
            case Contents():
                ctx.reply(dict(self.values))


class Worker(Actor):
    """Asks for one operation after the other."""

    def __init__(self, number: int, dictionary: ActorRef) -> None:
        self.number = number
        self.dictionary = dictionary

    async def receive(self, ctx: Context, msg: Work) -> None:
        for operation in operations(self.number, msg.operations):
            verify(operation, await self.dictionary.ask(operation))
        ctx.reply(None)


async def concurrent_dictionary(system: ActorSystem, workers: int, each: int) -> int:
    """Let each worker ask for so many operations."""
    dictionary = await system.spawn(Dictionary)
    refs = [await system.spawn(Worker, number, dictionary) for number in range(workers)]
    await ask_all(refs, Work(each))
    check("contents", await dictionary.ask(Contents()), expected(workers, each))
    return 2 * workers * each
