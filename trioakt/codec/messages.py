"""Registered messages as ``[type name, version, fields]``, older versions upcast; it knows nothing of field types."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from trioakt.codec.faults import Fault, shorten, unexpected
from trioakt.codec.form import Form, Read
from trioakt.lowlevel import registration, registry


class Messages:
    """Finds the functions for a message by its class, and for bytes by type name and version.

    ``readers`` and ``writers`` hold what has been found; what is registered later empties the readers.
    """

    def __init__(self, body_of: Callable[[Any], Form]) -> None:
        self._body_of = body_of
        self._revision = registry.revision
        self.writers: dict[type, Callable[[Any], tuple[str, int, Any]]] = {}
        self.readers: dict[tuple[str, int], Read] = {}

    def write(self, message: Any) -> tuple[str, int, Any]:
        """Write a message of any registered type."""
        writer = self.writers.get(message.__class__) or self._find_writer(message.__class__)
        return writer(message)

    def read(self, name: Any, version: Any, body: Any) -> Any:
        """Read a message; an older version is upcast first."""
        revision = registry.revision
        if revision != self._revision:
            self.readers = {}
            self._revision = revision
        reader = self.readers.get((name, version)) or self._find_reader(name, version)
        if body.__class__ is dict:
            return reader(body, None)
        raise unexpected("a dict of fields", body)

    def _find_writer(self, cls: type) -> Callable[[Any], tuple[str, int, Any]]:
        info = registration(cls)
        if info is None:
            raise Fault(f"{cls.__qualname__} is not a registered message: it needs @message")
        name, version, write = info.name, info.version, self._body_of(cls).write

        def writer(message: Any) -> tuple[str, int, Any]:
            return name, version, write(message)

        self.writers[cls] = writer
        return writer

    def _find_reader(self, name: Any, version: Any) -> Read:
        readers = self.readers  # taken before the registry is read: another thread may put a new dict in its place
        if not isinstance(name, str) or version.__class__ is not int:
            raise Fault("this is not a message")
        cls = registry.newest(name)
        info = None if cls is None else registration(cls)
        if info is None:
            raise Fault(f"no message type {shorten(name)!r} is registered here")
        readers[name, version] = reader = upcasting(name, version, info.version, self._body_of(cls).read)
        return reader


def upcasting(name: str, version: int, newest: int, read: Read) -> Read:
    """Let a body of an older version go through its upcasters before it is read."""
    if version == newest:
        return read
    if not 1 <= version < newest:
        raise Fault(f"version {version} is not known here, only up to {newest}")
    upcasters = [(each, registry.upcaster(name, each)) for each in range(version, newest)]

    def read_older(body: Any, _: Any = None) -> Any:
        for each, upcaster in upcasters:
            if upcaster is None:
                raise Fault(f"there is no upcaster from version {each}")
            body = upcaster(body)
            if body.__class__ is not dict:
                raise Fault(f"the upcaster from version {each} returned {type(body).__name__}, not a dict")
        return read(body, None)

    return read_older
