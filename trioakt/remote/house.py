"""The house: what this node offers to others and understands of them, whoever they are."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.msgpack import Decoder, Encoder

from trioakt.codec import Codec
from trioakt.errors import CodecError, StartError, UnhandledMessageError
from trioakt.lowlevel import Actor, ActorRef, Address, message, registration
from trioakt.patterns.kinds import kind_name
from trioakt.remote.exports import Exports
from trioakt.remote.names import Names
from trioakt.remote.topics import RemoteTopics

if TYPE_CHECKING:
    from trioakt.lowlevel import CoreSystem
    from trioakt.remote.peer import Peer

_encoder, _decoder = Encoder(), Decoder()
_SCALARS = frozenset({type(None), bool, int, float, str, bytes})
_ARRAYS = frozenset({*range(0x90, 0xA0), 0xDC, 0xDD})
"""With what the bytes of a message begin."""
_OVERHEAD = 4096
"""Bytes of a frame beside the message."""


@message(name="trioakt.value")
class Value:
    """A value that is no message by itself: a reply, or plain data."""

    value: Any


class House:
    """The codec of a node, the names of its actors, its topics, and the kinds that others may spawn.

    Args:
        system: This node's.
        incarnation: This node's.
        peer_at: Returns the peer with an address.
        max_frame: Bytes.
    """

    def __init__(self, system: CoreSystem, incarnation: bytes, peer_at: Callable[[str], Peer], max_frame: int) -> None:
        self.system = system
        self.exports = Exports()
        self.names = Names(system, self.exports, incarnation, peer_at)
        self._longest = max_frame - _OVERHEAD
        self._codec = Codec(refs=self.names, max_size=self._longest)
        self._messages: set[type] = set()
        self._kinds: dict[str, Callable[..., Actor]] = {}
        self.topics = RemoteTopics(self, peer_at)
        self.inquiries: dict[str, Callable[[str], Awaitable[str]]] = {}
        """What answers the questions of others, by what they are about."""

    def address(self, text: str) -> Address:
        """Return an address of a node of this system, and maybe of an actor there.

        Raises:
            ValueError: It is none.
        """
        address = Address.parse(text)
        if address.system != self.system.name or not address.node:
            raise ValueError(f"{text!r} is no address of another node of the system {self.system.name!r}")
        return address

    def encode(self, message: Any) -> bytes:
        """Return the bytes of a message or a value.

        Raises:
            CodecError: It cannot travel.
        """
        kind = message.__class__
        if kind in _SCALARS:
            return self._encode_scalar(message)
        if kind not in self._messages:
            if registration(kind) is None:
                return self._codec.encode(Value(message))
            self._messages.add(kind)
        return self._codec.encode(message)

    def _encode_scalar(self, value: Any) -> bytes:
        """Encode what most replies are without the codec: a message is an array, and a scalar is none."""
        try:
            body = _encoder.encode(value)
        except (OverflowError, ValueError):  # an int that is too wide, a text that is none: the codec has its ways
            return self._codec.encode(Value(value))
        return body if len(body) <= self._longest else self._codec.encode(Value(value))

    def decode(self, body: bytes) -> Any:
        """Return the message or the value.

        Raises:
            CodecError: The bytes are none.
        """
        if body and body[0] not in _ARRAYS:
            return self._decode_scalar(body)
        decoded = self._codec.decode(body)
        return decoded.value if isinstance(decoded, Value) else decoded

    def _decode_scalar(self, body: bytes) -> Any:
        try:
            value: Any = _decoder.decode(body)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            raise CodecError(f"this is no value: {error}") from None
        if value.__class__ not in _SCALARS:
            raise CodecError("this is no value")
        return value

    async def inquire(self, about: str, question: str) -> str:
        """Return the answer to a question of another node.

        Raises:
            UnhandledMessageError: Nobody here answers such questions.
        """
        answer = self.inquiries.get(about)
        if answer is None:
            raise UnhandledMessageError(f"{self.system.address} knows nothing about {about[:200]!r}", "")
        return await answer(question)

    def register(self, kind: type[Actor]) -> None:
        """Let other nodes spawn actors of this class here.

        Raises:
            TypeError: It is no actor class.
        """
        if not issubclass(kind, Actor):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"a kind is an actor class, got {kind!r}")
        self._kinds[kind_name(kind)] = kind

    async def spawn(self, kind: str, name: str, body: bytes) -> ActorRef[Any]:
        """Spawn an actor of a registered kind at the top of this node, as another node wishes.

        Raises:
            StartError: The kind is not registered, or as ``spawn``.
        """
        factory = self._kinds.get(kind)
        if factory is None:
            raise StartError(f"{self.system.address} has registered no kind {kind[:200]!r}", "")
        try:
            return await self.system.spawn(factory, *self.decode(body), name=name or None)
        except (TypeError, ValueError) as error:
            raise StartError(f"{self.system.address} cannot spawn that: {error}", "") from error
