"""What must hold in every simulation; observers in all nodes check it, and write the trace.

Between two actors order and at most once, per session the end of all asks, one session at a time with another node,
nothing for the next incarnation of a node that was meant for the one before, one owner for each cluster-wide name, and
one activation of each grain.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from functools import partial
from itertools import count
from random import Random
from typing import Any, ClassVar, cast
from weakref import WeakKeyDictionary

import trio

from trioakt import ActorRef, ActorStarted, ActorStopped, Bounded, Unbounded
from trioakt.lowlevel import Ask, AskOutcome, Cell, CoreSystem, Envelope, Instrument, Listener, Recipient, Standing
from trioakt.remote.links import LinkLost, LinkUp
from trioakt.remote.recipient import RemoteRecipient
from trioakt.testing.ownership import Ownership, SimulatedStore, is_steward
from trioakt.testing.trace import Trace

_MARK = "trioakt-simulation"
_PAUSE = 0.5
"""Seconds between two looks at what needs time."""
_MANY = 256
"""Asks that are kept before those that have ended are sorted out."""


class Invariants:
    """What the observers of all nodes know together.

    Args:
        rng: Where the delays of the store come from.
    """

    def __init__(self, rng: Random) -> None:
        self.trace = Trace()
        self.store = SimulatedStore(rng, self.note)
        self.owners = Ownership(self.store, self.report)
        self.violations: list[str] = []
        self.observers: list[Observer] = []
        self._present: dict[str, Observer] = {}
        self._incarnations: dict[bytes, Observer | None] = {}
        self._numbers = count(1)
        self._handled: dict[tuple[Recipient, int], Envelope] = {}
        self._last: dict[tuple[Recipient, int], int] = {}

    def observe(self, node: str, address: str) -> Observer:
        """Return the observer of a node that is about to start at an address."""
        observer = self._present[address] = Observer(self, node)
        self.observers.append(observer)
        return observer

    def report(self, text: str) -> None:
        """Note that a promise was broken."""
        self.violations.append(f"{text} (at {trio.current_time():.6f} s)")

    def note(self, what: str, whom: str = "", detail: str = "") -> None:
        """Add what is done to a node, the network or the store."""
        self.trace.note("", what, whom, detail)

    async def check_owners(self, system: CoreSystem, seconds: float) -> None:
        """See that within so many seconds somebody serves each name of the cluster of a system."""
        deadline = trio.current_time() + seconds
        while strays := self.owners.find_strays(system):
            if trio.current_time() >= deadline:
                for stray in strays:
                    self.report(stray)
                return
            await trio.sleep(_PAUSE)

    def number(self) -> int:
        """Return the next number."""
        return next(self._numbers)

    def aim(self, recipient: Recipient) -> str:
        """Return the incarnation that a message is meant for, and take note of which that is."""
        if not isinstance(recipient, RemoteRecipient):
            return ""
        self._incarnations.setdefault(recipient.incarnation, self._present.get(recipient.peer.address))
        return recipient.incarnation.hex()

    def is_over(self, incarnation: bytes) -> bool:
        """Return whether an incarnation of a node has ended or crashed."""
        observer = self._incarnations.get(incarnation)
        return observer is not None and observer.over

    def handled(self, observer: Observer, ref: ActorRef[Any], envelope: Envelope, mark: str) -> None:
        """Check a message that is about to be handled, maybe once more after it was stashed.

        Its mark is its number, that of the task that has sent it, and the incarnation that it was meant for.
        """
        number, task, incarnation = mark.split(" ")
        recipient, place = ref.recipient, (ref.recipient, int(number))
        what = f"{type(envelope.message).__name__} to {ref.address}"
        before = self._handled.setdefault(place, envelope)
        if before is not envelope:
            self.report(f"{what} came twice")
        elif incarnation and self._incarnations[bytes.fromhex(incarnation)] is not observer:
            self.report(f"{what} was meant for another incarnation of the node")
        elif _in_order(recipient):
            last = self._last.get((recipient, int(task)), 0)
            if int(number) < last:
                self.report(f"{what} came after one that was sent later")
            self._last[recipient, int(task)] = max(last, int(number))


class Observer(Instrument):
    """Sees what one run of a node does, from its start to its end or its crash."""

    def __init__(self, invariants: Invariants, node: str) -> None:
        self._invariants = invariants
        self.over = False
        self._node = node
        self._system: CoreSystem
        self._sessions: set[str] = set()
        self._tasks: WeakKeyDictionary[trio.lowlevel.Task, int] = WeakKeyDictionary()
        self._asks: dict[int, Ask] = {}
        self._many = _MANY

    def opened(self, system: CoreSystem) -> None:
        """Hear that the node starts."""
        self._system = system
        system.cell_class = cast("type[Cell]", type("SeenCell", (_SeenCell, system.cell_class), {"observer": self}))

    def closed(self, system: CoreSystem) -> None:
        """Hear that it has ended."""
        self.over = True

    def sending(self, ref: ActorRef[Any], envelope: Envelope, headers: dict[str, str]) -> None:
        """Put a mark on a message."""
        if isinstance(envelope, Ask) and envelope.asked:
            self._asks[id(envelope)] = envelope
            if len(self._asks) > self._many:
                self._asks = {key: ask for key, ask in self._asks.items() if ask.pending}
                self._many = max(_MANY, 2 * len(self._asks))
        number = self._invariants.number()
        task = self._tasks.setdefault(trio.lowlevel.current_task(), number)
        headers[_MARK] = f"{number} {task} {self._invariants.aim(ref.recipient)}"

    def asked(self, ref: ActorRef[Any], kind: str, ask: Ask) -> Listener:
        """Hear of a request to an actor of this node, which ends at once if its mailbox has no room."""
        return partial(self._ended, id(ask))

    def _ended(self, key: int, outcome: AskOutcome, error: BaseException | None) -> None:
        self._asks.pop(key, None)

    def handling(
        self, ref: ActorRef[Any], kind: str, envelope: Envelope, headers: dict[str, str]
    ) -> AbstractContextManager[None]:
        """Check a message by its mark."""
        mark = headers.get(_MARK)
        if self.over or is_steward(ref):
            return nullcontext()
        what = type(envelope.message).__name__
        if mark is not None:
            self._invariants.handled(self, ref, envelope, mark)
            self._invariants.trace.note(self._node, "handling", ref.path, what)
        return self._invariants.owners.handling(self._system, ref, what) or nullcontext()

    def hear(self, event: Any) -> None:
        """Take down an event."""
        if self.over:
            return
        self._invariants.trace.note_event(self._node, self._system.address, event)
        match event:
            case ActorStarted(ref=ref):
                self._invariants.owners.started(self._node, self._system, ref)
            case ActorStopped(ref=ref):
                self._invariants.owners.stopped(ref)
            case LinkUp(address=address):
                if address in self._sessions:
                    self._invariants.report(f"{self._node} has two sessions with {address}")
                self._sessions.add(address)
            case LinkLost(address=address):
                self._sessions.discard(address)
                self._check_asks_of(address)
            case _:
                pass

    def activated(self, cell: Cell) -> None:
        """Hear that an actor has been made."""
        if not self.over:
            self._invariants.owners.activated(self._node, cell)

    def passivated(self, cell: Cell) -> None:
        """Hear that an actor ends."""
        if not self.over:
            self._invariants.owners.passivated(cell)

    def crashed(self) -> None:
        """Say nothing more: the node has crashed, and what it still does is of no account."""
        self.over = True
        self._sessions.clear()
        self._invariants.owners.crashed(self._node)

    def check_asks(self) -> None:
        """See that nobody waits for a node that is no more."""
        for ask in self._asks.values():
            target = ask.target
            if ask.pending and isinstance(target, RemoteRecipient) and self._invariants.is_over(target.incarnation):
                self._report(ask, f"waits for {target.address}, whose node is no more")

    def check_end(self) -> None:
        """See that the node, which has ended, has left no ask and no session."""
        for ask in self._asks.values():
            if ask.pending:
                self._report(ask, "has never ended")
        for address in sorted(self._sessions):
            self._invariants.report(f"{self._node} has ended, and not its session with {address}")

    def _check_asks_of(self, address: str) -> None:
        for ask in self._asks.values():
            target = ask.target
            if ask.pending and isinstance(target, RemoteRecipient) and target.peer.address == address:
                self._report(ask, f"waits for {target.address}, and the link there is lost")

    def _report(self, ask: Ask, text: str) -> None:
        self._invariants.report(f"an ask of {self._node}, {type(ask.message).__name__}, {text}")


class _SeenCell(Cell):
    """An actor whose first and last moment are seen, which events do not tell."""

    observer: ClassVar[Observer]

    def make(self) -> None:
        super().make()
        self.observer.activated(self)

    def finish(self) -> None:
        self.observer.passivated(self)
        super().finish()


def _in_order(recipient: Recipient) -> bool:
    """Return whether the mailbox of an actor keeps the order; some are there to change it."""
    return isinstance(recipient, Standing) and isinstance(recipient.options.mailbox, Unbounded | Bounded)
