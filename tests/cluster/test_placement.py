"""Placement and rendezvous: pure decisions."""

from __future__ import annotations

from collections import Counter
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from trioakt.cluster.member import Member
from trioakt.cluster.placement import Placement, Placing, heir
from trioakt.cluster.view import fit


def _member(node: str, incarnation: int = 1, *, roles: frozenset[str] = frozenset(), draining: bool = False) -> Member:
    return Member(node, f"trioakt://town@{node}:1", incarnation, roles, frozenset({"k"}), 0.0, draining)


NODES = st.lists(st.sampled_from("abcdefghij"), min_size=1, unique=True).map(lambda names: [_member(n) for n in names])
NAMES = st.text(min_size=1, max_size=20)


@given(NAMES, NODES, st.randoms())
def test_the_heir_does_not_depend_on_the_order_of_the_members(name: str, members: list[Member], rng: Random) -> None:
    shuffled = rng.sample(members, len(members))

    assert heir(name, members) == heir(name, shuffled)


@given(NAMES, NODES, st.data())
def test_when_a_member_goes_only_what_it_had_moves(name: str, members: list[Member], data: st.DataObject) -> None:
    before = heir(name, members)
    gone = data.draw(st.sampled_from(members))
    left = [member for member in members if member != gone]

    if before != gone:
        assert heir(name, left) == before


def test_each_member_gets_about_its_part() -> None:
    members = [_member(node) for node in "abcd"]

    shares = Counter(member.node for number in range(4_000) if (member := heir(f"n{number}", members)) is not None)

    assert all(800 < shares[node] < 1_200 for node in "abcd")


def test_nobody_inherits_where_nobody_is() -> None:
    assert heir("ada", []) is None


def test_the_role_the_kind_and_draining_decide_who_fits() -> None:
    members = [
        _member("a", 3, roles=frozenset({"x"})),
        _member("b", 2, roles=frozenset({"x"}), draining=True),
        _member("c", 1),
    ]

    assert [member.node for member in fit(members, "k", "")] == ["c", "a"]
    assert [member.node for member in fit(members, "k", "x")] == ["a"]
    assert fit(members, "other", "") == []


def _placing(turn: int = 0) -> Placing:
    members = [_member("a", 1), _member("b", 2), _member("c", 3)]
    return Placing(members, "b", {"a": 2, "b": 1, "c": 1}, Random(1), turn)


def test_placements_choose_as_they_are_called() -> None:
    chosen = Placement.local().choose(_placing())
    assert chosen is not None
    assert chosen.node == "b"
    least = Placement.least_load().choose(_placing())
    assert least is not None
    assert least.node == "b"
    turns = [Placement.round_robin().choose(_placing(turn)) for turn in range(4)]
    assert [member.node for member in turns if member is not None] == ["a", "b", "c", "a"]
    assert Placement.random().choose(_placing()) in _placing().fitting
