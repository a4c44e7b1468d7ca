"""The circuit breaker: its decisions against tables and a model, and the block that users write on virtual time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest
import trio
import trio.testing
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from trio.testing import MockClock
from trio.testing import wait_all_tasks_blocked as settle

from tests.core.crew import Trouble
from tests.properties.program import case_of
from trioakt import CircuitBreaker, CircuitOpenError, CircuitState, TrioaktError
from trioakt.patterns.circuit import Circuit, CircuitRules

CLOSED, OPEN, HALF_OPEN = CircuitState.CLOSED, CircuitState.OPEN, CircuitState.HALF_OPEN

RULES = CircuitRules(failure_rate=0.5, minimum_calls=4, window=60.0, open_for=30.0)


# --------------------------------------------------------------------- decisions


def after(calls: str, rules: CircuitRules = RULES, *, apart: float = 0.0) -> Circuit:
    """Return a circuit after these calls: ``.`` for one that succeeds, ``x`` for one that fails."""
    circuit = Circuit(rules)
    for number, call in enumerate(calls):
        permit = circuit.admit(number * apart)
        assert permit is not None
        (circuit.failed if call == "x" else circuit.succeeded)(permit, number * apart)
    return circuit


@pytest.mark.parametrize(
    ("calls", "state"),
    [
        ("", CLOSED),
        ("....", CLOSED),
        ("xxx", CLOSED),
        ("xxxx", OPEN),
        ("x.x.", OPEN),
        ("xx..", OPEN),
        ("x..x", OPEN),
        ("x...", CLOSED),
        ("x...x.x", CLOSED),
        ("x...x.xx", OPEN),
    ],
)
def test_a_circuit_opens_when_enough_calls_have_failed(calls: str, state: CircuitState) -> None:
    assert after(calls).state is state


@pytest.mark.parametrize(("failures", "state"), [(6, CLOSED), (7, OPEN)])
def test_the_failure_rate_itself_is_enough(failures: int, state: CircuitState) -> None:
    rules = CircuitRules(failure_rate=0.7, minimum_calls=10, window=60.0, open_for=30.0)
    assert after("." * (10 - failures) + "x" * failures, rules).state is state


@pytest.mark.parametrize(("apart", "state"), [(10.0, OPEN), (19.0, OPEN), (21.0, CLOSED), (100.0, CLOSED)])
def test_an_outcome_older_than_the_window_does_not_count(apart: float, state: CircuitState) -> None:
    assert after("xxxx", apart=apart).state is state


def test_the_call_after_the_pause_is_the_probe_and_the_only_one() -> None:
    circuit = after("xxxx")
    assert [circuit.admit(now) for now in (0.0, 29.9)] == [None, None]
    assert circuit.retry_after(10.0) == 20.0
    assert circuit.admit(30.0) is not None
    assert circuit.state is HALF_OPEN
    assert circuit.admit(30.0) is None
    assert circuit.retry_after(30.0) == 30.0


@pytest.mark.parametrize(("succeeds", "state"), [(True, CLOSED), (False, OPEN)])
def test_the_probe_closes_the_circuit_or_opens_it_again(succeeds: bool, state: CircuitState) -> None:
    circuit = after("xxxx")
    probe = circuit.admit(30.0)
    assert probe is not None
    (circuit.succeeded if succeeds else circuit.failed)(probe, 31.0)
    assert circuit.state is state
    assert (circuit.admit(60.9) is not None) is succeeds


def test_a_call_that_began_before_the_circuit_opened_has_no_say_later() -> None:
    circuit = Circuit(RULES)
    early = circuit.admit(0.0)
    assert early is not None
    for _ in range(4):
        circuit.failed(early, 0.0)
    circuit.succeeded(early, 1.0)
    assert circuit.state is OPEN
    probe = circuit.admit(30.0)
    circuit.succeeded(early, 31.0)
    circuit.abandoned(early)
    assert circuit.state is HALF_OPEN
    assert circuit.admit(31.0) is None
    assert probe is not None
    circuit.succeeded(probe, 32.0)
    for _ in range(9):
        circuit.failed(early, 33.0)
    assert circuit.state is CLOSED


class Model:
    """The rules as they are told, with every outcome kept; the window is 60 whole seconds."""

    def __init__(self, rules: CircuitRules) -> None:
        self.rules = rules
        self.become(CLOSED, 0.0)

    def become(self, state: CircuitState, now: float) -> None:
        self.state = state
        self.since = now
        self.outcomes: list[tuple[float, bool]] = []
        self.current: set[int] = set()

    def begin(self, call: int, now: float) -> bool:
        if self.state is OPEN and now >= self.since + self.rules.open_for:
            self.become(HALF_OPEN, now)
        if self.state is OPEN or (self.state is HALF_OPEN and self.current):
            return False
        self.current.add(call)
        return True

    def end(self, call: int, outcome: str, now: float) -> None:
        if call not in self.current:
            return
        self.current.discard(call)
        if outcome == "abandoned":
            return
        if self.state is HALF_OPEN:
            self.become(CLOSED if outcome == "succeeded" else OPEN, now)
            return
        self.outcomes.append((now, outcome == "failed"))
        recent = [failed for at, failed in self.outcomes if int(at) > int(now) - 60]
        if len(recent) >= self.rules.minimum_calls and sum(recent) / len(recent) >= self.rules.failure_rate:
            self.become(OPEN, now)


class CircuitMachine(RuleBasedStateMachine):
    """Calls begin and end in any order, at any time: the circuit decides as the model does."""

    def __init__(self) -> None:
        super().__init__()
        self.circuit = Circuit(RULES)
        self.model = Model(RULES)
        self.now = 0.0
        self.calls = 0
        self.permits: dict[int, int] = {}

    @rule(seconds=st.sampled_from([0.25, 1.0, 7.5, 29.75, 30.0, 45.0, 60.0]))
    def let_time_pass(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def begin(self) -> None:
        self.calls += 1
        permit = self.circuit.admit(self.now)
        assert (permit is not None) is self.model.begin(self.calls, self.now)
        if permit is None:
            assert 0 < self.circuit.retry_after(self.now) <= RULES.open_for
        else:
            self.permits[self.calls] = permit

    @precondition(lambda self: self.permits)
    @rule(data=st.data(), outcome=st.sampled_from(["succeeded", "failed", "failed", "abandoned"]))
    def end(self, data: st.DataObject, outcome: str) -> None:
        call = data.draw(st.sampled_from(sorted(self.permits)))
        permit = self.permits.pop(call)
        match outcome:
            case "succeeded":
                self.circuit.succeeded(permit, self.now)
            case "failed":
                self.circuit.failed(permit, self.now)
            case _:
                self.circuit.abandoned(permit)
        self.model.end(call, outcome, self.now)

    @invariant()
    def they_stand_alike(self) -> None:
        assert self.circuit.state is self.model.state


TestCircuit = case_of(CircuitMachine, examples=150, steps=60)


# --------------------------------------------------------------------- the block


async def succeed() -> None:
    pass


async def fail() -> None:
    raise Trouble


async def call(breaker: CircuitBreaker, fn: Callable[[], Awaitable[object]]) -> None:
    async with breaker:
        await fn()


async def opened(**rules: Any) -> CircuitBreaker:
    """Return a breaker whose circuit has just been opened by two failures."""
    breaker = CircuitBreaker(**{"minimum_calls": 2, **rules})
    for _ in range(2):
        with pytest.raises(Trouble):
            await call(breaker, fail)
    assert breaker.state is OPEN
    return breaker


async def test_a_closed_circuit_lets_results_and_errors_through() -> None:
    breaker = CircuitBreaker()
    await call(breaker, succeed)
    with pytest.raises(Trouble):
        await call(breaker, fail)
    assert breaker.state is CLOSED


async def test_an_open_circuit_refuses_and_says_for_how_long(autojump_clock: MockClock) -> None:
    breaker = await opened(open_for=30.0)
    await trio.sleep(10)
    with pytest.raises(CircuitOpenError, match="20 s") as caught:
        await call(breaker, succeed)
    assert caught.value.retry_after == pytest.approx(20.0)
    assert isinstance(caught.value, TrioaktError)


async def test_who_waits_as_long_as_the_error_says_gets_through(autojump_clock: MockClock) -> None:
    breaker = await opened()
    with pytest.raises(CircuitOpenError) as caught:
        await call(breaker, succeed)
    await trio.sleep(caught.value.retry_after)
    await call(breaker, succeed)
    assert breaker.state is CLOSED


async def test_a_failed_probe_keeps_the_circuit_open_for_as_long_again(autojump_clock: MockClock) -> None:
    breaker = await opened(open_for=5.0)
    await trio.sleep(5)
    with pytest.raises(Trouble):
        await call(breaker, fail)
    assert breaker.state is OPEN
    await trio.sleep(4.9)
    with pytest.raises(CircuitOpenError):
        await call(breaker, succeed)


async def test_while_the_probe_is_under_way_nobody_else_gets_through(autojump_clock: MockClock) -> None:
    breaker = await opened(open_for=5.0)
    await trio.sleep(5)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(call, breaker, partial(trio.sleep, 1))
        await settle()
        assert breaker.state is HALF_OPEN
        with pytest.raises(CircuitOpenError) as caught:
            await call(breaker, succeed)
        assert caught.value.retry_after == 5.0
    await call(breaker, succeed)
    assert breaker.state is CLOSED


async def test_a_cancelled_probe_leaves_its_place_to_the_next_call(autojump_clock: MockClock) -> None:
    breaker = await opened(open_for=5.0)
    await trio.sleep(5)
    with trio.move_on_after(1):
        await call(breaker, trio.sleep_forever)
    assert breaker.state is HALF_OPEN
    await call(breaker, succeed)
    assert breaker.state is CLOSED


async def test_cancelled_calls_are_neither_successes_nor_failures(autojump_clock: MockClock) -> None:
    breaker = CircuitBreaker(minimum_calls=2)
    for _ in range(9):
        with trio.move_on_after(1):
            await call(breaker, trio.sleep_forever)
    with pytest.raises(Trouble):
        await call(breaker, fail)
    assert breaker.state is CLOSED
    with pytest.raises(Trouble):
        await call(breaker, fail)
    assert breaker.state is OPEN


async def test_a_call_cancelled_before_it_begins_takes_no_place(autojump_clock: MockClock) -> None:
    breaker = await opened(open_for=5.0)
    await trio.sleep(5)
    with trio.CancelScope() as scope:
        scope.cancel()
        await call(breaker, succeed)
    assert scope.cancelled_caught
    await call(breaker, succeed)
    assert breaker.state is CLOSED


async def test_a_timeout_inside_the_block_is_a_failure(autojump_clock: MockClock) -> None:
    async def take_too_long() -> None:
        with trio.fail_after(1):
            await trio.sleep_forever()

    breaker = CircuitBreaker(minimum_calls=1)
    with pytest.raises(trio.TooSlowError):
        await call(breaker, take_too_long)
    assert breaker.state is OPEN


async def test_what_ends_the_interpreter_is_not_counted() -> None:
    breaker = CircuitBreaker(minimum_calls=1)
    for error in (KeyboardInterrupt(), SystemExit()):
        with pytest.raises(type(error)):
            async with breaker:
                raise error
    assert breaker.state is CLOSED


async def test_a_group_of_errors_is_one_failure() -> None:
    breaker = CircuitBreaker(minimum_calls=1)
    with pytest.raises(ExceptionGroup):
        async with breaker:
            raise ExceptionGroup("both", [Trouble(), Trouble()])
    assert breaker.state is OPEN


async def test_blocks_of_one_breaker_can_be_nested() -> None:
    breaker = CircuitBreaker(minimum_calls=2)
    with pytest.raises(Trouble):
        async with breaker:
            await call(breaker, succeed)
            raise Trouble
    assert breaker.state is OPEN


async def test_many_tasks_share_a_breaker(autojump_clock: MockClock) -> None:
    async def try_it() -> None:
        with pytest.raises(Trouble):
            await call(breaker, fail_later)

    async def fail_later() -> None:
        await trio.sleep(1)
        raise Trouble

    breaker = CircuitBreaker(minimum_calls=50)
    async with trio.open_nursery() as nursery:
        for _ in range(50):
            nursery.start_soon(try_it)
        await settle()
        assert breaker.state is CLOSED
    assert breaker.state is OPEN


async def test_entering_is_a_checkpoint(autojump_clock: MockClock) -> None:
    breaker = CircuitBreaker()
    with trio.testing.assert_checkpoints():
        await call(breaker, succeed)


async def test_leaving_in_another_task_is_refused() -> None:
    async def leave() -> None:
        with pytest.raises(RuntimeError, match="by the task that entered it"):
            await breaker.__aexit__(None, None, None)

    breaker = CircuitBreaker()
    await breaker.__aenter__()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(leave)
    await breaker.__aexit__(None, None, None)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("failure_rate", [0, -0.5, 1.1, float("nan")]),
        ("minimum_calls", [0, -1]),
        ("window", [0, -1, float("inf"), float("nan")]),
        ("open_for", [0, -1, float("inf"), float("nan")]),
    ],
)
def test_numbers_out_of_range_are_refused_by_name(name: str, values: list[float]) -> None:
    for value in values:
        numbers: dict[str, Any] = {name: value}
        with pytest.raises(ValueError, match=name):
            CircuitBreaker(**numbers)
