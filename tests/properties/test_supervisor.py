"""A small tree under random failures, stops and directives: what holds whatever happens."""

from __future__ import annotations

from collections import Counter, defaultdict

import attrs
import trio
from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule

from tests.core.crew import Trouble, WorseTrouble
from tests.properties.program import SystemProgram, case_of
from trioakt import (
    Actor,
    ActorRef,
    ActorReinstated,
    ActorRestarted,
    ActorSuspended,
    ActorSystem,
    Backoff,
    Context,
    DeadLetter,
    Directive,
    OneForAll,
    OneForOne,
    PoisonPill,
    RestForOne,
    message,
)
from trioakt.supervision import Siblings

CHILDREN = ("a", "b", "c")
ERRORS: list[type[BaseException]] = [Trouble, WorseTrouble, KeyError]


@message
class Job:
    """Work so many seconds, then fail with this error, if any; the number names the message."""

    number: int
    seconds: float = 0.0
    error: type[BaseException] | None = None


@attrs.define
class Watchman:
    """Sees all that the actors of one run do, and objects at once to what may never be."""

    busy: set[ActorRef] = attrs.field(factory=set[ActorRef])
    suspended: set[ActorRef] = attrs.field(factory=set[ActorRef])
    begun: Counter[int] = attrs.field(factory=Counter[int])
    open_lives: set[Actor] = attrs.field(factory=set[Actor])
    bad_starts: Counter[str] = attrs.field(factory=Counter[str])
    family: dict[ActorRef, int] = attrs.field(factory=dict[ActorRef, int])
    """Which life of the supervisor has spawned a child."""
    families: int = 0
    objections: list[str] = attrs.field(factory=list[str])

    def enter(self, ref: ActorRef, what: str) -> None:
        if ref in self.busy:
            self.objections.append(f"{ref.name} does two things at once: {what}")
        self.busy.add(ref)

    def leave(self, ref: ActorRef) -> None:
        self.busy.discard(ref)

    def begin(self, ref: ActorRef, job: Job) -> None:
        self.begun[job.number] += 1
        if ref in self.suspended:
            self.objections.append(f"{ref.name} handles {job} though it is suspended")

    def note(self, event: ActorSuspended | ActorReinstated | ActorRestarted) -> None:
        (self.suspended.add if isinstance(event, ActorSuspended) else self.suspended.discard)(event.ref)

    def open(self, life: Actor, ref: ActorRef, known_ref: ActorRef | None) -> None:
        self.open_lives.add(life)
        if known_ref not in (None, ref):
            self.objections.append(f"{ref.name} has another ref after a restart")

    def close(self, life: Actor, ref: ActorRef) -> None:
        if life not in self.open_lives:
            self.objections.append(f"post_stop of {ref.name} ran twice, or for an instance that has not started")
        self.open_lives.discard(life)


class Child(Actor):
    def __init__(self, watchman: Watchman, refs: list[ActorRef]) -> None:
        self.watchman = watchman
        self.refs = refs

    async def pre_start(self, ctx: Context) -> None:
        self.watchman.enter(ctx.self, "pre_start")
        try:
            await trio.lowlevel.checkpoint()
            if self.watchman.bad_starts[ctx.self.name]:
                self.watchman.bad_starts[ctx.self.name] -= 1
                raise WorseTrouble("start")
            self.watchman.open(self, ctx.self, self.refs[0] if self.refs else None)
            self.refs[:] = [ctx.self]
        finally:
            self.watchman.leave(ctx.self)

    async def receive(self, ctx: Context, msg: Job) -> None:
        self.watchman.enter(ctx.self, f"{msg}")
        try:
            self.watchman.begin(ctx.self, msg)
            await trio.sleep(msg.seconds)
            if msg.error:
                raise msg.error(msg.number)
        finally:
            self.watchman.leave(ctx.self)

    async def post_stop(self, ctx: Context) -> None:
        self.watchman.enter(ctx.self, "post_stop")
        await trio.lowlevel.checkpoint()
        self.watchman.close(self, ctx.self)
        self.watchman.leave(ctx.self)


def supervisor_of(strategy: OneForOne, watchman: Watchman) -> type[Actor]:
    class Supervisor(Actor):
        supervision = strategy

        async def pre_start(self, ctx: Context) -> None:
            watchman.families += 1
            for name in CHILDREN:
                ref = await ctx.spawn(Child, watchman, list[ActorRef](), name=name)
                watchman.family[ref] = watchman.families

    return Supervisor


