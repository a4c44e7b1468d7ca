"""Functions that tests run in worker processes; it imports little, as each worker imports it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn


class Trouble(Exception):
    """An error."""


class Finicky(Exception):
    """An error that pickle cannot make again."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"{first} and {second}")


class Unprintable(Exception):
    """An error whose text cannot be had, and which pickle refuses."""

    def __init__(self) -> None:
        super().__init__(lambda: None)

    def __str__(self) -> str:
        raise Trouble


def double(number: int) -> int:
    return 2 * number


def raise_trouble() -> NoReturn:
    raise Trouble("ouch")


def raise_finicky() -> NoReturn:
    raise Finicky("this", "that")


def raise_unprintable() -> NoReturn:
    raise Unprintable


def make_function() -> Callable[[], None]:
    return lambda: None


async def be_async() -> None: ...


def exit_at_once() -> NoReturn:
    os._exit(3)


def exit_politely() -> NoReturn:
    sys.exit(4)


def kill_yourself() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def close_everything() -> None:
    os.closerange(3, 100)


def hang(pipe: Path) -> None:
    """Write the number of the process into a named pipe, and take for ever."""
    pipe.write_text(str(os.getpid()))
    time.sleep(1000)


def start_another_and_hang(pipe: Path) -> None:
    """Start another process, write its number, and take for ever."""
    with subprocess.Popen(["sleep", "1000"]) as other:
        pipe.write_text(str(other.pid))
        time.sleep(1000)


def leave_a_fork_behind(pipe: Path) -> None:
    """Fork a process that takes for ever, write its number, and die."""
    other = os.fork()
    if other:
        pipe.write_text(str(other))
        os._exit(5)
    time.sleep(1000)


def surroundings() -> tuple[bool, bool, bytes]:
    """Tell whether this process leads a session, whether it ignores Ctrl-C, and what is on its standard input."""
    return os.getsid(0) == os.getpid(), signal.getsignal(signal.SIGINT) is signal.SIG_IGN, os.read(0, 1)
