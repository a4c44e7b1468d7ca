"""Concurrent sorted list, on Pykka."""

from __future__ import annotations

from typing import Any

import pykka
from attrs import frozen

from benchmarks.savina import check
from benchmarks.savina.concurrent_sorted_list import Contents, Errands, Operation, SortedList, expected

Ref = pykka.ActorRef[Any]


@frozen
class Work:
    operations: int
    done: pykka.ThreadingFuture[int]


@frozen
class Apply:
    operation: Operation
    sender: Ref


class Keeper(pykka.ThreadingActor):
    def __init__(self) -> None:
        super().__init__()
        self.list = SortedList()

    def on_receive(self, message: Apply | Contents) -> list[int] | None:
        match message:
            case Apply(operation, sender):
                sender.tell(self.list.apply(operation))
                return None
            case Contents():
                return list(self.list.values)


class Worker(pykka.ThreadingActor):
    done: pykka.ThreadingFuture[int]

    def __init__(self, number: int, keeper: Ref) -> None:
        super().__init__()
        self.errands = Errands(number)
        self.keeper = keeper

    def on_receive(self, message: Work | int) -> None:
        match message:
            case Work(count, done):
                self.done = done
                operation = self.errands.begin(count)
            case answer:
                operation = self.errands.go_on(answer)
        if operation is not None:
            self.keeper.tell(Apply(operation, self.actor_ref))
        else:
            self.done.set(self.errands.answered)


def concurrent_sorted_list(workers: int, each: int) -> int:
    """Let each worker send so many operations."""
    keeper = Keeper.start()
    refs = [Worker.start(number, keeper) for number in range(workers)]
    futures = [pykka.ThreadingFuture[int]() for _ in refs]
    for ref, done in zip(refs, futures, strict=True):
        ref.tell(Work(each, done))
    check("operations answered", pykka.get_all(futures), [each] * workers)
    check("contents", keeper.ask(Contents()), expected(workers, each))
    return 2 * workers * each
