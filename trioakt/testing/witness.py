"""Witnesses of what nodes do in a simulation: they write the trace, and see whether the promises are kept.

Between two actors order and at most once, per session the end of all asks, one session at a time with another node, and
nothing for the next incarnation of a node that was meant for the one before.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from itertools import count
from typing import Any
from weakref import WeakKeyDictionary

import trio

from trioakt import ActorRef, Bounded, Unbounded
from trioakt.lowlevel import Ask, CoreSystem, Envelope, Instrument, Recipient, Standing
from trioakt.remote.links import LinkLost, LinkUp
from trioakt.remote.recipient import RemoteRecipient
from trioakt.testing.trace import Trace

_MARK = "trioakt-simulation"
_MANY = 256
"""Asks that are kept before those that have ended are sorted out."""


class Court:
    """What the witnesses of all nodes know together."""

    def __init__(self) -> None:
        self.trace = Trace()
        self.violations: list[str] = []
        self.witnesses: list[Witness] = []
        self._present: dict[str, Witness] = {}
        self._incarnations: dict[bytes, Witness] = {}
        self._numbers = count(1)
        self._tasks: WeakKeyDictionary[trio.lowlevel.Task, int] = WeakKeyDictionary()
        self._handled: dict[tuple[Recipient, int], Envelope] = {}
        self._last: dict[tuple[Recipient, int], int] = {}

    def call(self, node: str, address: str) -> Witness:
        """Return the witness of a node that is about to start at an address."""
        witness = self._present[address] = Witness(self, node)
        self.witnesses.append(witness)
        return witness

    def accuse(self, text: str) -> None:
        """Note a broken promise."""
        self.violations.append(f"{text} (at {trio.current_time():.6f} s)")

    def sent(self, ref: ActorRef[Any]) -> str:
        """Return the mark for a message: its number, the task that sends it, and the incarnation that it is meant for."""
        recipient = ref.recipient
        incarnation = b""
        if isinstance(recipient, RemoteRecipient):
            incarnation = recipient.incarnation
            self._incarnations.setdefault(incarnation, self._present[recipient.peer.address])
        number = next(self._numbers)
        task = self._tasks.setdefault(trio.lowlevel.current_task(), number)
        return f"{number} {task} {incarnation.hex()}"

    def handled(self, witness: Witness, ref: ActorRef[Any], envelope: Envelope, mark: str) -> None:
        """Check a message that is about to be handled, maybe once more after it was stashed."""
        number, task, incarnation = mark.split(" ")
        recipient, place = ref.recipient, (ref.recipient, int(number))
        what = f"{type(envelope.message).__name__} to {ref.address}"
        before = self._handled.setdefault(place, envelope)
        if before is not envelope:
            self.accuse(f"{what} came twice")
        elif incarnation and self._incarnations[bytes.fromhex(incarnation)] is not witness:
            self.accuse(f"{what} was meant for another incarnation of the node")
        elif _in_order(recipient):
            last = self._last.get((recipient, int(task)), 0)
            if int(number) < last:
                self.accuse(f"{what} came after one that was sent later")
            self._last[recipient, int(task)] = max(last, int(number))


class Witness(Instrument):
    """Sees what one run of a node does, from its start to its end or its crash."""

    def __init__(self, court: Court, node: str) -> None:
        self._court = court
        self._node = node
        self._system: CoreSystem
        self._silent = False
        self._sessions: set[str] = set()
        self._asks: dict[Ask, None] = {}
        self._many = _MANY

    def opened(self, system: CoreSystem) -> None:
        """Hear that the node starts."""
        self._system = system

    def sending(self, ref: ActorRef[Any], envelope: Envelope, headers: dict[str, str]) -> None:
        """Put a mark on a message."""
        if isinstance(envelope, Ask) and envelope.asked:
            self._asks[envelope] = None
            if len(self._asks) > self._many:
                self._asks = {ask: None for ask in self._asks if ask.pending}
                self._many = max(_MANY, 2 * len(self._asks))
        headers[_MARK] = self._court.sent(ref)

    def handling(
        self, ref: ActorRef[Any], kind: str, envelope: Envelope, headers: dict[str, str]
    ) -> AbstractContextManager[None]:
        """Check a message by its mark."""
        mark = headers.get(_MARK)
        if mark is not None and not self._silent:
            self._court.handled(self, ref, envelope, mark)
            self._court.trace.note(self._node, "handling", ref.path, type(envelope.message).__name__)
        return nullcontext()

    def hear(self, event: Any) -> None:
        """Take down an event."""
        if self._silent:
            return
        self._court.trace.note_event(self._node, self._system.address, event)
        match event:
            case LinkUp(address=address):
                if address in self._sessions:
                    self._court.accuse(f"{self._node} has two sessions with {address}")
                self._sessions.add(address)
            case LinkLost(address=address):
                self._sessions.discard(address)
                self._check_asks_of(address)
            case _:
                pass

    def fall_silent(self) -> None:
        """Say nothing more: the node has crashed, and what it still does is of no account."""
        self._silent = True
        self._sessions.clear()

    def check_asks(self) -> None:
        """See that nobody waits for an actor that has ended."""
        for ask in self._asks:
            if ask.pending and ask.target is not None and not ask.target.is_alive:
                self._accuse(ask, f"waits for {ask.target.address}, which has ended")

    def check_end(self) -> None:
        """See that the node, which has ended, has left no ask and no session."""
        for ask in self._asks:
            if ask.pending:
                self._accuse(ask, "has never ended")
        for address in sorted(self._sessions):
            self._court.accuse(f"{self._node} has ended, and not its session with {address}")

    def _check_asks_of(self, address: str) -> None:
        for ask in self._asks:
            target = ask.target
            if ask.pending and isinstance(target, RemoteRecipient) and target.peer.address == address:
                self._accuse(ask, f"waits for {target.address}, and the link there is lost")

    def _accuse(self, ask: Ask, text: str) -> None:
        self._court.accuse(f"an ask of {self._node}, {type(ask.message).__name__}, {text}")


def _in_order(recipient: Recipient) -> bool:
    """Return whether the mailbox of an actor keeps the order; some are there to change it."""
    return isinstance(recipient, Standing) and isinstance(recipient.options.mailbox, Unbounded | Bounded)
