"""A log record as one line of JSON, or as text for people; whatever is in it, it cannot break out of its line.

The functions are formats for sinks of loguru, but they know only the dict that loguru calls a record.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from datetime import UTC
from typing import Any, cast

from trioakt.lowlevel import Failure

MOST = 8_000
"""Characters of one text in a line, before it is clipped."""

_KNOWN = ("event", "system", "actor", "correlation_id", "trace_id", "span_id", "failure")
"""What stands in a line of JSON under its own name; the rest is under ``extra``."""

_DEEPEST = 4
_WIDEST = 100
_LARGEST = 2**63

_INDENT = "\n    "
_BREAKING = [*range(32), *range(127, 160), 0x2028, 0x2029]
_TURNING = [0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)]  # they make text read differently
_VISIBLE = {code: f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" for code in (*_BREAKING, *_TURNING)}
_VISIBLE[ord("\t")] = "\t"
_VISIBLE[ord("\n")] = _INDENT


def json_line(record: Mapping[str, Any]) -> str:
    """Format a record as one line of JSON: ``logger.add(sys.stderr, format=json_line)``.

    It has ``time`` (UTC), ``level``, ``message``, ``logger``; where they are known ``actor``, ``system``,
    ``correlation_id``, ``trace_id``, ``span_id`` and ``event``; of an exception ``failure``, with ``type``, ``text``
    and ``traceback``; and all else that was bound, under ``extra``. It is ASCII, and without line breaks whatever the
    values hold.
    """
    cast("dict[str, Any]", record)["trioakt_line"] = json.dumps(_fields(record), check_circular=False)
    return "{trioakt_line}\n"


def text_line(record: Mapping[str, Any]) -> str:
    """Format a record as text for people: ``logger.add(sys.stderr, format=text_line)``.

    It has time, level, correlation id, actor, message, and as ``name=value`` what else was bound, then trace and span.
    What does not fit in a line follows indented, the traceback of an exception too; control characters are shown, never
    sent to a terminal.
    """
    fields = _fields(record)
    time = record["time"].isoformat(sep=" ", timespec="milliseconds")
    actor, correlation, failure = (fields.get(name) for name in ("actor", "correlation_id", "failure"))
    text = str(fields["message"])
    if actor is not None and str(actor) not in text:
        text = f"{actor}: {text}"
    if correlation is not None:
        text = f"[{correlation}] {text}"
    traced = {name: fields[name] for name in ("trace_id", "span_id") if name in fields}
    others = cast("dict[str, object]", fields.get("extra", {})) | traced
    for name, value in others.items():
        text += f" {name}={value}"
    if isinstance(failure, dict):
        text += f"\n{cast('dict[str, str]', failure)['traceback'].rstrip()}"
    cast("dict[str, Any]", record)["trioakt_line"] = _visible(text)
    cast("dict[str, Any]", record)["trioakt_time"] = time
    return "{trioakt_time} <level>{level: <8}</level> {trioakt_line}\n"


def _fields(record: Mapping[str, Any]) -> dict[str, object]:
    extra = dict(record["extra"])
    error = record["exception"] and record["exception"][1]
    if isinstance(error, BaseException):
        extra["failure"] = Failure.of(error)
    fields: dict[str, object] = {
        "time": record["time"].astimezone(UTC).isoformat(timespec="microseconds"),
        "level": record["level"].name,
        "message": clipped(record["message"]),
        "logger": plain(record["name"]),
    }
    fields |= {name: plain(extra.pop(name)) for name in _KNOWN if extra.get(name) is not None}
    if extra:
        fields["extra"] = plain(extra)
    return fields


def plain(value: object, depth: int = _DEEPEST) -> object:
    """Return a value that JSON can hold and whose size is bounded; what it does not know is shown by its ``repr``."""
    if value is None or value is True or value is False:
        return value
    if isinstance(value, Failure):
        return {"type": value.type_name, "text": value.text, "traceback": value.traceback_text}
    try:
        return _plain(value, depth)
    except Exception as trouble:  # a value is user code: its repr, its length, its items
        return f"<unprintable {type(value).__name__}: {type(trouble).__name__}>"


def _plain(value: object, depth: int) -> object:
    if isinstance(value, str):
        return clipped(str.__str__(value))
    if isinstance(value, int) and abs(value) < _LARGEST:
        return int(value)
    if isinstance(value, float) and math.isfinite(value):
        return float(value)
    if depth and isinstance(value, Mapping):
        items = cast("Mapping[object, object]", value).items()
        return {clipped(str(name), 200): plain(each, depth - 1) for name, each in _first(items)}
    if depth and isinstance(value, list | tuple | set | frozenset):
        return [plain(each, depth - 1) for each in _first(cast("Iterable[object]", value))]
    return clipped(repr(value))


def _first(items: Iterable[Any]) -> list[Any]:
    return [each for each, _ in zip(items, range(_WIDEST), strict=False)]


def clipped(text: str, limit: int = MOST) -> str:
    """Cut a text that is too long, and say so."""
    return text if len(text) <= limit else f"{text[:limit]}… ({len(text) - limit} characters more)"


def _visible(text: str) -> str:
    return text.translate(_VISIBLE).encode("utf-8", "backslashreplace").decode("utf-8")
