"""Fixtures for pytest: ``pytest_plugins = ["trioakt.testing.fixtures"]`` in a conftest.py makes them known."""

from __future__ import annotations

import gc
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

_DESCRIPTORS = Path("/proc/self/fd")
_CHILDREN = Path("/proc/self/task")


@pytest.fixture
def no_leaks() -> Generator[None]:
    """Fail a test that leaves a thread, a file descriptor or a child process behind."""
    with leak_check():
        yield


@contextmanager
def leak_check() -> Generator[None]:
    """Check that the block leaves no thread, file descriptor or child process behind.

    Idle worker threads are Trio's own and do not count. Descriptors and processes are seen where ``/proc`` is.

    Raises:
        AssertionError: It does; the text names what is left.
    """
    before = _held()
    yield
    left = _held() - before
    if left:  # what only a reference cycle still holds is not a leak
        gc.collect()
        left = _held() - before
    assert not left, f"left behind: {', '.join(sorted(left))}"


def _held() -> set[str]:
    return {*_threads(), *_descriptors(), *_children()}


def _threads() -> set[str]:
    return {
        f"thread {thread.name} ({thread.ident})"
        for thread in threading.enumerate()
        if not thread.name.startswith("Trio thread")
    }


def _descriptors() -> set[str]:
    if not _DESCRIPTORS.exists():
        return set()
    held: set[str] = set()
    for descriptor in _DESCRIPTORS.iterdir():
        try:
            held.add(f"descriptor {descriptor.name}: {descriptor.readlink()}")
        except FileNotFoundError:  # the one that listed the folder
            continue
    return held


def _children() -> set[str]:
    held: set[str] = set()
    for listing in _CHILDREN.glob("*/children"):
        with suppress(FileNotFoundError, ProcessLookupError):  # that thread has ended meanwhile
            held |= {f"process {child}" for child in listing.read_text().split()}
    return held
