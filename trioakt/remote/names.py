"""The names of refs between nodes: ``trioakt://system@host:port/user/ada#INCARNATION.NUMBER``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import quote
from weakref import WeakValueDictionary

from trioakt.lowlevel import ActorRef, Address
from trioakt.remote.exports import Exports
from trioakt.remote.recipient import RemoteRecipient
from trioakt.remote.serving import Gone

if TYPE_CHECKING:
    from collections.abc import Callable

    from trioakt.lowlevel import CoreSystem
    from trioakt.remote.peer import Peer

_NAME = re.compile(r"(?P<address>[^#]{1,4096})#(?P<incarnation>[0-9a-f]{32})\.(?P<number>[0-9]{1,18})")

_ABROAD = "datacenter/"
"""With what the texts begin that name a datacenter."""
_SHARED = ("cluster", "grain", "datacenter")
"""With what texts begin that name what the nodes of a cluster share; to other nodes they name nobody."""


class Names:
    """Writes and reads the names of refs, as the codec wants it.

    Args:
        system: This node's.
        exports: The numbers of its actors.
        incarnation: Its incarnation.
        peer_at: Returns the peer with an address.
    """

    def __init__(
        self, system: CoreSystem, exports: Exports, incarnation: bytes, peer_at: Callable[[str], Peer]
    ) -> None:
        self._system = system
        self._exports = exports
        self._incarnation = incarnation
        self._peer_at = peer_at
        self.identities: dict[str, Callable[[str], ActorRef[Any]]] = {}
        """What makes refs of texts that name no spawn but what nodes share, by how the texts begin."""
        self.home = ""
        """With what the texts begin of what the nodes of this cluster share, where there are other datacenters."""
        self._recipients: WeakValueDictionary[tuple[str, bytes, int], RemoteRecipient] = WeakValueDictionary()

    def write_ref(self, ref: ActorRef[Any]) -> str:
        """Return the name of a ref."""
        recipient = ref.recipient
        identity: str | None = getattr(recipient, "identity", None)
        if identity is not None:
            return identity if identity.startswith(_ABROAD) else f"{self.home}{identity}"
        if isinstance(recipient, RemoteRecipient):
            incarnation, number = recipient.incarnation, recipient.number
        else:
            incarnation, number = self._incarnation, self._exports.number_of(ref)
        return f"{ref.address}#{incarnation.hex()}.{number}"

    def read_ref(self, text: str) -> ActorRef[Any]:
        """Return the ref with this name; one whose actor has ended is a ref all the same.

        Raises:
            ValueError: It is no name.
        """
        text = text.removeprefix(self.home)
        if self.home and text.startswith(self.home):
            text = text.removeprefix(self.home)
        scheme, _, identity = text.partition("/")
        if scheme in self.identities:
            return self.identities[scheme](identity)
        if scheme in _SHARED:
            return ActorRef(Gone(str(Address(self._system.name, "", f"/{scheme}/{quote(identity)}")), self._system))
        match = _NAME.fullmatch(text)
        if match is None:
            raise ValueError(f"not the name of a ref: {text[:200]!r}")
        address = Address.parse(match["address"])
        incarnation, number = bytes.fromhex(match["incarnation"]), int(match["number"])
        if address.system != self._system.name or not address.node or not address.path:
            raise ValueError(f"not the name of a ref of the system {self._system.name!r}: {text[:200]!r}")
        if incarnation == self._incarnation:
            return self._exports.ref_of(number) or ActorRef(Gone(str(address), self._system))
        key = (address.node, incarnation, number)
        recipient = self._recipients.get(key)
        if recipient is None:
            peer = self._peer_at(address.node)
            recipient = RemoteRecipient(self._system, peer, address.path, incarnation, number)
            self._recipients[key] = recipient
        return ActorRef(recipient)

    def write_address(self, address: Address) -> str:
        """Return the text of an address."""
        return str(address)

    def read_address(self, text: str) -> Address:
        """Return the address; raise ValueError for what is none."""
        return Address.parse(text)
