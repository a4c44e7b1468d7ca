"""Carries a strategy's verdict out over the tree: who is restarted, stopped or suspended when an actor fails.

The decision is taken at once, in the task of the actor that failed, however busy its parent is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import trio

from trioakt._core.events import ActorFailed, ActorReinstated, ActorSuspended
from trioakt._core.message import TerminationCause
from trioakt._core.orders import Order
from trioakt.supervision import Directive, Failure, Siblings, Verdict

if TYPE_CHECKING:
    from trioakt._core.standing import Standing


class Round:
    """A restart of several siblings: all are torn down before the first is made again, then each in spawn order."""

    def __init__(self, members: list[Standing]) -> None:
        self._members = members
        self._down: set[Standing] = set()
        self._up: set[Standing] = set()

    async def join(self, cell: Standing) -> None:
        """Wait, torn down, until it is this member's turn to start; a new order cuts it short."""
        self._down.add(cell)
        self._wake()
        before = self._members[: self._members.index(cell)]
        while cell.order is Order.NONE and not (self._down.issuperset(self._members) and self._up.issuperset(before)):
            await cell.park()

    def leave(self, cell: Standing) -> None:
        """Note that this member is up, or will not come."""
        self._down.add(cell)
        self._up.add(cell)
        self._wake()

    def _wake(self) -> None:
        for member in self._members:
            if member not in self._up:
                member.wake()


@attrs.frozen(eq=False)
class Restart:
    """What a restarting actor needs to know: why, after how many seconds, with whom."""

    failure: Failure
    error: BaseException
    message: Any
    delay: float
    round: Round


def supervise(cell: Standing, failure: Failure, error: BaseException, message: Any = None) -> None:
    """Decide what becomes of an actor that failed, and give the orders; past the root, the system fails."""
    subject = cell
    cell.attention = True
    while True:
        subject.failures += 1
        subject.publish(ActorFailed, failure)
        parent = subject.parent
        if parent is None:
            cell.system.fail(error, cell)
            cell.suspended = True
            return
        if subject.closed:  # it is on its way out, and so is everything below it
            cell.suspended = cell is not subject
            return
        verdict = _judge(parent, subject, error)
        if verdict.directive is not Directive.ESCALATE:
            break
        subject = parent
    if subject is not cell:
        cell.suspended = verdict.directive is not Directive.RESUME
        message = None
    _carry_out(subject, verdict, failure, error, message)


def reinstate(subject: Standing) -> None:
    """Let a suspended actor go on, and those suspended below it."""
    below = [subject]
    while below:
        cell = below.pop()
        below.extend(cell.children.values())
        if cell.suspended:
            cell.suspended = False
            cell.publish(ActorReinstated)
            cell.nudge()


def _judge(parent: Standing, child: Standing, error: BaseException) -> Verdict:
    own = child.options.supervision
    strategy = own or parent.strategy
    shared = own is None and strategy.siblings is not Siblings.NONE
    ledger = (parent if shared else child).ledger(group=shared)
    return strategy.judge(ledger, error, trio.current_time(), parent.system.settings.rng)


def _carry_out(subject: Standing, verdict: Verdict, failure: Failure, error: BaseException, message: Any) -> None:
    match verdict.directive:
        case Directive.SUSPEND:
            subject.suspended = True
            subject.publish(ActorSuspended, failure)
        case Directive.RESTART:
            members = _fellows(subject)
            together = Round(members)
            for cell in members:
                mine = message if cell is subject else None
                cell.command(Order.RESTART, restart=Restart(failure, error, mine, verdict.delay, together))
        case Directive.STOP:
            for cell in _fellows(subject):
                cause = TerminationCause.STOPPED
                if cell is subject:
                    cause = TerminationCause("FAILED", failure)
                cell.command(Order.SHUTDOWN, cause=cause)
            subject.interrupt()
        case _:  # RESUME: the message is lost, everything else stays
            return
    subject.nudge()


def _fellows(subject: Standing) -> list[Standing]:
    """Return those who share the subject's fate, in spawn order."""
    parent = subject.parent
    if parent is None:
        return [subject]
    siblings = (subject.options.supervision or parent.strategy).siblings
    everyone: list[Standing] = [
        cell for cell in parent.children.values() if not cell.closed and (cell.started or cell is subject)
    ]
    if siblings is Siblings.ALL:
        return everyone
    if siblings is Siblings.LATER:
        return everyone[everyone.index(subject) :]
    return [subject]
