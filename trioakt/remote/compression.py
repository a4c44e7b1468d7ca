"""Compression of frames: bytes to fewer bytes and back, within a limit; what does it is loaded when it is asked for."""

from __future__ import annotations

from importlib import import_module
from typing import Any, Literal, Protocol

from trioakt.errors import ProtocolError

Compression = Literal["zstd", "lz4"]

_LEVEL = 1
"""Of zstd: higher ones take twice the time for a few bytes more."""


class Compressor(Protocol):
    """One way to compress; for one session, as it is no more than one thread's."""

    def compress(self, data: bytes) -> bytes:
        """Return it compressed, with its size."""
        ...

    def decompress(self, data: bytes, limit: int) -> bytes:
        """Return it as it was; no more than ``limit`` bytes are ever made of it.

        Raises:
            ProtocolError: It is larger than that, or was not compressed so.
        """
        ...


def open_compressor(name: Compression) -> Compressor:
    """Return what compresses so.

    Raises:
        ModuleNotFoundError: What it takes is not installed.
    """
    try:
        return _COMPRESSORS[name]()
    except ModuleNotFoundError as missing:
        text = f"compression={name!r} needs {missing.name}: pip install 'trioakt[compression]'"
        raise ModuleNotFoundError(text, name=missing.name) from missing


class _Zstd:
    def __init__(self) -> None:
        self._zstd: Any = import_module("zstandard")
        self.compress = self._zstd.ZstdCompressor(level=_LEVEL).compress
        self._decompress = self._zstd.ZstdDecompressor().decompress

    def decompress(self, data: bytes, limit: int) -> bytes:
        try:
            _check_size(self._zstd.frame_content_size(data), limit)
            plain: bytes = self._decompress(data, allow_extra_data=False)
        except self._zstd.ZstdError as error:
            raise ProtocolError(f"this was not compressed with zstd: {error}") from None
        return plain


class _Lz4:
    """Blocks of lz4 with the size in front."""

    def __init__(self) -> None:
        self._lz4: Any = import_module("lz4.block")
        self.compress = self._lz4.compress

    def decompress(self, data: bytes, limit: int) -> bytes:
        _check_size(int.from_bytes(data[:4], "little"), limit)
        try:
            plain: bytes = self._lz4.decompress(data)
        except (self._lz4.LZ4BlockError, ValueError) as error:
            raise ProtocolError(f"this was not compressed with lz4: {error}") from None
        return plain


_COMPRESSORS: dict[str, type[_Zstd | _Lz4]] = {"zstd": _Zstd, "lz4": _Lz4}


def _check_size(size: int, limit: int) -> None:
    """Check the size that compressed data says it will have; what makes more of itself is found out at that size."""
    if not 0 <= size <= limit:
        raise ProtocolError(f"a compressed frame that would have {size} bytes, more than {limit}")