backoffs = st.none() | st.builds(
    Backoff, initial=st.sampled_from([0.5, 3.0]), maximum=st.just(10.0), factor=st.just(2.0), jitter=st.just(0.1)
)


@st.composite
def strategies(draw: st.DrawFn) -> OneForOne:
    kind = draw(st.sampled_from([OneForOne, OneForAll, RestForOne]))
    return kind(
        draw(st.dictionaries(st.sampled_from(ERRORS), st.sampled_from(Directive))),
        default=draw(st.sampled_from([*Directive, Directive.RESTART, Directive.RESTART])),
        max_restarts=draw(st.none() | st.integers(0, 3)),
        within=draw(st.sampled_from([1.0, 20.0])),
        backoff=draw(backoffs),
    )


names = st.sampled_from(CHILDREN)


class SupervisorMachine(SystemProgram):
    strategy = OneForOne()

    def __init__(self) -> None:
        super().__init__()
        self.numbers = 0
        self.told: set[int] = set()
        self.watchman = Watchman()

    @initialize(strategy=strategies())
    def choose_strategy(self, strategy: OneForOne) -> None:
        self.strategy = strategy

    def find(self, name: str) -> ActorRef | None:
        return self.system.actor(f"top/{name}")

    @rule(name=names, seconds=st.sampled_from([0.0, 0.0, 1.0]), error=st.none() | st.sampled_from(ERRORS))
    def tell(self, name: str, seconds: float, error: type[BaseException] | None) -> None:
        self.numbers += 1
        job = Job(self.numbers, seconds, error)

        def step() -> None:
            if ref := self.find(name):
                self.told.add(job.number)
                ref.tell(job)

        self.steps.append(step)

    @rule(name=names, order=st.sampled_from(["stop", "kill", "reinstate", "poison"]))
    def give_order(self, name: str, order: str) -> None:
        def step() -> None:
            if not (ref := self.find(name)):
                return
            if order == "poison":
                ref.tell(PoisonPill())
            else:
                getattr(ref, order)()

        self.steps.append(step)

    @rule(name=names)
    def spoil_the_next_start(self, name: str) -> None:
        def step() -> None:
            self.watchman.bad_starts[name] += 1

        self.steps.append(step)

    async def run(self) -> None:
        restarts: list[ActorRestarted] = []
        letters: list[DeadLetter] = []
        self.system = ActorSystem("test", supervision=OneForOne(max_restarts=None))
        listen = self.system.events.listen
        with (
            listen(restarts.append, ActorRestarted),
            listen(letters.append, DeadLetter),
            listen(self.watchman.note, ActorSuspended, ActorReinstated, ActorRestarted),
        ):
            await self.run_inside(self.system, self.prepare)
        self.check(restarts, letters)

    async def prepare(self) -> None:
        await self.system.spawn(supervisor_of(self.strategy, self.watchman), name="top")

    def check(self, restarts: list[ActorRestarted], letters: list[DeadLetter]) -> None:
        assert self.watchman.objections == []
        assert self.watchman.open_lives == set()
        lost = Counter(letter.message.number for letter in letters)
        assert self.watchman.begun + lost == Counter(self.told)
        self.check_budget(restarts)

    def check_budget(self, restarts: list[ActorRestarted]) -> None:
        """No window has more restarts than allowed; backoff, which parts a restart from its decision, aside."""
        if self.strategy.max_restarts is None or self.strategy.backoff:
            return
        for times in self.restarts_per_budget(restarts).values():
            for end in times:
                window = [time for time in times if end - self.strategy.within < time <= end]
                assert len(window) <= self.strategy.max_restarts, times

    def restarts_per_budget(self, restarts: list[ActorRestarted]) -> dict[object, list[float]]:
        """Return when each child was restarted; a group counts once for all that are restarted by the same failure."""
        times: defaultdict[object, dict[object, float]] = defaultdict(dict)
        for number, restart in enumerate(restarts):
            if family := self.watchman.family.get(restart.ref):  # the supervisor itself is in none
                alone = self.strategy.siblings is Siblings.NONE
                budget, once = (restart.ref, number) if alone else (family, id(restart.failure.exception))
                times[budget][once] = restart.at
        return {budget: list(each.values()) for budget, each in times.items()}


TestSupervisor = case_of(SupervisorMachine, examples=200, steps=30)
