"""Logs: what happens in a system, and what its actors log, as records of loguru; the one file that knows loguru.

It adds no sink and formats nothing: where the lines go and how they look is for the application to say.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import attrs
import trio
from loguru import logger

from trioakt.lowlevel import Event, Failure
from trioakt.observability.correlation import ids
from trioakt.observability.lines import clipped, plain
from trioakt.observability.stories import story_of

if TYPE_CHECKING:
    from loguru import Record

    from trioakt.lowlevel import CoreSystem

_GRACE = 5.0
"""Seconds (real ones) that the lines which wait have at the end of the block."""

_HEARD = logging.getLogger("trioakt")
"""Where the toolkit and ``ctx.log`` log."""

_STANDARD = {*vars(logging.makeLogRecord({})), "message", "asctime"}


@attrs.frozen
class _Line:
    """One record on its way to loguru."""

    level: int
    text: str
    at: float
    name: str
    function: str = ""
    number: int = 0
    extra: dict[str, object] = attrs.field(factory=dict[str, object])

    def stamp(self, record: Record) -> None:
        """Say in a record of loguru where and when this was really logged."""
        record["time"] = type(record["time"]).fromtimestamp(self.at, record["time"].tzinfo)
        record["name"] = self.name
        record["function"] = self.function
        record["line"] = self.number
        record["extra"].update(self.extra)


class LogWriter:
    """Hands lines to loguru in a thread of its own, so that no sink holds up the event loop."""

    def __init__(self, buffer: int) -> None:
        self._dropped = 0
        self._failed = 0
        self._told = 0
        self._buffer = buffer
        self._dropping = threading.RLock()  # who is collected as garbage may log too, in the middle of this
        self._lines: SimpleQueue[_Line | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._write, name="trioakt logs", daemon=True)

    @property
    def lost(self) -> int:
        """Lines that were not written, because too many waited or a sink had failed; the log tells of them too."""
        return self._dropped + self._failed

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def put(self, line: _Line) -> None:
        """Take a line; from any thread, never waiting."""
        if self._lines.qsize() < self._buffer:
            self._lines.put(line)
        else:
            with self._dropping:
                self._dropped += 1

    def close(self) -> None:
        """Write what waits, and end; it blocks for at most the grace."""
        self._lines.put(None)
        self._thread.join(_GRACE)
        if self._thread.is_alive():
            _HEARD.error("a sink of loguru hangs: %d log lines are lost", self._lines.qsize())

    def _write(self) -> None:
        while (line := self._lines.get()) is not None:
            self._hand_over(line)
            if self.lost > self._told:
                self._hand_over(self._loss(line.at))

    def _loss(self, at: float) -> _Line:
        told, self._told = self._told, self.lost
        return _Line(logging.WARNING, f"log lines lost: {self._told - told}", at, __name__)

    def _hand_over(self, line: _Line) -> None:
        name = logging.getLevelName(line.level)
        try:
            logger.patch(line.stamp).log(name if name in _LEVELS else line.level, line.text)
        except Exception:  # a sink that was added with catch=False; there is nobody to tell it to but the log
            self._failed += 1


_LEVELS = {"DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"}
"""The levels that loguru and the standard library both know by these names."""


class _Bridge(logging.Handler):
    """Turns records of the standard library, and events of one system, into lines."""

    def __init__(self, system: CoreSystem, level: int | str, writer: LogWriter) -> None:
        super().__init__(level)
        self._system = system.name
        self._writer = writer

    def emit(self, record: logging.LogRecord) -> None:
        """Take a record; what the values in it do harms nobody."""
        try:
            text = record.getMessage()
        except Exception as trouble:
            text = f"{plain(record.msg)} <its arguments cannot be shown: {type(trouble).__name__}>"
        extra = {name: plain(value) for name, value in vars(record).items() if name not in _STANDARD}
        failure = _failure_in(record)
        if failure is not None:
            extra["failure"] = failure
        self._put(record.levelno, text, record.created, record.name, record.funcName, record.lineno, extra)

    def hear(self, event: Event) -> None:
        """Take an event."""
        story = story_of(event, self.level)
        if story is not None:
            extra = {**story.extra, "system": self._system}
            self._put(story.level, story.text, time.time(), "trioakt.events", "", 0, extra)

    def _put(
        self, level: int, text: str, at: float, name: str, function: str, number: int, extra: dict[str, object]
    ) -> None:
        self._writer.put(_Line(level, clipped(text), at, name, function, number, {**ids(), **extra}))


def _failure_in(record: logging.LogRecord) -> Failure | None:
    """Return the exception that a record tells of, as a value."""
    error = record.exc_info and record.exc_info[1]
    if isinstance(error, BaseException):
        return Failure.of(error)
    given: Any = record.args if isinstance(record.args, tuple) else ()
    return next((each for each in given if isinstance(each, Failure)), None)


class _Place:
    """The place at the standard library's logger: of several blocks that are open, the oldest has it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: list[_Bridge] = []
        self._found = (logging.NOTSET, True)

    def take(self, bridge: _Bridge) -> None:
        with self._lock:
            if not self._open:
                self._found = (_HEARD.level, _HEARD.propagate)
            self._open.append(bridge)
            self._settle()

    def leave(self, bridge: _Bridge) -> None:
        with self._lock:
            self._open.remove(bridge)
            _HEARD.removeHandler(bridge)
            self._settle()

    def _settle(self) -> None:
        if self._open:
            _HEARD.addHandler(self._open[0])
            _HEARD.setLevel(self._open[0].level)
            _HEARD.propagate = False
        else:
            level, _HEARD.propagate = self._found
            _HEARD.setLevel(level)


_place = _Place()


@asynccontextmanager
async def open_logging(
    system: CoreSystem, *, level: int | str = "INFO", buffer: int = 10_000
) -> AsyncGenerator[LogWriter]:
    """Send what happens in a system, and what its actors log, to loguru while the block lasts.

    Open it around the system, so that it also tells of the end: ``async with open_logging(system), system:``. It adds
    no sink. For the time of the block the logger ``"trioakt"`` of the standard library logs to loguru and nowhere
    else; after it, all is as it was. Where several blocks are open, that logger is the oldest one's.

    No sink holds up the event loop: a thread of the block's own writes. At the end, cancelled or not, what waits is
    still written, for at most 5 s.

    Args:
        system: Whose events are told; it may be entered already.
        level: From which level on: ``"DEBUG"``, ``"INFO"``, ``"WARNING"``, ``"ERROR"``, ``"CRITICAL"``, or a number.
        buffer: Lines that may wait for a slow sink; beyond it they are lost, and the log says how many.

    Raises:
        ValueError: The level is unknown, or the buffer holds nothing.
    """
    if buffer < 1:
        raise ValueError(f"a buffer holds at least 1 line, got {buffer}")
    writer = LogWriter(buffer)
    bridge = _Bridge(system, level, writer)
    await trio.lowlevel.checkpoint()
    writer.start()
    _place.take(bridge)
    try:
        with system.events.listen(bridge.hear, Event):
            yield writer
    finally:
        _place.leave(bridge)
        with trio.CancelScope(shield=True):  # the thread is waited for at most 5 s
            await trio.to_thread.run_sync(writer.close)
