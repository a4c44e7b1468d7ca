"""Stash and behaviors against a model of lists: what is handled, in which order, and what is left at the end."""

from __future__ import annotations

from collections import deque
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import rule
from trio.testing import wait_all_tasks_blocked as settle

from tests.core.actors import collected
from tests.core.crew import Trouble
from tests.properties.program import Program, case_of
from trioakt import Actor, ActorSystem, Context, DeadLetter, DeadLetterReason, OneForOne
from trioakt.lowlevel import Handler

CAPACITY = 3


class Cupboard(Actor):
    """Open, it notes the numbers that it gets; closed, it stashes them. The first behavior is open."""

    def __init__(self, notes: list[int]) -> None:
        self.notes = notes

    def receive(self, ctx: Context, msg: Any) -> None:
        self.open(ctx, msg)

    def open(self, ctx: Context, msg: Any) -> None:
        if not self.obey(ctx, msg):
            self.notes.append(msg)

    def closed(self, ctx: Context, msg: Any) -> None:
        if not self.obey(ctx, msg):
            ctx.stash()

    def obey(self, ctx: Context, msg: Any) -> bool:
        match msg:
            case int():
                return False
            case "unstash":
                ctx.unstash()
            case "unstash all":
                ctx.unstash_all()
            case "unbecome":
                ctx.unbecome()
            case "fail":
                raise Trouble
            case (bool(is_open), bool(discard_old)):
                handler: Handler = self.open if is_open else self.closed
                ctx.become(handler, discard_old=discard_old)
            case _:
                ctx.unhandled()
        return True


class Model:
    """The same in lists: the mailbox, the stash, and the stack of behaviors as whether each is open.

    The numbers are told in rising order, and a message that is stashed again takes its old place among the others.
    """

    def __init__(self) -> None:
        self.mailbox: deque[Any] = deque()
        self.stash: list[int] = []
        self.behaviors = [True]
        self.notes: list[int] = []
        self.refused: list[int] = []

    def work(self) -> None:
        while self.mailbox:
            self.handle(self.mailbox.popleft())

    def handle(self, message: Any) -> None:
        match message:
            case int() if self.behaviors[-1]:
                self.notes.append(message)
            case int() if len(self.stash) < CAPACITY:
                self.stash = sorted(
                    [*self.stash, message]
                )  # one that comes back keeps its place: the order is that of arrival
            case int():
                self.refused.append(message)
                self.restart()
            case "unstash":
                if self.stash:
                    self.mailbox.appendleft(self.stash.pop(0))
            case "unstash all":
                self.bring_all_back()
            case "unbecome":
                self.behaviors = self.behaviors[:-1] or [True]
            case "fail":
                self.restart()
            case (is_open, discard_old):
                self.behaviors = [*(self.behaviors[:-1] if discard_old else self.behaviors), is_open]
            case _:
                raise AssertionError(message)

    def bring_all_back(self) -> None:
        self.mailbox.extendleft(reversed(self.stash))
        self.stash = []

    def restart(self) -> None:
        self.bring_all_back()
        self.behaviors = [True]


class StashMachine(Program):
    def __init__(self) -> None:
        super().__init__()
        self.model = Model()
        self.count = 0

    def tell(self, message: Any) -> None:
        self.model.mailbox.append(message)
        self.steps.append(lambda: self.ref.tell(message))

    @rule(amount=st.integers(1, 4))
    def tell_numbers(self, amount: int) -> None:
        for _ in range(amount):
            self.count += 1
            self.tell(self.count)

    @rule(command=st.sampled_from(["unstash", "unstash all", "unbecome", "fail"]))
    def tell_command(self, command: str) -> None:
        self.tell(command)

    @rule(is_open=st.booleans(), discard_old=st.booleans())
    def tell_to_become(self, is_open: bool, discard_old: bool) -> None:
        self.tell((is_open, discard_old))

    async def run(self) -> None:
        self.model.work()
        notes: list[int] = []
        async with ActorSystem("test", supervision=OneForOne(max_restarts=None)) as system:
            with collected(system, DeadLetter) as letters:
                self.ref = await system.spawn(Cupboard, notes, stash_capacity=CAPACITY)
                await self.run_steps()
                await settle()
                assert notes == self.model.notes
                assert self.ref.statistics().stashed == len(self.model.stash)
                self.ref.stop()
                await self.ref.wait_stopped()
        refused = [letter.message for letter in letters if letter.reason is DeadLetterReason.STASH_FULL]
        left = [letter.message for letter in letters if letter.reason is DeadLetterReason.STOPPED]
        assert (refused, left) == (self.model.refused, self.model.stash)
        assert len(letters) == len(refused) + len(left)


TestStash = case_of(StashMachine, examples=100, steps=30)
