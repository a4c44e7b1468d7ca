"""What can be said about a node when it is made; plain checked data that loads no wire."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import attrs

from trioakt.remote.compression import Compression, open_compressor

if TYPE_CHECKING:
    from trioakt.remote.transport import Transport


def _bytes(value: bytes | str | None) -> bytes | None:
    return value.encode() if isinstance(value, str) else value


def _url(instance: object, attribute: attrs.Attribute[Any], value: str) -> None:
    if "://" not in value:
        raise ValueError(f"{attribute.name} is an address like tcp://127.0.0.1:0, got {value!r}")


def _not_everywhere(instance: Remote, attribute: attrs.Attribute[Any], value: str | None) -> None:
    host = instance.listen.partition("://")[2].rpartition(":")[0]
    if value is None and host in ("0.0.0.0", "[::]", "*"):
        raise ValueError(f"listen={instance.listen!r} says nowhere to go: give advertise='host:port' too")


def _fits(instance: Remote, attribute: attrs.Attribute[Any], value: Tls | None) -> None:
    if (value is not None) != instance.listen.startswith("tls+"):
        raise ValueError(f"tls=Tls(...) and listen='tls+tcp://...' go together, got listen={instance.listen!r}")


def _not_empty(instance: object, attribute: attrs.Attribute[Any], value: bytes | None) -> None:
    if value is not None and not value:
        raise ValueError("an empty cookie keeps nobody out: give none, or a long one")


def _installed(instance: object, attribute: attrs.Attribute[Any], value: Compression | None) -> None:
    if value not in (None, *get_args(Compression)):
        raise ValueError(f"compression is one of {', '.join(get_args(Compression))}, or None, got {value!r}")
    if value is not None:
        open_compressor(value)


def _two_heartbeats(instance: Remote, attribute: attrs.Attribute[Any], value: float) -> None:
    if value < 2 * instance.heartbeat:
        raise ValueError(f"suspicion must be at least two heartbeats, got {value!r}")


@attrs.frozen
class Tls:
    """Certificates for ``tls+tcp://``; both ends show theirs, and each name must be that of its node.

    Attributes:
        certificate: PEM file of this node's certificate; its common name is the node's name.
        key: PEM file of its private key.
        ca: PEM file of the authority that has signed those of all nodes.
    """

    certificate: Path = attrs.field(converter=Path)
    key: Path = attrs.field(converter=Path)
    ca: Path = attrs.field(converter=Path)


@attrs.frozen
class Remote:
    """Let the actors of this system be reached from others; give it as ``ActorSystem(remote=Remote(...))``.

    Attributes:
        listen: Where to listen: ``tcp://host:port`` or ``tls+tcp://host:port``; port 0 is any free one.
        node: This node's name; by default the system's.
        advertise: ``host:port`` where others reach it, when that is not where it listens.
        cookie: A secret that all nodes share; who does not hold it gets nothing.
        tls: Certificates, for ``tls+tcp://``.
        kinds: Actor classes that other nodes may spawn here.
        heartbeat: Seconds of silence after which a sign of life is sent.
        suspicion: Seconds of silence after which another node is given up.
        max_frame: Bytes, at most, of a frame, and so of a message.
        compression: ``"zstd"`` (smaller) or ``"lz4"`` (faster) compresses what goes to and comes from those nodes that
            have the same; it needs the extra ``compression``.
        transport: What carries the frames instead of sockets, for tests: one of a ``MemoryNetwork``.
        entropy: Makes so many random bytes, for ids and challenges; a test that is to be repeated gives its own.
    """

    listen: str = attrs.field(default="tcp://127.0.0.1:0", validator=_url)
    node: str | None = attrs.field(default=None, kw_only=True)
    advertise: str | None = attrs.field(default=None, kw_only=True, validator=_not_everywhere)
    cookie: bytes | None = attrs.field(default=None, kw_only=True, converter=_bytes, validator=_not_empty, repr=False)
    tls: Tls | None = attrs.field(default=None, kw_only=True, validator=_fits)
    kinds: tuple[type[Any], ...] = attrs.field(default=(), kw_only=True, converter=tuple[type[Any], ...])
    heartbeat: float = attrs.field(default=0.5, kw_only=True, validator=attrs.validators.gt(0))
    suspicion: float = attrs.field(default=2.0, kw_only=True, validator=_two_heartbeats)
    max_frame: int = attrs.field(default=16 * 2**20, kw_only=True, validator=attrs.validators.ge(65536))
    compression: Compression | None = attrs.field(default=None, kw_only=True, validator=_installed)
    transport: Transport | None = attrs.field(default=None, kw_only=True)
    entropy: Callable[[int], bytes] = attrs.field(default=secrets.token_bytes, kw_only=True, repr=False)
