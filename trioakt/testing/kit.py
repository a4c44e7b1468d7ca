"""A system for tests: what would go wrong unseen in it fails the test."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from typing import Any

from trioakt import ActorRestarted, ActorSystem, DeadLetter

_UNSEEN = (DeadLetter, ActorRestarted)


@asynccontextmanager
async def open_test_system(
    name: str = "test", *, expect: Iterable[type[Any]] = (), **options: Any
) -> AsyncGenerator[ActorSystem]:
    """Open an actor system that fails the test at its exit for what nobody expected.

    Unexpected are dead letters, among them the messages left in mailboxes at the end, and restarts. An exception that
    leaves the block goes before all that.

    Args:
        name: Name of the system.
        expect: Event classes that are expected in this test, such as ``DeadLetter`` and ``ActorRestarted``.
        **options: As ``ActorSystem``.

    Raises:
        AssertionError: Something unexpected happened; the text lists it.
    """
    unseen: list[str] = []

    def note(event: Any) -> None:
        if not isinstance(event, expected):
            unseen.append(_describe(event))

    expected = tuple(expect)
    system = ActorSystem(name, **options)
    with system.events.listen(note, *_UNSEEN):
        async with system:
            yield system
    if unseen:
        shown = "\n  ".join(unseen[:20])
        raise AssertionError(f"{len(unseen)} unexpected events in {name}, the first of them:\n  {shown}")


def _describe(event: DeadLetter | ActorRestarted) -> str:
    if isinstance(event, DeadLetter):
        return f"dead letter: {type(event.message).__name__} to {event.recipient.path} ({event.reason.value})"
    return f"restart of {event.ref.path}: {event.failure}"
