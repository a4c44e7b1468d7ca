"""The decorator @message: frozen attrs classes with a name and a version."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from trioakt import Request, message


@message
class Placed:
    order: int
    items: tuple[str, ...] = ()


@message
class Urgent(Placed):
    by: str = "noon"


@message
class Price(Request[float]):
    item: str


def test_a_message_compares_hashes_and_shows_its_fields() -> None:
    assert Placed(1) == Placed(order=1)
    assert Placed(1) != Placed(2)
    assert len({Placed(1), Placed(1), Placed(2)}) == 2
    assert repr(Placed(1)) == "Placed(order=1, items=())"


def test_a_message_matches_by_position() -> None:
    match Placed(1, ("a",)):
        case Placed(order, items):
            assert (order, items) == (1, ("a",))


def test_a_message_is_frozen() -> None:
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        Placed(1).order = 2  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


def test_a_message_may_inherit_fields() -> None:
    assert Urgent(1) == Urgent(1, (), "noon")
    assert Urgent(1) != Placed(1)


def test_an_attrs_class_is_taken_as_it_is() -> None:
    @attrs.define
    class Draft:
        text: str = ""

    assert message(Draft) is Draft
    draft = Draft()
    draft.text = "not frozen"


@pytest.mark.parametrize("version", [0, -1])
def test_a_version_below_one_is_refused(version: int) -> None:
    with pytest.raises(ValueError, match="version"):
        message(name="test.version", version=version)


@pytest.mark.parametrize("thing", [3, "Placed", len])
def test_only_a_class_can_be_a_message(thing: Any) -> None:
    with pytest.raises(TypeError, match="class"):
        message(thing)
    with pytest.raises(TypeError, match="class"):
        message(name="test.thing")(thing)


def test_one_name_and_version_belong_to_one_class() -> None:
    @message(name="test.taken", version=2)
    class First:
        pass

    class Second:
        pass

    with pytest.raises(ValueError, match="First"):
        message(name="test.taken", version=2)(Second)

    @message(name="test.taken", version=3)
    class Third(First):
        pass

    assert issubclass(Third, First)


def test_a_request_keeps_its_fields() -> None:
    assert Price("tea") == Price(item="tea")
