"""The whole program: the actor system of the census, from its start to its end or to Ctrl-C."""

from __future__ import annotations

import logging
import os
import signal
import sys
import sysconfig
from collections.abc import AsyncIterator
from pathlib import Path, PurePath

import trio

from trioakt import ActorRef, ActorSystem, Bounded
from trioakt.demo.actors import Census, Finish, Package, Pool, TakeStock, Tally
from trioakt.demo.display import ProgressLine, report

DONE, MISUSED, INTERRUPTED = 0, 2, 130
"""Exit codes."""

PARSERS = min(os.cpu_count() or 1, 8)
"""As many as can work at the same time; one event loop feeds no more than a few."""


def main(directory: Path | None = None) -> int:
    """Print a census of a directory, or of the interpreter's own standard library; returns the exit code.

    A directory that cannot be read gives 2. SIGINT and SIGTERM end the census early and give 130.
    """
    root = directory or Path(sysconfig.get_path("stdlib"))
    try:
        next(root.iterdir(), None)
    except OSError as error:
        print(f"trioakt demo: {root}: {error.strerror}", file=sys.stderr)
        return MISUSED
    logging.getLogger("trioakt").addHandler(logging.NullHandler())  # failures are listed at the end instead
    try:
        return trio.run(run, root)
    except KeyboardInterrupt:  # before anything was started
        return INTERRUPTED


async def run(root: Path) -> int:
    """Take the census and print it; a signal cuts the work short and nothing else."""
    work = trio.CancelScope()
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(cancel_at, signals, work)
            async with ActorSystem("census") as system:
                census = await take_census(system, root, work)
            text = report(root, census, system, interrupted=work.cancelled_caught)
            # A path may hold what the terminal's encoding does not.
            print(text.encode(sys.stdout.encoding, "backslashreplace").decode(sys.stdout.encoding))
            nursery.cancel_scope.cancel()
    return INTERRUPTED if work.cancelled_caught else DONE


async def take_census(system: ActorSystem, root: Path, work: trio.CancelScope) -> Census:
    """Count every file below the root; cancelling the scope ends the work and leaves what is known by then."""
    tally = await system.spawn(Tally, name="tally")
    pool = await system.spawn(Pool, PARSERS, root, tally, name="parsers", mailbox=Bounded(16))
    packages = await system.spawn(
        Package, root, PurePath(), pool, tally, name="packages", supervision=Package.supervision
    )
    await system.spawn_task(show_progress, tally, name="progress")
    with work:
        await packages.wait_stopped()
        await pool.send(Finish())
        await pool.wait_stopped()
    for part in (packages, pool):  # gone already, unless the work was cut short
        part.kill()
        await part.wait_stopped()
    return await tally.ask(TakeStock())


async def show_progress(tally: ActorRef) -> None:
    """Keep the line of progress up to date, until cancelled."""
    line = ProgressLine(sys.stderr)
    try:
        while True:
            await trio.sleep(line.interval)
            line.draw(await tally.ask(TakeStock()))
    finally:
        line.clear()


async def cancel_at(signals: AsyncIterator[int], work: trio.CancelScope) -> None:
    """Cut the work short at the first signal; the ones that follow change nothing."""
    async for _ in signals:
        work.cancel()
