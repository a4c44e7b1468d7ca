"""Concurrent sorted list: many workers send one actor, the keeper of a sorted list, what to put in or to look up."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator
from random import Random
from typing import Final

from benchmarks.savina import WrongResultError, check
from trioakt import Actor, ActorRef, ActorSystem, Context, ReplyTo, Request, ask_all, message

VALUES: Final = 100_000
INSERTS: Final = 0.1
SIZES: Final = 0.01
"""The shares of the operations that put something in, and that want the length; the others look something up."""


@message
class Insert:
    """Put a value in; the answer is `True`."""

    value: int


@message
class Contains:
    """Whether a value is there."""

    value: int


@message
class Size:
    """How many values there are."""


Operation = Insert | Contains | Size


@message
class Contents(Request[list[int]]):
    """A copy of the list."""


@message
class Work(Request[int]):
    """Send so many operations, each when the one before it was answered; the answer says how many were."""

    operations: int


def operations(worker: int, count: int) -> Iterator[Operation]:
    """Yield what a worker sends; always the same."""
    rng = Random(worker)
    for _ in range(count):
        chance, value = rng.random(), int(rng.random() * VALUES)
        if chance < INSERTS:
            yield Insert(value)
        else:
            yield Size() if chance < INSERTS + SIZES else Contains(value)


def expected(workers: int, each: int) -> list[int]:
    """Return what all of them together will have put in."""
    todo = [operation for worker in range(workers) for operation in operations(worker, each)]
    return sorted(operation.value for operation in todo if isinstance(operation, Insert))


class SortedList:
    """The list itself, which knows no actors."""

    def __init__(self) -> None:
        self.values: list[int] = []

    def apply(self, operation: Operation) -> int:
        """Do what is wanted and return the answer."""
        match operation:
            case Insert(value):
                insort(self.values, value)
                return True
            case Contains(value):
                place = bisect_left(self.values, value)
                return place < len(self.values) and self.values[place] == value
            case Size():
                return len(self.values)


class Errands:
    """What one worker has to do, and whether the answers can be right; it knows no actors."""

    def __init__(self, worker: int) -> None:
        self._worker = worker
        self._left: Iterator[Operation] = iter(())
        self._sent: Operation | None = None
        self._inserted: set[int] = set()
        self.answered = 0

    def begin(self, count: int) -> Operation | None:
        """Return the first operation."""
        self._left = operations(self._worker, count)
        return self._next()

    def go_on(self, answer: int) -> Operation | None:
        """Take an answer and return the next operation; None when there are no more."""
        self.answered += 1
        match self._sent:
            case Insert(value):
                self._inserted.add(value)
            case Contains(value) if value in self._inserted and not answer:
                raise WrongResultError(f"{value} was put in and is not there")
            case Size() if answer < len(self._inserted):
                raise WrongResultError(f"{answer} values are there, {len(self._inserted)} were put in")
        return self._next()

    def _next(self) -> Operation | None:
        self._sent = next(self._left, None)
        return self._sent


class Keeper(Actor):
    """Keeps the list."""

    def __init__(self) -> None:
        self.list = SortedList()

    def receive(self, ctx: Context, msg: Operation | Contents) -> None:
        ctx.reply(list(self.list.values) if isinstance(msg, Contents) else self.list.apply(msg))


class Worker(Actor):
    """Sends one operation after the other."""

    done: ReplyTo

    def __init__(self, number: int, keeper: ActorRef) -> None:
        self.errands = Errands(number)
        self.keeper = keeper

    def receive(self, ctx: Context, msg: Work | int) -> None:
        match msg:
            case Work(count):
                self.done = ctx.reply_to
                operation = self.errands.begin(count)
            case answer:
                operation = self.errands.go_on(answer)
        if operation is not None:
            self.keeper.tell(operation, sender=ctx.self)
        else:
            self.done.reply(self.errands.answered)


async def concurrent_sorted_list(system: ActorSystem, workers: int, each: int) -> int:
    """Let each worker send so many operations."""
    keeper = await system.spawn(Keeper)
    refs = [await system.spawn(Worker, number, keeper) for number in range(workers)]
    check("operations answered", await ask_all(refs, Work(each)), [each] * workers)
    check("contents", await keeper.ask(Contents()), expected(workers, each))
    return 2 * workers * each
