"""Concurrent dictionary, on Pykka."""

from __future__ import annotations

from typing import Any

import pykka

from benchmarks.savina import check
from benchmarks.savina.concurrent_dictionary import Contents, Read, Work, Write, expected, operations, verify

Ref = pykka.ActorRef[Any]


class Dictionary(pykka.ThreadingActor):
    def __init__(self) -> None:
        super().__init__()
        self.values: dict[int, int] = {}

    def on_receive(self, message: Read | Write | Contents) -> int | dict[int, int]:
        match message:
            case Read(key):
                return self.values.get(key, 0)
            case Write(key):
                self.values[key] = 2 * key
                return 2 * key
            case Contents():
                return dict(self.values)


class Worker(pykka.ThreadingActor):
    def __init__(self, number: int, dictionary: Ref) -> None:
        super().__init__()
        self.number = number
        self.dictionary = dictionary

    def on_receive(self, message: Work) -> None:
        for operation in operations(self.number, message.operations):
            verify(operation, self.dictionary.ask(operation, block=True))


def concurrent_dictionary(workers: int, each: int) -> int:
    """Let each worker ask for so many operations."""
    dictionary = Dictionary.start()
    refs = [Worker.start(number, dictionary) for number in range(workers)]
    pykka.get_all([ref.ask(Work(each), block=False) for ref in refs])
    check("contents", dictionary.ask(Contents()), expected(workers, each))
    return 2 * workers * each
