"""Random askers, cancels, stops and failures: each ask ends once, and each message is handled once or a dead letter."""

from __future__ import annotations

from collections import Counter
from typing import Any, Literal, TypeAlias, get_args

import attrs
import trio
from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule

from tests.core.crew import Trouble
from tests.properties.program import SystemProgram, case_of
from trioakt import (
    Actor,
    ActorFailedError,
    ActorRef,
    ActorStoppedError,
    ActorSystem,
    AskCycleError,
    Bounded,
    Context,
    DeadLetter,
    DeadLetterReason,
    Directive,
    MailboxFullError,
    NoReplyError,
    OneForOne,
    Overflow,
    Priority,
    Reentrancy,
    ReplyTo,
    Request,
    Unbounded,
    UnhandledMessageError,
    message,
)

Deed: TypeAlias = Literal["reply", "refuse", "fail", "say nothing", "unhandled", "forward", "keep", "lose", "ask on"]
"""What a worker does with a job in the end."""


@message
class Job(Request[str]):
    """Work so many seconds, then do the first of these deeds; a worker to whom it is passed on does the next one."""

    number: int
    seconds: float
    deeds: tuple[tuple[Deed, str], ...]


@message(cancellable=True)
class CancellableJob(Job):
    """The same for an asker whose giving up may cancel the work."""


@attrs.define
class Ledger:
    """What became of each job, by its number."""

    begun: Counter[int] = attrs.field(factory=Counter[int])
    passed_on: Counter[int] = attrs.field(factory=Counter[int])
    outcomes: dict[int, list[str]] = attrs.field(factory=dict[int, list[str]])
    accepted: set[int] = attrs.field(factory=set[int])
    numbers_inside: int = 0
    """Jobs that workers ask of each other have negative numbers."""
    at_work: Counter[str] = attrs.field(factory=Counter[str])
    overlaps: int = 0
    """How often a worker began a job while it was at work on another."""


class Worker(Actor):
    def __init__(self, ledger: Ledger, crew: dict[str, ActorRef]) -> None:
        self.ledger = ledger
        self.crew = crew

    async def work(self, name: str, seconds: float) -> None:
        self.ledger.overlaps += self.ledger.at_work[name]
        self.ledger.at_work[name] += 1
        try:
            await trio.sleep(seconds)
        finally:
            self.ledger.at_work[name] -= 1

    async def receive(self, ctx: Context, msg: Job) -> None:
        self.ledger.begun[msg.number] += 1
        await self.work(ctx.self.name, msg.seconds)
        if not ctx.asked:
            return
        (deed, name), *later = msg.deeds[self.ledger.passed_on[msg.number] :]
        match deed:
            case "reply":
                ctx.reply("done")
            case "refuse":
                ctx.reply_to.fail(Trouble("refused"))
            case "fail":
                raise Trouble("failed")
            case "say nothing":
                pass
            case "unhandled":
                ctx.unhandled()
            case "forward":
                ctx.forward(self.crew[name])
                self.ledger.passed_on[msg.number] += 1
            case "keep":
                ctx.nursery.start_soon(self.answer_later, ctx.reply_to)
            case "lose":
                _ = ctx.reply_to
            case "ask on":
                ctx.reply(await ctx.ask(self.crew[name], self.next_job(msg, later)))

    def next_job(self, job: Job, deeds: list[tuple[Deed, str]]) -> Job:
        self.ledger.numbers_inside -= 1
        return type(job)(self.ledger.numbers_inside, job.seconds, tuple(deeds))

    async def answer_later(self, handle: ReplyTo) -> None:
        await trio.sleep(0.5)
        handle.reply("later")


ENDINGS = (
    ActorFailedError,
    ActorStoppedError,
    AskCycleError,
    MailboxFullError,
    NoReplyError,
    UnhandledMessageError,
)
MAILBOXES = [
    Unbounded(),
    *(Bounded(2, overflow) for overflow in Overflow),
    Priority(lambda job: job.number),
]
names = st.sampled_from("abc")
seconds = st.sampled_from([0.0, 0.0, 0.3, 2.0])
deeds = st.lists(st.tuples(st.sampled_from(get_args(Deed)), names), min_size=1, max_size=3).map(
    lambda chosen: (*chosen, ("reply", "a"))
)


