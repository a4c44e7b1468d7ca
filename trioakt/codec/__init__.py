"""Registered messages as bytes: for the wire, for journals and for queues that outlive a process."""

try:
    from trioakt.codec.codec import Codec
except ModuleNotFoundError as missing:
    text = f"trioakt.codec (and persistence, delivery) needs {missing.name}: pip install 'trioakt[persistence]'"
    raise ModuleNotFoundError(text, name=missing.name) from missing
from trioakt.codec.fingerprints import fingerprint
from trioakt.codec.refs import RefCodec

__all__ = ["Codec", "RefCodec", "fingerprint"]
