"""Registered messages as ``[type name, version, fields]``, older versions upcast; it knows nothing of field types."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from trioakt.codec.faults import Fault, shorten, unexpected
from trioakt.codec.form import Form, Read
from trioakt.lowlevel import registration, registry


class Messages:
    """Finds the form of a message's fields by its class, and for bytes by type name and version.

    What has been found is kept: ``writers`` for good, ``readers`` until something else is registered.
    """

    def __init__(self, body_of: Callable[[Any], Form]) -> None:
        self._body_of = body_of
        self._revision = registry.revision
        self._writers: dict[type, tuple[str, int, Form]] = {}
        self._readers: dict[tuple[str, int], Form] = {}

    def writer(self, cls: type) -> tuple[str, int, Form]:
        """Return type name, version and the form of the fields of a message class.

        Raises:
            Fault: It is not registered, or a field is of a type that cannot travel.
        """
        return self._writers.get(cls) or self._find_writer(cls)

    def reader(self, name: str, version: int) -> Form:
        """Return the form that reads such fields; those of an older version are upcast first.

        Raises:
            Fault: No such message is registered, or only an older one.
        """
        revision = registry.revision
        if revision != self._revision:
            self._readers = {}
            self._revision = revision
        return self._readers.get((name, version)) or self._find_reader(name, version)

    def write(self, message: Any) -> tuple[str, int, Any]:
        """Write a message of any registered type."""
        name, version, body = self.writer(message.__class__)
        return name, version, body.write(message)

    def read(self, name: Any, version: Any, fields: Any) -> Any:
        """Read a message of any registered type."""
        body = self.reader(name, version)
        if fields.__class__ is dict:
            return body.read(fields, None)
        raise unexpected("a dict of fields", fields)

    def _find_writer(self, cls: type) -> tuple[str, int, Form]:
        info = registration(cls)
        if info is None:
            raise Fault(f"{cls.__qualname__} is not a registered message: it needs @message")
        found = self._writers[cls] = info.name, info.version, self._body_of(cls)
        return found

    def _find_reader(self, name: Any, version: Any) -> Form:
        readers = self._readers  # taken before the registry is read: another thread may put a new dict in its place
        if not isinstance(name, str) or version.__class__ is not int:
            raise Fault("this is not a message")
        cls = registry.newest(name)
        info = None if cls is None else registration(cls)
        if info is None:
            raise Fault(f"no message type {shorten(name)!r} is registered here")
        body = self._body_of(cls)
        if version != info.version:
            body = attrs.evolve(body, read=upcasting(name, version, info.version, body.read), depth=None)
        readers[name, version] = body
        return body


def upcasting(name: str, version: int, newest: int, read: Read) -> Read:
    """Let a body of an older version go through its upcasters before it is read."""
    if version == newest:
        return read
    if not 1 <= version < newest:
        raise Fault(f"version {version} is not known here, only up to {newest}")

    def read_older(body: Any, _: Any = None) -> Any:
        for each in range(version, newest):
            upcaster = registry.upcaster(name, each)
            if upcaster is None:
                raise Fault(f"there is no upcaster from version {each}")
            body = upcaster(body)
            if body.__class__ is not dict:
                raise Fault(f"the upcaster from version {each} returned {type(body).__name__}, not a dict")
        return read(body, None)

    return read_older
