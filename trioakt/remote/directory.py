"""The directory of who is no member: who has a name of a cluster now, as the members tell."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

import trio

from trioakt.errors import ActorNotFoundError, TrioaktError, UnhandledMessageError
from trioakt.lowlevel import ActorRef, CoreSystem, check_name
from trioakt.remote.named import NamedRecipient

if TYPE_CHECKING:
    from trioakt.remote.endpoint import Endpoint

UNKNOWN = "?"
"""What is known of a name before anything is."""
_PATIENCE = 0.5
"""Seconds after which the members are asked again when none can tell."""
_REVIEW = 60.0
"""Seconds without news after which a name that nobody uses any more is forgotten."""


class Directory:
    """Keeps the owners of the names that are used here up to date.

    Args:
        system: Which uses them.
        endpoint: Its way to the nodes.
        inquire: Asks any member.
        nursery: Where names are followed.
        prefix: With what the identities of the names begin, where this system has another cluster of its own.

    Attributes:
        inquire: Asks any member.
        nursery: Where what is done for the cluster runs.
        is_over: Whether it is closed.
    """

    def __init__(
        self,
        system: CoreSystem,
        endpoint: Endpoint,
        inquire: Callable[[str], Awaitable[str]],
        nursery: trio.Nursery,
        prefix: str = "",
    ) -> None:
        self.system = system
        self.endpoint = endpoint
        self.inquire = inquire
        self.nursery = nursery
        self.prefix = prefix
        self.is_over = False
        self._owners: dict[str, ActorRef[Any] | None] = {}
        self._followed: set[str] = set()
        self._recipients: WeakValueDictionary[str, NamedRecipient] = WeakValueDictionary()
        self._in_use: dict[str, NamedRecipient] = {}

    def close(self) -> None:
        """Let nobody wait any more."""
        self.is_over = True
        self._owners.clear()
        for recipient in tuple(self._in_use.values()):
            recipient.settle(is_there=False)

    async def locate(self, name: str) -> ActorRef[Any] | None:
        """Return the ref that means whoever owns a name, if that is there."""
        ref = self.ref_to(name)
        if name not in self._owners:
            try:
                found = await self.inquire(f"owner {name} {UNKNOWN}")
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
            recipient = self._recipients[name] = NamedRecipient(self.system, self, name, self.prefix)
        return ActorRef(recipient)

    def add(self, recipient: NamedRecipient) -> None:
        """Let a recipient that somebody else has made hear of its name."""
        self._recipients[recipient.name] = recipient

    # ------------------------------------------------------------ what recipients need

    def owner_of(self, name: str) -> ActorRef[Any] | None:
        """Return the actor that has a name now, as far as has been heard here."""
        return self._owners.get(name)

    def is_known(self, name: str) -> bool:
        """Return whether the name is there, as far as has been heard here."""
        return name in self._owners

    def keep(self, recipient: NamedRecipient) -> None:
        """Hold on to a recipient for as long as it is in use."""
        self._in_use[recipient.name] = recipient

    def look_up(self, recipient: NamedRecipient) -> None:
        """Find out whether the name is there, and let the recipient settle."""
        if self.is_over:
            recipient.settle(is_there=False)
        else:
            self._follow(recipient.name, UNKNOWN)

    def give_up(self, name: str) -> None:
        """Leave a name that nobody owns as it is: only members can end it."""

    # ------------------------------------------------------------------ how it is known

    def _follow(self, name: str, known: str) -> None:
        if name not in self._followed:
            self._followed.add(name)
            self.nursery.start_soon(self._keep_up, name, known)

    async def _keep_up(self, name: str, known: str) -> None:
        """Know who has a name, for as long as it is there and somebody holds a ref to it."""
        reason, review = "", trio.current_time() + _REVIEW
        while True:
            with trio.move_on_after(_REVIEW):
                try:
                    known = await self.inquire(f"owner {name} {known}")
                except (ActorNotFoundError, UnhandledMessageError) as error:
                    reason = str(error)
                    break
                except TrioaktError:
                    self._let_go(name)
                    await trio.sleep(_PATIENCE)
                else:
                    self._note(name, known)
                    review = trio.current_time() + _REVIEW
            if trio.current_time() >= review and name not in self._recipients:
                break
        self._followed.discard(name)
        self._owners.pop(name, None)
        self._settle(name, reason)

    def _let_go(self, name: str) -> None:
        """Hold on no longer to a recipient that nobody waits at; who waits in ``send`` holds it itself."""
        recipient = self._in_use.get(name)
        if recipient is not None and not recipient.is_in_use:
            del self._in_use[name]

    def _note(self, name: str, text: str) -> None:
        self._owners[name] = self.endpoint.ref_of(text) if text else None
        self._settle(name)

    def _settle(self, name: str, reason: str = "") -> None:
        recipient = self._recipients.get(name)
        if recipient is not None:
            recipient.settle(is_there=name in self._owners, reason=reason)
            if not recipient.is_in_use:
                self._in_use.pop(name, None)
