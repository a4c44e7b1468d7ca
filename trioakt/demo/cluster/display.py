"""What is shown while it runs: how things stand, and what has happened."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Sequence
from typing import TextIO

import attrs

from trioakt.demo.cluster.actors import Account, Alarm, Overview
from trioakt.demo.cluster.feed import ROUNDS, Feed
from trioakt.demo.cluster.processes import NodeProcess

BAR = 30
"""Width of the progress bar."""


class Screen:
    """A few lines that are drawn again and again in their place; no terminal gets the first of them now and then."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.live = stream.isatty()
        self.interval = 0.1 if self.live else 1.0
        """Seconds from one drawing to the next."""
        self._drawn = 0

    def draw(self, lines: Sequence[str]) -> None:
        """Show how things stand."""
        if not self.live:
            self._write(f"{lines[0]}\n")
            return
        width = shutil.get_terminal_size().columns - 1
        self.clear()
        self._write("".join(f"{line[:width]}\n" for line in lines))
        self._drawn = len(lines)

    def note(self, text: str) -> None:
        """Show what has happened, for good."""
        self.clear()
        self._write(f"{text}\n")

    def clear(self) -> None:
        """Leave the place empty for what follows."""
        if self._drawn:
            self._write(f"\x1b[{self._drawn}F\x1b[J")
            self._drawn = 0

    def _write(self, text: str) -> None:
        encoding = self.stream.encoding or "ascii"
        self.stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
        self.stream.flush()


@attrs.define(eq=False)
class Board:
    """What the parent knows of the cluster.

    Attributes:
        nodes: The processes.
        feed: What goes in.
        overview: What the aggregator has said last.
        alarms: How many there were.
        alarm: The last one.
    """

    nodes: Sequence[NodeProcess]
    feed: Feed
    overview: Overview | None = None
    alarms: int = 0
    alarm: Alarm | None = None


def standing(board: Board) -> list[str]:
    """Tell how things stand, a line each."""
    feed = board.feed
    waiting = feed.measured - feed.acknowledged
    bar = "#" * (BAR * feed.acknowledged // max(feed.measured, 1) * feed.rounds // ROUNDS)
    counted = Account() if board.overview is None else board.overview.account
    return [
        f"{feed.acknowledged:,} of {feed.measured:,} readings acknowledged, {waiting:,} wait, {feed.repeats:,} repeats",
        f"[{bar:{BAR}}] measurement {feed.rounds} of {ROUNDS}",
        *(node_line(node, board) for node in board.nodes),
        f"aggregator: {counted.readings:,} readings, {counted.kilobytes:,} kB",
        f"alarms: {board.alarms:,}" + ("" if board.alarm is None else f", the last: {alarm_text(board.alarm)}"),
    ]


def node_line(node: NodeProcess, board: Board) -> str:
    """Tell about one node."""
    if not node.is_running:
        return f"{node.name}  pid {node.pid}  dead"
    has = f"{devices_of(board)[node.name]} devices"
    if board.overview is not None and board.overview.node == node.name:
        has += " and the aggregator"
    return f"{node.name}  pid {node.pid}  {has}"


def devices_of(board: Board) -> Counter[str]:
    """Return how many devices have answered from each node."""
    return Counter(line.node for line in board.feed.lines.values())


def alarm_text(alarm: Alarm) -> str:
    """Tell about one alarm."""
    verb = "rose" if alarm.now > alarm.before else "fell"
    return f"{alarm.device} {verb} from {alarm.before:,} to {alarm.now:,} kB"
