"""Strategies as pure decisions: rules, budgets and backoff."""

from __future__ import annotations

from itertools import pairwise
from random import Random
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trioakt.supervision import Backoff, Directive, Ledger, OneForAll, OneForOne, RestForOne, Siblings, Verdict

RESUME, SUSPEND, RESTART, STOP, ESCALATE = Directive

EXCEPTIONS = [
    BaseException,
    Exception,
    ArithmeticError,
    ZeroDivisionError,
    LookupError,
    KeyError,
    OSError,
    ConnectionError,
    ConnectionResetError,
]

directives = st.sampled_from(Directive)
exception_classes = st.sampled_from(EXCEPTIONS)
rules = st.dictionaries(exception_classes, directives)
seconds = st.floats(0.0, 1_000.0)


def judge(strategy: OneForOne, *times: float, error: BaseException | None = None) -> list[Verdict]:
    """Let one child fail at each of these times."""
    ledger, rng = Ledger(), Random(0)
    return [strategy.judge(ledger, error or KeyError(), time, rng) for time in times]


def directives_of(strategy: OneForOne, *times: float) -> list[Directive]:
    return [verdict.directive for verdict in judge(strategy, *times)]


def delays_of(backoff: Backoff, *times: float) -> list[float]:
    return [verdict.delay for verdict in judge(OneForOne(max_restarts=None, backoff=backoff), *times)]


# Rules


@pytest.mark.parametrize(
    ("error", "directive"),
    [
        (KeyError(), RESUME),
        (IndexError(), STOP),
        (LookupError(), STOP),
        (ConnectionResetError(), SUSPEND),
        (FileNotFoundError(), ESCALATE),
        (ValueError(), RESTART),
    ],
)
def test_the_most_specific_class_decides(error: Exception, directive: Directive) -> None:
    strategy = OneForOne({LookupError: STOP, KeyError: RESUME, OSError: ESCALATE, ConnectionError: SUSPEND})
    assert strategy.directive(error) is directive


@given(rules, directives, exception_classes)
def test_the_nearest_class_in_the_method_resolution_order_decides(
    rules: dict[type[BaseException], Directive], default: Directive, kind: type[BaseException]
) -> None:
    strategy = OneForOne(rules, default=default)
    candidates = [base for base in rules if issubclass(kind, base)]
    nearest = min(candidates, key=kind.__mro__.index, default=None)
    assert strategy.directive(kind()) is (default if nearest is None else rules[nearest])


def test_of_two_bases_the_first_one_counts() -> None:
    class Both(KeyError, OSError):
        pass

    assert OneForOne({OSError: STOP, KeyError: RESUME}).directive(Both()) is RESUME


def test_the_default_of_the_default_strategy_is_restart_three_times_in_five_seconds() -> None:
    assert directives_of(OneForOne(), 0, 1, 2, 3) == [RESTART, RESTART, RESTART, ESCALATE]
    assert directives_of(OneForOne(), 0, 1, 2, 5.5) == [RESTART] * 4


@given(st.lists(exception_classes, min_size=1), rules, directives)
def test_the_most_severe_member_decides_about_a_group(
    kinds: list[type[BaseException]], rules: dict[type[BaseException], Directive], default: Directive
) -> None:
    rules = {kind: directive for kind, directive in rules.items() if not issubclass(BaseExceptionGroup, kind)}
    strategy = OneForOne(rules, default=default)
    group = BaseExceptionGroup("several", [kind() for kind in kinds])
    severity = list(Directive).index
    expected = max((strategy.directive(member) for member in group.exceptions), key=severity)
    assert strategy.directive(group) is expected
    assert strategy.directive(BaseExceptionGroup("nested", [group])) is expected


def test_a_rule_for_groups_decides_about_the_group_itself() -> None:
    strategy = OneForOne({ExceptionGroup: STOP, KeyError: ESCALATE})
    assert strategy.directive(ExceptionGroup("several", [KeyError()])) is STOP


def test_a_rule_for_exceptions_in_general_does_not_hide_what_is_in_a_group() -> None:
    strategy = OneForOne({Exception: RESTART, KeyError: RESUME})
    assert strategy.directive(ExceptionGroup("one", [KeyError()])) is RESUME


@pytest.mark.parametrize("rules", [{"KeyError": STOP}, {int: STOP}, {KeyError: "stop"}, {KeyError: None}])
def test_a_rule_that_is_none_is_refused_at_once(rules: Any) -> None:
    with pytest.raises(TypeError):
        OneForOne(rules)


# Who shares the fate


def test_each_strategy_says_which_siblings_share_the_fate() -> None:
    assert OneForOne.siblings is Siblings.NONE
    assert OneForAll.siblings is Siblings.ALL
    assert RestForOne.siblings is Siblings.LATER


@pytest.mark.parametrize("kind", [OneForOne, OneForAll, RestForOne])
def test_strategies_are_values(kind: type[OneForOne]) -> None:
    assert kind({KeyError: STOP}) == kind({KeyError: STOP})
    assert kind({KeyError: STOP}) != kind()
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        kind().max_restarts = 7  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


# Budgets


