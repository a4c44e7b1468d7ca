"""Forms of fields that are declared with a class of the user's: its own objects, or registered ones of subclasses."""

from __future__ import annotations

from typing import Any

from trioakt.codec.faults import unexpected
from trioakt.codec.form import Form
from trioakt.codec.messages import Messages, upcasting
from trioakt.lowlevel import registration


def object_form(cls: type, body: Form, messages: Messages) -> Form:
    """Return the form of a class with fields.

    An object of this very class is written as the dict of its fields, a registered one from version 2 on with name and
    version before it, so that a dict alone is always version 1.
    """
    info = registration(cls)
    name, version = (info.name, info.version) if info else (cls.__name__, 1)
    write_body = body.write
    read_dict = upcasting(name, 1, version, body.read)

    def write(value: Any) -> Any:
        if value.__class__ is not cls:
            return _write_other(cls, value, messages)
        return write_body(value) if version == 1 else (name, version, write_body(value))

    def read(value: Any, _: Any = None) -> Any:
        if value.__class__ is dict:
            return read_dict(value, None)
        if value.__class__ is list and len(value) == 3 and info is not None and value[0] == name:
            _, written, fields = value
            if fields.__class__ is dict:
                return upcasting(name, written, version, body.read)(fields, None)
            raise unexpected("a dict of fields", fields)
        return _read_other(cls, value, messages)

    return Form(write, read, cls, name, depth=None)


def interface_form(cls: type, messages: Messages) -> Form:
    """Return the form of a class without fields of its own: registered messages that are instances of it."""
    return Form(
        lambda value: _write_other(cls, value, messages),
        lambda value, _: _read_other(cls, value, messages),
        cls,
        cls.__name__,
        depth=None,
    )


def _write_other(cls: type, value: Any, messages: Messages) -> Any:
    if isinstance(value, cls):
        return messages.write(value)
    raise unexpected(cls.__name__, value)


def _read_other(cls: type, value: Any, messages: Messages) -> Any:
    found = messages.read(*value) if value.__class__ is list and len(value) == 3 else value
    if isinstance(found, cls):
        return found
    raise unexpected(cls.__name__, found)
