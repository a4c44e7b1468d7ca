"""What the tests of process nodes spawn there; a process can import it."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

from trioakt import Actor, Context, Request, message


@message(name="tests.pid")
class Pid(Request[int]):
    """Which process is this?"""


@message(name="tests.block")
class Block(Request[int]):
    """Keep the whole process busy for so many seconds."""

    seconds: float


@message(name="tests.leave")
class Leave:
    """Stop, or end the whole process."""

    code: int | None = None


class Worker(Actor):
    """Obeys the messages above; leaves a word in a file, and one on standard error, when it stops."""

    def __init__(self, last_words: str = "") -> None:
        self.last_words = last_words

    def receive(self, ctx: Context, msg: Any) -> None:
        match msg:
            case Block(seconds):
                time.sleep(seconds)
                ctx.reply(os.getpid())
            case Pid():
                ctx.reply(os.getpid())
            case Leave(code):
                if code is not None:
                    os._exit(code)
                ctx.stop()
            case _:
                ctx.unhandled()

    def post_stop(self, ctx: Context) -> None:
        if self.last_words:
            Path(self.last_words).write_text("stopped")
            print("said on standard error", file=sys.stderr, flush=True)


class Broken(Actor):
    """Cannot be spawned."""

    def __init__(self) -> None:
        raise ValueError("out of order")