@given(
    st.integers(0, 5),
    st.floats(0.1, 100.0),
    st.lists(seconds, max_size=40),
)
def test_no_window_has_more_restarts_than_the_budget(limit: int, within: float, times: list[float]) -> None:
    times.sort()
    strategy = OneForOne(max_restarts=limit, within=within)
    restarts: list[float] = []
    for time, directive in zip(times, directives_of(strategy, *times), strict=True):
        spent = sum(1 for earlier in restarts if earlier > time - within)
        assert directive is (RESTART if spent < limit else ESCALATE)
        if directive is RESTART:
            restarts.append(time)


@given(st.lists(seconds, max_size=40), directives)
def test_without_a_limit_the_rules_alone_decide(times: list[float], default: Directive) -> None:
    strategy = OneForOne(default=default, max_restarts=None)
    assert directives_of(strategy, *sorted(times)) == [default] * len(times)


@pytest.mark.parametrize("directive", [RESUME, SUSPEND, STOP, ESCALATE])
def test_only_restarts_use_up_the_budget(directive: Directive) -> None:
    strategy = OneForOne({KeyError: directive}, max_restarts=1)
    ledger, rng = Ledger(), Random(0)
    for time in range(10):
        assert strategy.judge(ledger, KeyError(), time, rng) == Verdict(directive)
    assert strategy.judge(ledger, OSError(), 10, rng).directive is RESTART


def test_each_ledger_has_a_budget_of_its_own() -> None:
    strategy = OneForOne(max_restarts=1)
    assert directives_of(strategy, 0) == directives_of(strategy, 0) == [RESTART]


# Backoff


def test_each_wait_in_a_row_is_longer_by_the_factor_up_to_the_maximum() -> None:
    backoff = Backoff(initial=0.5, factor=3.0, maximum=10.0, jitter=0.0)
    assert delays_of(backoff, 0, 1, 3, 8, 18) == [0.5, 1.5, 4.5, 10.0, 10.0]


def test_without_backoff_nothing_is_waited_for() -> None:
    assert [verdict.delay for verdict in judge(OneForOne(), 0, 1, 2)] == [0.0, 0.0, 0.0]


def test_the_calm_is_counted_from_the_restart_and_not_from_the_failure() -> None:
    backoff = Backoff(initial=4.0, factor=2.0, maximum=100.0, jitter=0.0, reset_after=10.0)
    assert delays_of(backoff, 0, 13.9) == [4.0, 8.0]
    assert delays_of(backoff, 0, 14.0) == [4.0, 4.0]


def test_a_failure_that_escalates_waits_for_nothing() -> None:
    strategy = OneForOne(max_restarts=1, backoff=Backoff(initial=1.0, jitter=0.0))
    assert judge(strategy, 0, 1) == [Verdict(RESTART, 1.0), Verdict(ESCALATE)]


@given(
    initial=st.floats(0.0, 10.0),
    maximum=st.floats(0.0, 100.0),
    factor=st.floats(1.0, 1e6),
    jitter=st.floats(0.0, 1.0),
    attempt=st.integers(0, 10_000),
    seed=st.integers(),
)
def test_a_wait_stays_within_its_bounds(
    initial: float, maximum: float, factor: float, jitter: float, attempt: int, seed: int
) -> None:
    steady = Backoff(initial=initial, maximum=maximum, factor=factor, jitter=0.0).delay(attempt, Random(seed))
    delay = Backoff(initial=initial, maximum=maximum, factor=factor, jitter=jitter).delay(attempt, Random(seed))
    assert 0.0 <= delay <= maximum
    assert steady * (1 - jitter) * 0.999 <= delay <= steady * (1 + jitter) * 1.001


@given(st.floats(0.0, 10.0), st.floats(1.0, 10.0), st.floats(0.0, 1_000.0))
def test_without_jitter_a_wait_is_never_shorter_than_the_one_before(
    initial: float, factor: float, maximum: float
) -> None:
    backoff = Backoff(initial=initial, factor=factor, maximum=maximum, jitter=0.0)
    waits = [backoff.delay(attempt, Random(0)) for attempt in (*range(50), 1_000, 100_000)]
    assert all(earlier <= later for earlier, later in pairwise(waits))


def test_jitter_goes_both_ways_and_repeats_with_its_seed() -> None:
    backoff = Backoff(initial=1.0, jitter=0.5)
    draws = [[backoff.delay(0, rng) for _ in range(100)] for rng in (Random(1), Random(1), Random(2))]
    assert draws[0] == draws[1] != draws[2]
    assert min(draws[0]) < 0.9
    assert max(draws[0]) > 1.1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("initial", -1.0),
        ("maximum", -1.0),
        ("factor", 0.5),
        ("jitter", -0.1),
        ("jitter", 1.1),
        ("reset_after", 0.0),
        ("initial", float("nan")),
    ],
)
def test_a_backoff_out_of_range_is_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=name):
        Backoff(**{name: value})


@pytest.mark.parametrize(("name", "value"), [("max_restarts", -1), ("within", 0.0), ("within", -1.0)])
def test_a_budget_out_of_range_is_refused(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=name):
        OneForOne(**{name: value})
