"""The actors of the census: a package for each directory, a pool of parsers, and the tally.

A package finds its files and sends them to the pool; the pool hands each to a parser; a parser tells the tally what was
counted. A file that cannot be parsed fails its parser: nobody catches that, the pool's strategy answers it, and the
tally hears of it by the event.
"""

from __future__ import annotations

from pathlib import Path, PurePath

import attrs
import trio

from trioakt import (
    Actor,
    ActorFailed,
    ActorRef,
    Bounded,
    Context,
    Directive,
    OneForOne,
    PoisonPill,
    Request,
    Terminated,
    message,
)
from trioakt.demo.counting import Figures, total
from trioakt.demo.worker import open_worker

NOT_OURS = {"__pycache__", "dist-packages", "site-packages"}
"""Directories without sources, or with those that others have installed."""


@attrs.frozen
class Census:
    """What is known at one moment: files found, figures by directory, and what went wrong."""

    found: int
    packages: dict[PurePath, Figures]
    failures: tuple[str, ...]


@message
class Explore:
    """List the directory."""


@message
class Found:
    """A package has so many files."""

    files: int


@message
class Parse:
    """Count one file; paths are relative to the directory of the census."""

    file: PurePath


@message
class Counted:
    """One file is done."""

    file: PurePath
    figures: Figures


@message
class Finish:
    """Parse what is waiting, and stop."""


@message
class TakeStock(Request[Census]):
    """What is known by now?"""


class Package(Actor):
    """A directory: it finds files and sub-packages, sends the files off, and stops when its sub-packages have."""

    supervision = OneForOne({OSError: Directive.STOP})  # a directory that cannot be read

    def __init__(self, root: Path, directory: PurePath, pool: ActorRef, tally: ActorRef) -> None:
        self.root = root
        self.directory = directory
        self.pool = pool
        self.tally = tally

    def pre_start(self, ctx: Context) -> None:
        ctx.self.tell(Explore())

    async def receive(self, ctx: Context, msg: object) -> None:
        match msg:
            case Explore():
                await self.explore(ctx)
            case Terminated():
                pass
            case _:
                ctx.unhandled()
        if not ctx.children:
            ctx.stop()

    async def explore(self, ctx: Context) -> None:
        files, directories = await trio.to_thread.run_sync(list_directory, self.root / self.directory)
        for each in directories:
            name = each if each.isascii() and each.isidentifier() else None  # None: the system makes one
            child = await ctx.spawn(Package, self.root, self.directory / each, self.pool, self.tally, name=name)
            ctx.watch(child)
        self.tally.tell(Found(len(files)))
        for each in files:
            await self.pool.send(Parse(self.directory / each))  # waits while the parsers are busy


def list_directory(directory: Path) -> tuple[list[str], list[str]]:
    """Name the Python files and the directories in a directory; a link to a directory is neither."""
    entries = sorted(directory.iterdir())
    files = [entry.name for entry in entries if entry.suffix == ".py" and not entry.is_dir()]
    directories = [entry.name for entry in entries if entry.is_dir() and not entry.is_symlink()]
    return files, [name for name in directories if name not in NOT_OURS and not name.startswith(".")]


class Pool(Actor):
    """Hands each file to the parser with the shortest queue, and waits while all queues are full."""

    supervision = OneForOne(
        {
            # The file is at fault: the parser goes on with the next one.
            SyntaxError: Directive.RESUME,
            ValueError: Directive.RESUME,
            OSError: Directive.RESUME,
            # The worker process is stuck, dead or exhausted: the parser gets a fresh one, its queue stays.
            TimeoutError: Directive.RESTART,
            trio.BrokenResourceError: Directive.RESTART,
            RecursionError: Directive.RESTART,
            MemoryError: Directive.RESTART,
        },
        default=Directive.ESCALATE,
        max_restarts=None,  # each restart drops the file that caused it, so there is an end to them
    )

    def __init__(self, size: int, root: Path, tally: ActorRef) -> None:
        self.size = size
        self.root = root
        self.tally = tally

    async def pre_start(self, ctx: Context) -> None:
        for number in range(1, self.size + 1):
            await ctx.spawn(Parser, self.root, self.tally, name=f"parser-{number}", mailbox=Bounded(8))

    async def receive(self, ctx: Context, msg: object) -> None:
        parsers = ctx.children
        match msg:
            case Parse():
                shortest = min(parsers, key=lambda parser: parser.statistics().depth)
                await shortest.send(msg)
            case Finish():
                for parser in parsers:
                    parser.tell(PoisonPill())  # queues behind the last file
                for parser in parsers:
                    await parser.wait_stopped()
                ctx.stop()
            case _:
                ctx.unhandled()


class Parser(Actor):
    """Owns a worker process, which begins and ends with each life of the actor."""

    def __init__(self, root: Path, tally: ActorRef) -> None:
        self.root = root
        self.tally = tally

    async def pre_start(self, ctx: Context) -> None:
        self.worker = await ctx.enter(open_worker(self.root))

    async def receive(self, ctx: Context, msg: object) -> None:
        match msg:
            case Parse(file):
                self.tally.tell(Counted(file, await self.worker.count(file)))
            case _:
                ctx.unhandled()


class Tally(Actor):
    """Adds everything up; what goes wrong anywhere comes to it as an event."""

    def __init__(self) -> None:
        self.found = 0
        self.packages: dict[PurePath, Figures] = {}
        self.failures: list[str] = []

    def pre_start(self, ctx: Context) -> None:
        ctx.system.events.subscribe_ref(ctx.self, ActorFailed)

    def receive(self, ctx: Context, msg: object) -> None:
        match msg:
            case Found(files):
                self.found += files
            case Counted(file, figures):
                self.packages[file.parent] = total([self.packages.get(file.parent, Figures()), figures])
            case ActorFailed(failure=failure):
                self.failures.append(str(failure))
            case TakeStock():
                ctx.reply(Census(self.found, dict(self.packages), tuple(self.failures)))
            case _:
                ctx.unhandled()
