"""Routing decisions: pure, so tables and properties without Trio."""

from __future__ import annotations

from collections import Counter
from random import Random as Chance
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trioakt import ConsistentHash, LeastFull, Random, Resizer, RoundRobin, ScatterGatherFirst, TailChopping
from trioakt.patterns.routing import Chooser, RoutingStrategy

sizes = st.integers(1, 12)


def names(size: int) -> list[str]:
    return [str(number) for number in range(1, size + 1)]


def started(strategy: RoutingStrategy, size: int, seed: int = 0) -> Chooser:
    chooser = strategy.chooser(Chance(seed))
    chooser.update(names(size))
    return chooser


def taken(chooser: Chooser, count: int) -> list[str]:
    return [chooser.choose(number, lambda _: 0)[0] for number in range(count)]


def identity(msg: Any) -> Any:
    return msg


@given(sizes, st.integers(0, 40))
def test_round_robin_goes_through_the_routees_in_their_order(size: int, count: int) -> None:
    expected = (names(size) * (count // size + 1))[:count]
    assert taken(started(RoundRobin(), size), count) == expected


@given(sizes, st.integers(0, 40), st.sets(st.integers(1, 12)))
def test_round_robin_goes_on_where_it_was_when_routees_leave(size: int, count: int, gone: set[int]) -> None:
    chooser = started(RoundRobin(), size)
    taken(chooser, count)
    left = [name for name in names(size) if int(name) not in gone]
    if left:
        chooser.update(left)
        turn = names(size)[count % size :] + names(size)[: count % size]
        assert taken(chooser, len(left)) == [name for name in turn if name in left]


def test_equally_busy_routees_take_turns() -> None:
    assert taken(started(LeastFull(), 3), 4) == ["1", "2", "3", "1"]


@given(st.lists(st.integers(0, 9), min_size=1, max_size=12))
def test_the_least_full_routee_is_chosen(depths: list[int]) -> None:
    (chosen,) = started(LeastFull(), len(depths)).choose("", lambda name: depths[int(name) - 1])
    assert depths[int(chosen) - 1] == min(depths)


def test_chance_reaches_everybody_about_equally_and_is_repeated_by_its_seed() -> None:
    first, again = (taken(started(Random(), 4, seed=7), 4000) for _ in range(2))
    assert first == again
    assert all(800 < count < 1200 for count in Counter(first).values())


def test_tail_chopping_begins_with_anybody_and_has_all_in_its_order() -> None:
    chooser = started(TailChopping(within=1, interval=0.1), 3)
    orders = [tuple(chooser.choose("", lambda _: 0)) for _ in range(100)]
    assert {order[0] for order in orders} == {"1", "2", "3"}
    assert {tuple(sorted(order)) for order in orders} == {("1", "2", "3")}


@given(sizes, st.one_of(st.text(), st.binary(), st.integers()))
def test_a_key_always_has_the_same_routee(size: int, key: str | bytes | int) -> None:
    strategy = ConsistentHash(identity, vnodes=10)
    once, again = started(strategy, size), started(strategy, size, seed=1)
    assert once.choose(key, lambda _: 0) == again.choose(key, lambda _: 0)


@given(st.integers(1, 8), st.integers(1, 8))
def test_a_key_that_moves_at_a_resize_moves_to_a_new_routee_or_from_one_that_left(before: int, after: int) -> None:
    chooser = started(ConsistentHash(identity, vnodes=20), before)
    old = taken(chooser, 200)
    chooser.update(names(after))
    new = taken(chooser, 200)
    assert all(int(there) > before or int(here) > after for here, there in zip(old, new, strict=True) if here != there)


@pytest.mark.parametrize(("before", "after"), [(4, 5), (9, 10), (10, 9)])
def test_a_resize_of_a_consistent_hash_moves_about_one_nth_of_the_keys(before: int, after: int) -> None:
    chooser = started(ConsistentHash(identity), before)
    old = taken(chooser, 5000)
    chooser.update(names(after))
    moved = sum(here != there for here, there in zip(old, taken(chooser, 5000), strict=True)) / 5000
    assert 0.6 / max(before, after) < moved < 1.4 / max(before, after)


def test_the_hash_is_the_same_in_every_process() -> None:
    chooser = started(ConsistentHash(identity), 5)
    keys = ("ada", b"ada", "eve", 17, "17")
    assert [chooser.choose(key, lambda _: 0)[0] for key in keys] == [
        "3",
        "3",
        "1",
        "1",
        "1",
    ]


def test_a_consistent_hash_shares_the_keys_out_evenly() -> None:
    counts = Counter(taken(started(ConsistentHash(identity), 8), 8000))
    assert all(600 < counts[name] < 1400 for name in names(8))


def test_a_key_of_another_type_is_refused() -> None:
    with pytest.raises(TypeError, match="str, bytes or int"):
        started(ConsistentHash(identity), 2).choose(1.5, lambda _: 0)


@given(st.integers(1, 50), st.integers(0, 1000))
def test_a_resizer_keeps_its_bounds_and_shrinks_one_by_one(present: int, waiting: int) -> None:
    size = Resizer(2, 20, target_depth=5).size(present, waiting)
    assert 2 <= size <= 20
    assert size >= min(present - 1, 20)
    assert size * 5 >= min(waiting, 100)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Resizer(0, 3, 1),
        lambda: Resizer(3, 2, 1),
        lambda: Resizer(1, 2, 0),
        lambda: ScatterGatherFirst(0),
        lambda: TailChopping(1, 0),
        lambda: ConsistentHash(identity, vnodes=0),
    ],
)
def test_numbers_out_of_range_are_refused(make: Any) -> None:
    with pytest.raises(ValueError, match="must"):
        make()
