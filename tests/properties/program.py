"""State machines whose rules write a program that then runs on virtual time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import trio
import trio.lowlevel
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from trio.testing import MockClock
from trio.testing import wait_all_tasks_blocked as settle

from trioakt import ActorSystem

Step: TypeAlias = Callable[[], Awaitable[None] | None]

PATIENCE = 5_000.0
"""Virtual seconds after which a program that does not end has failed."""


class Program(RuleBasedStateMachine):
    """Each rule appends a step; when all rules are drawn, the steps run in order and the outcome is checked."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[Step] = []

    @initialize(seed=st.random_module())
    def seed_the_scheduler(self, seed: object) -> None:
        """Let Trio's order of tasks differ from example to example, and repeat with each of them."""

    def teardown(self) -> None:
        trio.run(self._run_in_time, clock=MockClock(autojump_threshold=0))

    async def _run_in_time(self) -> None:
        with trio.fail_after(PATIENCE):
            await self.run()

    async def run(self) -> None:
        """Prepare, ``run_steps`` and check."""
        raise NotImplementedError

    async def run_steps(self) -> None:
        for step in self.steps:
            if awaitable := step():
                await awaitable

    @rule()
    def let_it_settle(self) -> None:
        self.steps.append(settle)


class SystemProgram(Program):
    """A program that takes time, inside a system whose block it leaves in one of three ways."""

    ending = "at once"

    @initialize(ending=st.sampled_from(["when all is quiet", "at once", "by cancellation"]))
    def choose_ending(self, ending: str) -> None:
        self.ending = ending

    @rule(seconds=st.sampled_from([0.1, 0.4, 1.0, 7.0]))
    def let_time_pass(self, seconds: float) -> None:
        async def step() -> None:
            await trio.sleep(seconds)

        self.steps.append(step)

    async def run_inside(self, system: ActorSystem, prepare: Callable[[], Awaitable[None]]) -> None:
        """Enter the system, prepare, run the steps, and leave."""
        with trio.CancelScope() as scope:
            async with system:
                await prepare()
                await self.run_steps()
                match self.ending:
                    case "when all is quiet":
                        await trio.sleep(1_000)
                    case "by cancellation":
                        scope.cancel()
                        await trio.lowlevel.checkpoint()
                    case _:
                        pass


def case_of(machine: type[RuleBasedStateMachine], *, examples: int, steps: int) -> Any:
    """Make the test class of a state machine, of so many examples with at most so many steps."""
    case = machine.TestCase
    case.settings = settings(max_examples=examples, stateful_step_count=steps)
    return case
