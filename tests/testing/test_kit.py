"""The system for tests: it fails a test for what happened in it unseen."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from trioakt import ActorRestarted, Context, DeadLetter
from trioakt.testing import open_test_system
from trioakt.testing.fixtures import leak_check


def fail(ctx: Context, msg: object) -> None:
    raise LookupError(msg)


async def test_a_test_in_which_all_goes_well_passes() -> None:
    async with open_test_system("quiet") as system:
        assert system.name == "quiet"


async def test_a_dead_letter_that_nobody_expected_fails_the_test() -> None:
    with pytest.raises(AssertionError, match=r"dead letter: str to /user/ada \(stopped\)"):
        async with open_test_system() as system:
            ref = await system.spawn_func(fail, name="ada")
            ref.stop()
            await ref.wait_stopped()
            ref.tell("too late")


async def test_a_message_left_in_a_mailbox_at_the_end_fails_the_test() -> None:
    async def wait(ctx: Context, msg: object) -> None:
        await trio.sleep_forever()

    with pytest.raises(AssertionError, match="dead letter"):
        async with open_test_system(stop_grace=0) as system:
            ref = await system.spawn_func(wait)
            ref.tell("in hand")
            ref.tell("left")
            await wait_all_tasks_blocked()


async def test_a_restart_that_nobody_expected_fails_the_test() -> None:
    with pytest.raises(AssertionError, match=r"restart of /user/ada: .*LookupError"):
        async with open_test_system() as system:
            (await system.spawn_func(fail, name="ada")).tell("now")
            await wait_all_tasks_blocked()


async def test_what_is_expected_does_not_fail_the_test() -> None:
    async with open_test_system(expect=[DeadLetter, ActorRestarted]) as system:
        ref = await system.spawn_func(fail)
        ref.tell("now")
        await wait_all_tasks_blocked()
        ref.stop()
        ref.tell("too late")


async def test_an_exception_of_the_test_goes_before_all_that() -> None:
    with pytest.raises(ZeroDivisionError):
        async with open_test_system() as system:
            ref = await system.spawn_func(fail)
            ref.stop()
            ref.tell("too late")
            raise ZeroDivisionError


@contextmanager
def left_thread() -> Generator[None]:
    over = threading.Event()
    thread = threading.Thread(target=over.wait)
    thread.start()
    yield
    over.set()
    thread.join()


@contextmanager
def left_descriptor() -> Generator[None]:
    descriptor = os.open(os.devnull, os.O_RDONLY)
    yield
    os.close(descriptor)


@contextmanager
def left_process() -> Generator[None]:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE):
        yield


SEEN_IN_PROC = [(left_descriptor, "descriptor"), (left_process, "process")] if Path("/proc/self").exists() else []


@pytest.mark.parametrize(("leave", "what"), [(left_thread, "thread"), *SEEN_IN_PROC])
def test_what_a_test_leaves_behind_is_named(leave: Callable[[], AbstractContextManager[None]], what: str) -> None:
    with ExitStack() as later, pytest.raises(AssertionError, match=what), leak_check():
        later.enter_context(leave())


def test_what_is_taken_and_given_back_is_no_leak() -> None:
    with leak_check(), left_thread(), left_descriptor():
        assert threading.active_count() > 1
