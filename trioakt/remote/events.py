"""Events on their way to another node: each as a dict of its fields, with failures as text."""

from __future__ import annotations

from typing import Any

import attrs

from trioakt.errors import CodecError
from trioakt.lowlevel import DeadLetterReason, Event, Failure, TerminationCause, message


@message(name="trioakt.failure")
class FailureText:
    """A failure without its exception."""

    type_name: str
    text: str
    traceback_text: str


@message(name="trioakt.cause")
class CauseText:
    """Why an actor has ended."""

    name: str
    failure: FailureText | None


@message(name="trioakt.reason")
class ReasonText:
    """Why a message was not handled."""

    value: str


def event_name(kind: type[Any]) -> str:
    """Return the name of an event class between nodes."""
    module = "trioakt" if kind.__module__.partition(".")[0] == "trioakt" else kind.__module__
    return f"{module}.{kind.__qualname__}"


def find_event(name: str) -> type[Event]:
    """Return the event class with this name.

    Raises:
        CodecError: No such class is known here.
    """
    waiting: list[type[Event]] = [Event]
    while waiting:
        kind = waiting.pop()
        if event_name(kind) == name and "__attrs_attrs__" in vars(kind):  # not what attrs has made it of
            return kind
        waiting.extend(kind.__subclasses__())
    raise CodecError(f"no class of events {name[:200]!r} is known here", name[:200])


def write_event(event: Event) -> dict[str, Any]:
    """Return an event as what the codec takes, if it takes its fields."""
    return {each.alias: _write(getattr(event, each.name)) for each in attrs.fields(type(event)) if each.init}


def read_event(kind: type[Event], fields: Any) -> Event:
    """Return the event.

    Raises:
        CodecError: The fields are not those of this class.
    """
    try:
        return kind(**{name: _read(value) for name, value in fields.items()})
    except Exception as error:  # another release of the class, or a bad node
        raise CodecError(f"these are not the fields of {event_name(kind)}: {error}", event_name(kind)) from error


def _write(value: Any) -> Any:
    match value:
        case Failure():
            return _text_of(value)
        case TerminationCause():
            return CauseText(value.name, None if value.failure is None else _text_of(value.failure))
        case DeadLetterReason():
            return ReasonText(value.value)
        case _:
            return value


def _text_of(failure: Failure) -> FailureText:
    return FailureText(failure.type_name, failure.text, failure.traceback_text)


def _read(value: Any) -> Any:
    match value:
        case FailureText():
            return Failure(value.type_name, value.text, value.traceback_text)
        case CauseText():
            return TerminationCause(value.name, _read(value.failure))
        case ReasonText():
            return DeadLetterReason(value.value)
        case _:
            return value
