"""Registered messages as bytes: for the wire, for journals and for queues that outlive a process."""

from trioakt.codec.codec import Codec
from trioakt.codec.fingerprints import fingerprint
from trioakt.codec.refs import RefCodec

__all__ = ["Codec", "RefCodec", "fingerprint"]
