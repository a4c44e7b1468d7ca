"""A failure as a frozen value that is safe to keep, print and send; it never lets user code raise while it is made."""

from __future__ import annotations

import traceback

import attrs

_TEXT_LIMIT = 2_000
_TRACEBACK_LIMIT = 20_000
_FRAMES = 50


def _clip(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    return f"{text[:limit]}… ({len(text) - limit} characters more)"


def _text_of(exception: BaseException) -> str:
    try:
        return str(exception)
    except Exception as trouble:  # the exception's own __str__ or __repr__ is user code
        return f"<unprintable {type(exception).__name__}: its text raised {type(trouble).__name__}>"


def _traceback_of(exception: BaseException) -> str:
    try:
        summary = traceback.TracebackException(
            type(exception), exception, exception.__traceback__, limit=-_FRAMES, compact=True
        )
        return "".join(summary.format())
    except Exception as trouble:  # notes and causes are user objects too
        return f"<no traceback: formatting it raised {type(trouble).__name__}>"


@attrs.frozen
class Failure:
    """What went wrong, as text that is safe to keep.

    Attributes:
        type_name: Qualified name of the exception's class.
        text: What the exception says, at most 2,000 characters.
        traceback_text: The formatted traceback, at most 20,000 characters.
        exception: The exception itself; ``None`` when the failure came from another node.
    """

    type_name: str
    text: str
    traceback_text: str = attrs.field(repr=False)
    exception: BaseException | None = attrs.field(default=None, repr=False, eq=False)

    @classmethod
    def of(cls, exception: BaseException) -> Failure:
        """Describe an exception, whatever its ``__str__`` and ``__repr__`` do."""
        kind = type(exception)
        name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
        return cls(
            type_name=name,
            text=_clip(_text_of(exception), _TEXT_LIMIT),
            traceback_text=_clip(_traceback_of(exception), _TRACEBACK_LIMIT),
            exception=exception,
        )

    def __str__(self) -> str:
        return f"{self.type_name}: {self.text}" if self.text else self.type_name
