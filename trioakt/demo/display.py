"""What the census shows: a line of progress while it runs, and at the end a table, as text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import TextIO

from trioakt import ActorSystem
from trioakt.demo.actors import Census
from trioakt.demo.counting import Figures, total

TOP = 15
"""Packages in the table, the largest first."""
FAILURES = 20
"""Failures listed one by one."""
BAR = 30
"""Width of the progress bar."""


class ProgressLine:
    """One line that is drawn again and again on a terminal; elsewhere a new line now and then."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.live = stream.isatty()
        self.interval = 0.1 if self.live else 1.0
        """Seconds from one drawing to the next."""

    def draw(self, census: Census) -> None:
        """Show how far the census is."""
        done = total(census.packages.values()).files + len(census.failures)
        text = f"{done:,} of {census.found:,} files"
        if self.live:
            filled = BAR * done // max(census.found, done, 1)
            self._write(f"\r[{'#' * filled:{BAR}}] {text} ")
        else:
            self._write(f"{text}\n")

    def clear(self) -> None:
        """Leave the line empty for what follows."""
        if self.live:
            self._write("\r\x1b[K")

    def _write(self, text: str) -> None:
        self.stream.write(text)
        self.stream.flush()


def report(root: Path, census: Census, system: ActorSystem, *, interrupted: bool) -> str:
    """Put together what is shown at the end."""
    parts = [f"Census of {root}", table(census)]
    if census.failures:
        parts.append(troubles(census))
    parts.append(summary(system))
    if interrupted:
        parts.append("Interrupted: the figures are of a part only.")
    return "\n\n".join(parts)


def table(census: Census) -> str:
    """Draw the packages with the most lines, and the totals."""
    ranking = sorted(census.packages.items(), key=lambda item: item[1].lines, reverse=True)
    top, rest = ranking[:TOP], [figures for _, figures in ranking[TOP:]]
    rows = [(_package_name(directory), figures) for directory, figures in top]
    if rest:
        rows.append((f"{len(rest):,} more", total(rest)))
    last = (f"total of {len(ranking):,}", total(census.packages.values()))
    heading = ["package", *(field.replace("_", " ") for field in Figures._fields)]
    cells = [heading, *([name, *(f"{figure:,}" for figure in figures)] for name, figures in [*rows, last])]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [_line(row, widths) for row in cells]
    rule = "-" * len(lines[0])
    return "\n".join([lines[0], rule, *lines[1:-1], rule, lines[-1]])


def troubles(census: Census) -> str:
    """List what could not be counted, a line each."""
    lines = [f"  {failure}" for failure in sorted(census.failures)]
    if len(lines) > FAILURES:
        lines[FAILURES:] = [f"  and {len(lines) - FAILURES:,} more"]
    return "\n".join(["Not counted:", *lines])


def summary(system: ActorSystem) -> str:
    """Tell what the actor system went through."""
    figures = system.statistics()
    return (
        f"failures {figures.failures:,} | restarts {figures.restarts:,} | dead letters {figures.dead_letters:,} | "
        f"messages {figures.handled:,} | actors {figures.spawned:,} | seconds {figures.uptime:.1f}"
    )


def _package_name(directory: PurePath) -> str:
    return ".".join(directory.parts) or "(top level)"


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    name, *figures = cells
    return "  ".join([name.ljust(widths[0]), *map(str.rjust, figures, widths[1:])])