class AskMachine(SystemProgram):
    def __init__(self) -> None:
        super().__init__()
        self.numbers = 0
        self.ledger = Ledger()
        self.crew: dict[str, ActorRef] = {}
        self.options: dict[str, tuple[Any, bool]] = {}
        self.directive = Directive.RESTART
        self.scopes: dict[int, trio.CancelScope] = {}

    @initialize(
        options=st.fixed_dictionaries({name: st.tuples(st.sampled_from(MAILBOXES), st.booleans()) for name in "abc"}),
        directive=st.sampled_from([Directive.RESTART, Directive.RESUME, Directive.STOP]),
    )
    def choose_crew(self, options: dict[str, tuple[Any, bool]], directive: Directive) -> None:
        self.options = options
        self.directive = directive

    @rule(
        name=names,
        kind=st.sampled_from([Job, CancellableJob]),
        seconds=seconds,
        deeds=deeds,
        patience=st.none() | st.sampled_from([0.1, 1.0]),
    )
    def ask(self, name: str, kind: type[Job], seconds: float, deeds: Any, patience: float | None) -> None:
        self.numbers += 1
        job = kind(self.numbers, seconds, deeds)
        self.steps.append(lambda: self.nursery.start_soon(self.run_ask, name, job, patience))

    async def run_ask(self, name: str, job: Job, patience: float | None) -> None:
        outcomes = self.ledger.outcomes.setdefault(job.number, [])
        deadline = trio.current_time() + patience if patience else float("inf")
        with trio.CancelScope(deadline=deadline) as self.scopes[job.number]:
            try:
                outcomes.append(await self.crew[name].ask(job))
            except ENDINGS as error:
                outcomes.append(type(error).__name__)
        if self.scopes[job.number].cancelled_caught:
            outcomes.append("gave up")

    @rule(name=names, seconds=seconds)
    def tell(self, name: str, seconds: float) -> None:
        self.numbers += 1
        job = Job(self.numbers, seconds, ())

        def step() -> None:
            try:
                self.crew[name].tell(job)
            except MailboxFullError:
                return
            self.ledger.accepted.add(job.number)

        self.steps.append(step)

    @rule(which=st.integers(0, 30))
    def give_up(self, which: int) -> None:
        def step() -> None:
            if self.scopes:
                self.scopes[sorted(self.scopes)[which % len(self.scopes)]].cancel()

        self.steps.append(step)

    @rule(name=names, kill=st.booleans())
    def end(self, name: str, kill: bool) -> None:
        self.steps.append(lambda: self.crew[name].kill() if kill else self.crew[name].stop())

    async def run(self) -> None:
        letters: list[DeadLetter] = []
        self.system = ActorSystem("test", supervision=OneForOne(default=self.directive, max_restarts=None))
        with self.system.events.listen(letters.append, DeadLetter):
            async with trio.open_nursery() as self.nursery:
                await self.run_inside(self.system, self.prepare)
        self.check(letters)

    async def prepare(self) -> None:
        for name, (mailbox, reentrant) in self.options.items():
            options: Any = {"reentrancy": Reentrancy()} if reentrant else {}
            self.crew[name] = await self.system.spawn(
                Worker, self.ledger, self.crew, name=name, mailbox=mailbox, **options
            )

    def check(self, letters: list[DeadLetter]) -> None:
        assert self.ledger.overlaps == 0
        assert all(len(outcomes) == 1 for outcomes in self.ledger.outcomes.values()), self.ledger.outcomes
        lost = Counter(
            letter.message.number
            for letter in letters
            if isinstance(letter.message, Job) and letter.reason is not DeadLetterReason.UNHANDLED
        )
        ends = self.ledger.begun + lost
        ends.subtract(self.ledger.passed_on)
        for number in self.ledger.accepted:
            assert ends[number] == 1, number
        for number, outcomes in self.ledger.outcomes.items():
            assert ends[number] == 1 or (ends[number] == 0 and outcomes[0] in ("gave up", "MailboxFullError")), number
        assert all(ends[number] in (0, 1) for number in ends)


TestAsks = case_of(AskMachine, examples=200, steps=30)
