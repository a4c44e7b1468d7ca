"""State machines whose rules write a program that then runs on virtual time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import trio
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize
from trio.testing import MockClock

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


def case_of(machine: type[RuleBasedStateMachine], *, examples: int, steps: int) -> Any:
    """Make the test class of a state machine, of so many examples with at most so many steps."""
    case = machine.TestCase
    case.settings = settings(max_examples=examples, stateful_step_count=steps)
    return case
