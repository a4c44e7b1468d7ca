"""The directory of a client: who has a name of the cluster now, as the members tell."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

import trio

from trioakt.errors import ActorNotFoundError, NodeUnreachableError
from trioakt.lowlevel import ActorRef, CoreSystem, check_name
from trioakt.remote.named import NamedRecipient

if TYPE_CHECKING:
    from trioakt.remote.endpoint import Endpoint

_UNKNOWN = "?"
"""What is known of a name before anything is."""
_PATIENCE = 0.5
"""Seconds after which the members are asked again when none can be reached."""
_REVIEW = 60.0
"""Seconds after which a name that nobody uses any more is forgotten."""


class Directory:
    """Keeps the owners of the names that a client uses up to date.

    Args:
        system: The client's.
        endpoint: Its way to the nodes.
        inquire: Asks any member.
        nursery: Where names are followed.
    """

    def __init__(
        self,
        system: CoreSystem,
        endpoint: Endpoint,
        inquire: Callable[[str], Awaitable[str]],
        nursery: trio.Nursery,
    ) -> None:
        self.system = system
        self._endpoint = endpoint
        self._inquire = inquire
        self._nursery = nursery
        self._owners: dict[str, ActorRef[Any] | None] = {}
        self._followed: set[str] = set()
        self._is_closed = False
        self._recipients: WeakValueDictionary[str, NamedRecipient] = WeakValueDictionary()
        self._in_use: dict[str, NamedRecipient] = {}
        endpoint.identities["cluster"] = self.ref_to

    def close(self) -> None:
        """Let nobody wait any more."""
        self._is_closed = True
        self._owners.clear()
        for recipient in tuple(self._in_use.values()):
            recipient.settle(is_there=False)

    async def locate(self, name: str) -> ActorRef[Any] | None:
        """Return the ref that means whoever owns a name, if that is there."""
        ref = self.ref_to(name)
        if name not in self._owners:
            try:
                found = await self._inquire(f"owner {name} {_UNKNOWN}")
            except ActorNotFoundError:
                return None
            self._note(name, found)
            self._follow(name, found)
        await trio.lowlevel.checkpoint()
        return ref

    def ref_to(self, name: str) -> ActorRef[Any]:
        """Return the ref that means whoever owns a name.

        Raises:
            ValueError: It is no name.
        """
        recipient = self._recipients.get(check_name(name))
        if recipient is None:
            recipient = self._recipients[name] = NamedRecipient(self.system, self, name)
        return ActorRef(recipient)

    # ------------------------------------------------------------ what recipients need

    def owner_of(self, name: str) -> ActorRef[Any] | None:
        """Return the actor that has a name now, as far as this client has heard."""
        return self._owners.get(name)

    def is_known(self, name: str) -> bool:
        """Return whether the name is there, as far as this client has heard."""
        return name in self._owners

    def keep(self, recipient: NamedRecipient) -> None:
        """Hold on to a recipient for as long as it is in use."""
        self._in_use[recipient.name] = recipient

    def look_up(self, recipient: NamedRecipient) -> None:
        """Find out whether the name is there, and let the recipient settle."""
        if self._is_closed:
            recipient.settle(is_there=False)
        else:
            self._follow(recipient.name, _UNKNOWN)

    def give_up(self, name: str) -> None:
        """Leave a name that nobody owns as it is: only members can end it."""

    # ------------------------------------------------------------------ how it is known

    def _follow(self, name: str, known: str) -> None:
        if name not in self._followed:
            self._followed.add(name)
            self._nursery.start_soon(self._keep_up, name, known)

    async def _keep_up(self, name: str, known: str) -> None:
        """Know who has a name, for as long as it is there and somebody holds a ref to it."""
        while name in self._recipients:
            with trio.move_on_after(_REVIEW):
                try:
                    known = await self._inquire(f"owner {name} {known}")
                except ActorNotFoundError:
                    break
                except NodeUnreachableError:
                    await trio.sleep(_PATIENCE)
                else:
                    self._note(name, known)
        self._followed.discard(name)
        self._owners.pop(name, None)
        self._settle(name)

    def _note(self, name: str, text: str) -> None:
        self._owners[name] = self._endpoint.ref_of(text) if text else None
        self._settle(name)

    def _settle(self, name: str) -> None:
        recipient = self._recipients.get(name)
        if recipient is not None:
            recipient.settle(is_there=name in self._owners)
            if not recipient.is_in_use:
                self._in_use.pop(name, None)
