"""The codec: registered messages to bytes and back; it knows nothing of sockets and files."""

from __future__ import annotations

from typing import Any, NoReturn

from trioakt.codec.depth import check_bytes, check_plain
from trioakt.codec.faults import Fault, at, describe, shorten, unexpected
from trioakt.codec.forms import Forms
from trioakt.codec.packing import check_packable, pack, pack_wide, unpack
from trioakt.codec.refs import RefCodec
from trioakt.errors import CodecError
from trioakt.lowlevel import registration


def _name(message: object) -> str:
    info = registration(type(message))
    return info.name if info else type(message).__qualname__


def _error(name: str, fault: Fault) -> CodecError:
    text = ": ".join(part for part in (name, fault.path, fault.text) if part)
    return CodecError(text, name, fault.path)


class Codec:
    """Turns registered messages into bytes that describe themselves, and such bytes into messages.

    It is immutable and cheap to share; any thread may use it. Functions for a type are made when it is first met.

    Args:
        refs: How refs and addresses travel; without it they are refused.
        max_size: Bytes of one message, at most.
        max_depth: How deep lists and maps may nest in the bytes; a message itself takes two.

    Raises:
        ValueError: A limit is below 2.
    """

    def __init__(self, *, refs: RefCodec | None = None, max_size: int = 16 * 2**20, max_depth: int = 64) -> None:
        if max_size < 2 or max_depth < 2:
            raise ValueError(f"max_size and max_depth are at least 2, got {max_size} and {max_depth}")
        self._max_size = max_size
        self._max_depth = max_depth
        self._quick = Forms(refs, careful=False).messages
        self._careful = Forms(refs, careful=True).messages

    def encode(self, message: object) -> bytes:
        """Return the bytes of a message: its type name, version and fields.

        Raises:
            CodecError: It is not registered, a value cannot travel, or the bytes pass a limit.
        """
        try:
            name, version, body = self._quick.writer(message.__class__)
            plain = name, version, body.write(message)
            try:
                data = pack(plain)
            except OverflowError:
                data = pack_wide(plain)
            if body.depth is None or body.depth >= self._max_depth:
                check_plain(plain, data, self._max_depth)
        except Exception as error:
            self._explain_write(message, error)
        if len(data) > self._max_size:
            raise CodecError(f"{_name(message)}: {len(data)} bytes are more than {self._max_size}", _name(message))
        return data

    def decode(self, data: bytes | memoryview) -> Any:
        """Return the message that the bytes describe, in the newest shape known here.

        Raises:
            CodecError: The bytes are malformed or pass a limit, their type is not registered here or is of a newer
                version, or a field does not fit.
        """
        held = data if isinstance(data, bytes) else bytes(memoryview(data))
        try:
            if len(held) > self._max_size:
                raise ValueError(f"{len(held)} bytes are more than {self._max_size}")
            check_bytes(held, self._max_depth)
            name, version, fields = plain = unpack(held)
        except Exception as error:
            raise CodecError(f"this is not a message: {describe(error)}") from error
        try:
            body = self._quick.reader(name, version)
            if body.depth is None or body.depth >= self._max_depth:
                check_plain(plain, held, self._max_depth)
            if fields.__class__ is not dict:
                raise unexpected("a dict of fields", fields)
            return body.read(fields, None)
        except Exception as error:
            self._explain_read(held, error)

    def _explain_write(self, message: object, error: Exception) -> NoReturn:
        """Write once more with care, to say where it fails."""
        fault = Fault(describe(error))
        try:
            with at(""):
                _, _, fields = self._careful.write(message)
                for name, value in fields.items():
                    with at(f".{name}"):
                        check_packable(value)
        except Fault as found:
            fault = found
        raise _error(_name(message), fault) from fault.__cause__ or error

    def _explain_read(self, data: bytes, error: Exception) -> NoReturn:
        """Read once more with care, to say where it fails; an upcaster may have changed what was unpacked."""
        name, version, body = unpack(data)
        fault = Fault(describe(error))
        try:
            with at(""):
                self._careful.read(name, version, body)
        except Fault as found:
            fault = found
        raise _error(shorten(name) if isinstance(name, str) else "", fault) from fault.__cause__ or error
